"""The page of a benchmark, from made-up results."""

from xml.etree import ElementTree

import numpy as np
import pytest

from swr_keras.jobs.benchmark_results import BenchmarkResults
from swr_keras.jobs.record import Record
from swr_keras.jobs.result import Result
from swr_keras.reporting import accuracy_per_byte, benchmark_tables, render_benchmark

TASKS = ("english", "mandarin")
PLAIN = {
    "base": (0.88, None),
    "classifier-only": (0.84, 400),
    "classifier + batch norm": (0.86, 1_300),
    "TAPS": (0.93, 5_500),
    "Residual Adapter": (0.91, 4_000),
    "Rep-Net": (0.92, 6_000),
    "SpotTune": (0.935, 9_000),
    "Piggyback": (0.90, 7_500),
    "fine-tuning all": (0.94, 9_600),
}
AT_COST = {
    "SWR": 0.92,
    "random policy": 0.88,
    "last layers first": 0.89,
    "depthwise first": 0.87,
    "gradient selection": 0.90,
    "sparse update": 0.885,
    "SWR, not staged": 0.90,
    "SWR + super-net weight": 0.91,
}


def made_up(make_curve, backbone="bcresnet1", *, seeds=3, tasks=TASKS):
    rng = np.random.default_rng(1)

    def record(seed, result, **settings):
        return Record(
            result=result,
            seconds=10.0,
            peak_memory_bytes=10**9,
            versions={"keras": "3.15.1"},
            backbone=backbone,
            seed=seed,
            fold=None,
            address=f"{backbone} {seed} {result.title}",
            settings=settings,
        )

    def model(task, method, accuracy, cost, size):
        accuracy = float(np.clip(accuracy + rng.normal(0, 0.005), 0, 1))
        return Result(
            kind="model",
            title=f"{task}: {method} {cost}",
            task=task,
            method=method,
            target_cost=cost,
            achieved_cost=None if cost is None else 0.95 * cost,
            changed_layers=(),
            owned_parameters=size,
            flash_bytes=size,
            multiplies=2_482_156,
            validation_accuracy=accuracy,
            testing_accuracy=accuracy,
        )

    for seed in range(seeds):
        yield record(
            seed,
            Result(
                kind="base",
                title="base",
                task="base",
                owned_parameters=9_232,
                multiplies=2_482_156,
            ),
        )
        for number, task in enumerate(tasks):
            for place, differences in enumerate(((), ("without super-net",), ("without w_l",))):
                yield record(
                    seed,
                    Result(
                        kind="search",
                        title=f"{task}: search {differences}",
                        task=task,
                        differences=differences,
                        policy_curve=make_curve(10 * seed + number + 100 * place),
                    ),
                )
            for method, (accuracy, size) in PLAIN.items():
                yield record(seed, model(task, method, accuracy, None, size), target_cost=None)
            for method, accuracy in AT_COST.items():
                for cost in (0.1, 0.3, 0.5):
                    size = round(1_200 + 8_000 * cost)
                    found = model(task, method, accuracy + 0.03 * cost, cost, size)
                    yield record(seed, found, target_cost=cost)


@pytest.fixture(scope="module")
def results(make_curve):
    return BenchmarkResults([*made_up(make_curve), *made_up(make_curve, "res15")])


@pytest.fixture(scope="module")
def page(results, read_page):
    tables = benchmark_tables(results)
    text = render_benchmark(
        results,
        title="All methods",
        tables=tables,
        per_byte=accuracy_per_byte(results).values(),
        failures=["english: <TAPS>: out of memory"],
        notes=["english: 10 examples"],
        settings={"seeds": [0, 1, 2]},
    )
    assert "http" not in text and "<script" not in text
    return read_page(text)


def test_page_has_every_table_with_every_method(page, results):
    assert page.tags.count("table") == len(benchmark_tables(results)) + 2
    for method in (*PLAIN, *AT_COST):
        assert method.replace("base", "multi-lingual") in page.words
    assert "1 jobs were not done" in page.words and "<TAPS>: out of memory" in page.words
    assert "3.15.1" in page.words and "[0, 1, 2]" in page.words


def test_figures_show_every_method_once_and_every_search(page):
    assert set(page.pictures) == {
        f"{kind}{backbone}{ending}"
        for backbone in ("bcresnet1", "res15")
        for kind, ending in (
            ("Test accuracy of ", " by bytes of flash"),
            ("Achieved against target cost of ", ""),
            ("Layers that SWR of english on ", " changes by target cost"),
            ("Layers that SWR of mandarin on ", " changes by target cost"),
        )
    }
    drawn = dict(zip(page.pictures, page.drawn, strict=True))
    accuracy = drawn["Test accuracy of res15 by bytes of flash"]
    for method in {*PLAIN, *AT_COST} - {"base"}:
        assert (method in accuracy) == ("SWR" not in method or method == "SWR")
    assert "multi-lingual" in accuracy
    tracking = drawn["Achieved against target cost of bcresnet1"]
    for name in ("SWR", "SWR, without super-net", "SWR, without w_l", "ideal"):
        assert name in tracking


def test_accuracy_per_byte_is_a_picture_of_each_backbone_as_the_page_has_it(results):
    drawn = accuracy_per_byte(results)
    assert list(drawn) == ["bcresnet1", "res15"]
    text = render_benchmark(results, title="t", tables=[], per_byte=drawn.values())
    for backbone, picture in drawn.items():
        svg = ElementTree.fromstring(picture.svg)
        assert f"{backbone}: test accuracy, mean over tasks" in "".join(svg.itertext())
        assert picture.source in text


def test_a_method_that_lacks_a_task_is_not_drawn_beside_those_that_have_all(make_curve):
    def lacks(record):
        names = record.result.method, record.result.task
        return names in (("TAPS", "mandarin"), ("base", "mandarin"))

    records = [record for record in made_up(make_curve) if not lacks(record)]
    (picture,) = accuracy_per_byte(BenchmarkResults(records)).values()
    drawn = "".join(ElementTree.fromstring(picture.svg).itertext())
    assert "SpotTune" in drawn
    assert "TAPS" not in drawn and "multi-lingual" not in drawn


def test_page_of_little_has_no_empty_parts(make_curve, read_page):
    few = [r for r in made_up(make_curve, seeds=1, tasks=("english",)) if r.result.kind == "base"]
    results = BenchmarkResults(few)
    tables, drawn = benchmark_tables(results), accuracy_per_byte(results)
    page = read_page(render_benchmark(results, title="t", tables=tables, per_byte=drawn.values()))
    assert not page.pictures
    assert "Which layers" not in page.words


def test_same_results_give_the_same_page(results):
    tables = benchmark_tables(results)
    pages = [
        render_benchmark(
            results, title="t", tables=tables, per_byte=accuracy_per_byte(results).values()
        )
        for _ in range(2)
    ]
    assert pages[0] == pages[1]
