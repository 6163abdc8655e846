import copy
import dataclasses
import json
import re
from xml.etree import ElementTree

import keras
import matplotlib
import pytest

import swr_keras as swr
from swr_keras.jobs.result import Result
from swr_keras.jobs.run import Run, TaskFacts
from swr_keras.reporting import figures, render_report

TITLE = "Keyword spotting: english, mandarin"


@pytest.fixture(scope="module")
def page(read_page):
    """Renders a run and reads its page."""
    return lambda run, **options: read_page(render_report(run, **{"title": TITLE, **options}))


@pytest.fixture(scope="module")
def rendered(run, files):
    return render_report(run, title=TITLE, files=files)


def small_run(*results, notes=()):
    examples = {"training": 8_000, "validation": 1_000, "testing": 1_200}
    task = TaskFacts("one", ("a", "b"), examples, notes)
    return Run(settings={}, base=None, tasks=(task,), results=results, versions={})


@pytest.mark.parametrize("losses", [[None, 2.0, 1.0], [3.0, None, 1.0], [None, None, None]])
def test_learning_curves_leave_gaps_where_there_was_no_number(losses):
    history = {"loss": [3.0, 2.0, 1.0], "val_loss": losses, "accuracy": [0.1, 0.2, 0.3]}
    picture = figures.learning_curves(history, "one")
    words = "".join(ElementTree.fromstring(picture.svg).itertext())
    assert "validation" in words and "epoch" in words


def test_page_is_self_contained(rendered, read_page):
    found = read_page(rendered)
    assert not {"script", "link", "svg", "iframe", "object", "form"} & set(found.tags)
    assert "@import" not in rendered
    assert "http" not in rendered
    assert found.references
    assert found.references <= {f"#{name}" for name in found.ids}


def test_pictures_reach_for_nothing(rendered, read_page):
    pictures = read_page(rendered).pictures
    assert pictures
    for svg in pictures.values():
        for element in svg.iter():
            assert element.tag.rpartition("}")[2] not in ("script", "image", "foreignObject", "a")
            assert all(
                value.startswith("#")
                for name, value in element.attrib.items()
                if name.rpartition("}")[2] == "href"
            )


def test_same_run_gives_the_same_page(run, files, rendered, tmp_path):
    before = copy.deepcopy(run)
    run.save(tmp_path)
    assert render_report(Run.load(tmp_path), title=TITLE, files=files) == rendered
    assert run == before


def test_page_has_all_sections(rendered, read_page):
    found = read_page(rendered)
    for title in (
        "Task english",
        "Task mandarin",
        "Results",
        "Which layers SWR changed",
        "Achieved against target cost",
        "Learning curves",
        "Confusions on the test examples: SWR int8 at c = 0.1",
        "The base",
        "Sizes",
        "Seconds of each stage",
        "How to use the outputs",
        "Settings",
        "Versions",
    ):
        assert title in found.words
    assert found.tags.count("img") == 2 * (2 + 2 + 5) + 1
    assert "no taken for go (13 of" in found.words
    assert any("stage3_block3_time_conv" in text for text in found.drawn)
    assert "base + 2 packs at target cost 0.1" in found.words
    assert "total3,920.4" in found.words


EVIL = "<script>alert('x')</script> & \"quoted\" $x^2$ {{ 7 * 7 }} {% raw %}"


def test_everything_is_escaped(run, tmp_path, page):
    run.save(tmp_path)
    text = (tmp_path / "results.json").read_text()
    for value in (
        *("english", "yes", "super-net", "neck_conv", "random policy", "3.11.4", "seed", "LogMel"),
        *("english: SWR int8 at c = 0.1", "english/c0.1/model_int8", "bcresnet1", "tflite_micro"),
    ):
        text = text.replace(json.dumps(value), json.dumps(EVIL + value))
    text = text.replace("Left out", json.dumps(EVIL)[1:-1])
    (tmp_path / "results.json").write_text(text)
    found = page(Run.load(tmp_path), title=EVIL, files={EVIL: EVIL})
    assert "script" not in found.tags
    assert found.words.count(EVIL) > 30
    assert any(EVIL + "neck_conv" in text for text in found.drawn)


@pytest.fixture(scope="module")
def quick(run):
    """A run of one task, without learning curves."""
    results = [dataclasses.replace(r, histories={}) for r in run.results if r.task == "english"]
    return dataclasses.replace(run, tasks=run.tasks[:1], results=tuple(results))


@pytest.mark.parametrize("name", ["\x00", "a\x1bb", "\ufffe", "\u200d", "a\nb"])
def test_pictures_survive_names_that_xml_cannot_hold(quick, name, page):
    results = [replaced(result, "stem_conv", name) for result in quick.results]
    assert page(dataclasses.replace(quick, results=tuple(results))).pictures


def replaced(result, old, new):
    text = json.dumps(result.as_dict()).replace(json.dumps(old), json.dumps(new))
    return Result.from_dict(json.loads(text))


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("script", ["天", "हाँ", "öffnen", "مرحبا"])
def test_names_of_any_script(quick, script, page):
    tasks = [
        dataclasses.replace(task, labels=tuple(script + label for label in task.labels))
        for task in quick.tasks
    ]
    results = [replaced(result, "stem_conv", script) for result in quick.results]
    found = page(dataclasses.replace(quick, tasks=tuple(tasks), results=tuple(results)))
    assert f"{script}yes" in found.words
    assert any(script in text for text in found.drawn)


def test_smallest_run(page):
    found = page(small_run())
    assert not found.pictures
    assert "No model was trained with SWR" in found.words
    for title in ("Settings", "Seconds", "Sizes", "Versions", "How to use"):
        assert title not in found.words


@pytest.mark.parametrize(("count", "collapsed"), [(0, False), (2, False), (9, True)])
def test_notes_on_the_data_are_shown_and_collapsed_where_long(count, collapsed, page):
    found = page(small_run(notes=tuple(f"Left out: {k}.wav" for k in range(count))))
    assert found.words.count("Left out") == count
    assert ("details" in found.tags) == collapsed


def with_manifest(run, **changes):
    results = [
        dataclasses.replace(r, manifest={**r.manifest, **changes}) if r.manifest else r
        for r in run.results
    ]
    return dataclasses.replace(run, results=tuple(results))


@pytest.mark.parametrize(
    "verification",
    [None, {"engines": ["litert"], "examples": 64}, {"engines": {"tflite_micro": False}}],
)
def test_page_says_what_to_do_where_tflite_micro_did_not_run(quick, verification, page):
    text = page(with_manifest(quick, arena=None, verification=verification)).words
    assert "did not run all of these models" in text
    assert "swr-keras[micro] on Linux x86-64 and convert again" in text
    assert "not measured" in text
    assert "A guess: raise it until AllocateTensors succeeds" in text


def test_page_says_that_tflite_micro_ran(quick, page):
    text = page(quick).words
    assert "own kernels ran each of these models" in text
    assert "within 1 LSB, 1.2 % differ, 64 examples" in text
    assert "given: 200, kept: 180" in text
    assert "swr-keras[micro]" not in text


def test_diverged_training_is_shown(page):
    history = {"loss": [1.0, float("nan"), float("inf")]}
    lost = Result(kind="search", title="lost", task="one", histories={"super-net": history})
    assert len(page(small_run(lost)).pictures) == 1


def test_histories_of_keras(base, dataset, page):
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    supernet = swr.SuperNet(base, num_classes=3)
    supernet.compile("adam", loss, metrics=["accuracy"])
    histories = {
        "super-net": supernet.fit(
            dataset, validation_data=dataset, epochs=2, shuffle=False, verbose=0
        ).history
    }
    search = swr.PolicySearch(supernet)
    search.compile("adam", loss)
    histories["policy search"] = search.fit(dataset, epochs=2, shuffle=False, verbose=0).history
    result = Result(kind="search", title="one: search", task="one", histories=histories)
    supernet_text, search_text = page(small_run(result)).drawn
    for label in ("loss", "accuracy", "training", "validation"):
        assert label in supernet_text
    for label in ("task loss", "cost loss", "mean of |expected cost - target cost|"):
        assert label in search_text


def test_wide_pictures_scroll_in_their_own_container(rendered):
    assert len(re.findall(r'<div class="scroll"><img ', rendered)) == rendered.count("<img ")
    assert rendered.count("<table") == len(re.findall(r'<div class="scroll"><table', rendered))


def test_matplotlib_settings_are_left_alone(quick, page):
    before = dict(matplotlib.rcParams)
    page(quick)
    assert dict(matplotlib.rcParams) == before
