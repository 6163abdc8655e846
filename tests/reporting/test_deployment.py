import dataclasses

import pytest

from swr_keras.device import DeploymentSizes, EmulatedCheck, FlashBytes
from swr_keras.jobs.accuracy import Accuracy
from swr_keras.reporting import render_deployment
from swr_keras.reporting.deployment_figures import further_bytes

GROWTH = (
    FlashBytes(60_000, 45_000, 23_000),
    FlashBytes(120_000, 50_000, 26_000),
    FlashBytes(180_000, 57_000, 31_000),
)
SIZES = DeploymentSizes(
    tasks={
        "base": FlashBytes(60_000, 2_500, 1_300),
        "english": FlashBytes(60_000, 5_001, 2_801),
        "mandarin": FlashBytes(60_000, 6_501, 4_801),
    },
    shared=FlashBytes(0, 43_000, 22_000),
    growth=GROWTH,
    table_bytes=8_192,
    image_bytes=131_072,
    arena_bytes=39_776,
    patches={},
    steps={"base": 119, "english": 119, "mandarin": 119},
    shared_steps={"base": 77, "english": 77, "mandarin": 77},
)
ACCURACY = {"english": Accuracy(720, 0.912, 0.905), "mandarin": Accuracy(None, None, 0.804)}
CHECK = EmulatedCheck(
    cpu="cortex-m4",
    features=5_160,
    outputs=82,
    instructions_per_frame=43_398,
    instructions_per_inference={"base": 36_563_200, "english": 36_558_560},
    ram_bytes=50_328,
    flash_bytes=44_328,
)
GROWS, DOES = "Bytes of flash by the number of tasks", "Test accuracy of each task by its bytes"


@pytest.fixture
def page(read_page):
    """Renders a deployment and reads its page."""

    def make(sizes=SIZES, **options):
        given = {"title": "On a device", "accuracy": ACCURACY, "emulated": CHECK}
        return read_page(render_deployment(sizes, **{**given, **options}))

    return make


def drawn(page, alt):
    """The texts of a picture."""
    return [text for text in page.pictures[alt].itertext() if text.strip()]


def of_tasks(count):
    """A deployment of so many tasks of one size."""
    return dataclasses.replace(
        SIZES,
        tasks={f"task {number}": FlashBytes(60_000, 5_000, 3_000) for number in range(count)},
        growth=tuple(
            FlashBytes(60_000 * n, 40_000 + 5_000 * n, 20_000 + 3_000 * n)
            for n in range(1, count + 1)
        ),
    )


def test_page_is_self_contained(page):
    found = page(files={"bundle.bin": "all tasks"})
    assert not {"script", "link", "svg", "iframe", "object", "form"} & set(found.tags)
    assert found.pictures.keys() == {GROWS, DOES}
    assert "bundle.bin all tasks" in " ".join(found.text)


def test_same_deployment_gives_the_same_page():
    pages = {
        render_deployment(SIZES, title="On a device", accuracy=ACCURACY, emulated=CHECK)
        for _ in range(2)
    }
    assert len(pages) == 1


def test_page_says_what_tasks_take_in_each_form(page):
    words = page().words
    assert "57,000 bytes of flash as one bundle" in words
    assert "31,000 as C tables; as separate files, 180,000" in words
    assert "A further task took 6,000 bytes in the bundle and 4,000 in C on average" in words
    for number in (
        "5,001",
        "2,801",
        "43,000",
        "22,000",
        "57,002",
        "30,902",
        "131,072",
        "65,878",
        "39,776",
    ):
        assert number in words


def test_further_bytes_are_the_mean_of_what_each_task_adds():
    assert further_bytes(GROWTH) == {"file_bytes": 60_000, "bundle_bytes": 6_000, "c_bytes": 4_000}
    assert further_bytes(GROWTH[:1]) == {}


@pytest.mark.parametrize(("count", "is_extrapolated"), [(1, False), (3, True), (10, False)])
def test_what_was_not_measured_is_dashed_and_said_so(count, is_extrapolated, page):
    found = page(of_tasks(count))
    styles = [path.get("style", "") for path in found.pictures[GROWS].iter()]
    assert any("stroke-dasharray" in style for style in styles) == is_extrapolated
    assert any("not measured" in text for text in drawn(found, GROWS)) == is_extrapolated
    assert ("nothing was measured there" in found.words) == is_extrapolated


def test_growth_names_what_a_further_task_takes(page):
    shown = drawn(page(), GROWS)
    for text in ("separate files: 60,000", "one bundle: 6,000", "C tables: 4,000"):
        assert f"{text} a further task" in shown
    assert drawn(page(of_tasks(1)), GROWS).count("one bundle") == 1


def test_accuracy_is_shown_where_it_is_known(page):
    found = page()
    assert "91.2 % 90.5 %88.1 to 92.4" in found.words
    assert "80.4 %" in found.words
    shown = drawn(found, DOES)
    assert {"english", "mandarin"} <= set(shown)
    assert "base" not in shown
    assert any("float" in text for text in shown)
    assert any("95 % interval" in text for text in shown)


@pytest.mark.parametrize(
    ("accuracy", "absent"),
    [
        ({"english": Accuracy(None, 0.9, 0.8)}, "95 % interval"),
        ({"english": Accuracy(720, None, 0.8)}, "float"),
    ],
)
def test_legend_names_what_is_drawn_alone(accuracy, absent, page):
    assert not any(absent in text for text in drawn(page(accuracy=accuracy), DOES))


@pytest.mark.parametrize(
    "accuracy", [None, {}, {"english": Accuracy()}, {"other": Accuracy(9, 1.0, 1.0)}]
)
def test_without_accuracy_there_is_no_figure_of_it(accuracy, page):
    found = page(accuracy=accuracy)
    assert found.pictures.keys() == {GROWS}
    assert "accuracy" not in found.words


def test_emulated_check(page):
    words = page().words
    assert "5,160 features and 82 outputs are those of Python" in words
    for number in ("36,563,200", "36,558,560", "43,398", "50,328", "44,328"):
        assert number in words


def test_page_says_why_nothing_was_emulated(page):
    words = page(emulated="Not checked: no qemu.").words
    assert "Not checked: no qemu." in words
    assert "Instructions" not in words


def test_patches(page):
    assert "patch" not in page().words
    assert "mandarin7,004" in page(dataclasses.replace(SIZES, patches={"mandarin": 7_004})).words


EVIL = "<script>alert('x')</script> & $x^2$ {{ 7 * 7 }} \x00"


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("name", [EVIL, "天", "مرحبا", "a" * 32])
def test_names_of_any_kind_are_text(name, page):
    sizes = dataclasses.replace(
        SIZES, tasks={name: SIZES.tasks["english"]}, growth=GROWTH[:1], patches={name: 5}
    )
    found = page(
        sizes, title=name, accuracy={name: ACCURACY["english"]}, emulated=name, files={name: name}
    )
    assert "script" not in found.tags
    assert found.words.count(name.replace("\x00", "").strip()[:20]) >= 6
    assert any(name[:20].rstrip("\x00") in text for text in drawn(found, DOES))


@pytest.mark.parametrize("count", [2, 10, 15])
def test_names_of_tasks_do_not_overlap(count, page):
    sizes = of_tasks(count)
    found = page(sizes, accuracy={name: Accuracy(700, 0.99, 0.98) for name in sizes.tasks})
    heights = sorted(
        float(element.get("y"))
        for element in found.pictures[DOES].iter()
        if (element.text or "").startswith("task ")
    )
    assert len(heights) == count
    assert all(second - first > 7 for first, second in zip(heights, heights[1:], strict=False))
