"""What a page says of results, without its HTML."""

import dataclasses
import json

import pytest

from swr_keras.jobs.result import Result
from swr_keras.jobs.run import Run, TaskFacts
from swr_keras.reporting.confusion import confusion_rows, frequent_mistakes
from swr_keras.reporting.int8 import ran_on_micro
from swr_keras.reporting.results import results_table, verdict
from swr_keras.reporting.sizes import pack_sizes


@pytest.fixture
def make(make_model):
    """Makes a model of the task "one", right on a share of the test examples from one of them."""

    def make_one(method, accuracy, cost, **more):
        fields = {"achieved_cost": cost, "changed_layers": ("conv",) if cost else ()}
        return make_model("one", method, accuracy, cost, **{**fields, **more})

    return make_one


def task_run(*results, tested=1_200):
    examples = {"training": 8_000, "validation": 1_000, "testing": tested}
    task = TaskFacts("one", ("a", "b"), examples)
    return Run(settings={}, base=None, tasks=(task,), results=results, versions={})


def verdict_of(*results, tested=1_200):
    run = task_run(*results, tested=tested)
    return verdict(run, run.tasks[0])


def only_finding(*results, tested=1_200):
    (finding,) = verdict_of(*results, tested=tested).findings
    return finding


def test_verdict_says_whether_swr_beat_the_classifier(make):
    classifier = make("classifier-only", 0.80, 0.0)
    better = only_finding(classifier, make("SWR", 0.90, 0.1))
    assert better.reached.startswith("SWR changed 1 layer, 10.0 % of the base, and got 90")
    assert "beat training the classifier only, which got 80.0 %, by 10.0 p" in better.comparison
    worse = only_finding(classifier, make("SWR", 0.70, 0.1))
    assert "It was worse than training the classifier only" in worse.comparison
    level = only_finding(classifier, make("SWR", 0.81, 0.1, first_right=228))
    assert "1,200 examples can't tell which is better" in level.comparison
    assert [f.is_clear for f in (better, worse, level)] == [True, True, False]


def test_verdict_without_a_classifier(make):
    int8 = make("SWR", 0.79, 0.1, kind="int8", title="int8")
    alone = verdict_of(make("SWR", 0.81, 0.1), int8)
    assert "nothing to compare with" in alone.lead
    (finding,) = alone.findings
    assert finding.comparison == ""
    assert finding.more == ("As int8 it got 79.0 % (-2.0 points).",)


def test_few_examples_widen_the_interval(make):
    def pair(tested):
        return (
            make("classifier-only", 0.80, 0.0, examples=tested),
            make("SWR", 0.90, 0.1, examples=tested, first_right=tested // 10),
        )

    assert "can't tell" in only_finding(*pair(40), tested=40).comparison
    assert "It beat" in only_finding(*pair(1_200)).comparison


def test_models_that_err_on_the_same_examples_are_told_apart_by_fewer(make):
    classifier = make("classifier-only", 0.80, 0.0, examples=200)
    together = make("SWR", 0.86, 0.1, examples=200)
    apart = make("SWR", 0.86, 0.1, examples=200, first_right=28)
    assert "It beat" in only_finding(classifier, together, tested=200).comparison
    assert "can't tell" in only_finding(classifier, apart, tested=200).comparison


def test_without_the_single_answers_there_is_no_interval(make):
    classifier = make("classifier-only", 0.80, 0.0, right=None)
    finding = only_finding(classifier, make("SWR", 0.90, 0.1))
    assert "is +10.0 points. It has no interval" in finding.comparison
    assert not finding.is_clear


@pytest.mark.parametrize("classifiers", [1, 3])
def test_seeds_are_averaged(make, classifiers):
    results = [
        make(method, accuracy + 0.01 * seed, cost, title=f"{method} {seed}")
        for method, accuracy, cost, count in (
            ("classifier-only", 0.8, 0.0, classifiers),
            ("SWR", 0.9, 0.1, 3),
        )
        for seed in range(count)
    ]
    found = verdict_of(*results)
    assert "with 3 seeds" in found.lead
    assert not found.caution
    (finding,) = found.findings
    assert "got 91.0 % of the test examples right" in finding.reached
    assert "It beat" in finding.comparison
    between = ("From seed to seed the difference was +10.0 to +10.0.",) * (classifiers == 3)
    assert finding.more == between
    assert "repeat the run with 3 or more seeds" in verdict_of(results[0], results[-1]).caution
    run = task_run(*results)
    row = results_table(run, run.tasks[0])[-1]
    assert row.name == "SWR (mean of 3)"
    assert row.testing.share == "91.0 %"
    assert row.testing.spread == "90.0 to 92.0"


def test_rows_of_the_table(make, run):
    row = results_table(run, run.tasks[0])[3]
    assert (row.name, row.is_swr, row.target_cost) == ("SWR", True, "0.05")
    assert row.layers.endswith(" of 43")
    assert row.owned_bytes == "9,250"
    bare = task_run(make("base", 0.5, None, validation_accuracy=None, changed_layers=None))
    (row,) = results_table(bare, bare.tasks[0])
    assert (row.target_cost, row.achieved_cost, row.layers, row.owned_bytes) == ("",) * 4
    assert (row.validation.share, row.validation.spread) == ("", "")


def test_packs_are_compared_with_full_copies(run):
    sizes = {bar.name: bar.value for bar in pack_sizes(run)}
    assert sizes["2 full copies"] == f"{2 * 46_592:,}"
    assert sizes["base + 2 packs at target cost 0.1"] == f"{46_592 + 2 * 10_500:,}"
    assert pack_sizes(dataclasses.replace(run, base=None)) == []


def test_confusions():
    counts = [[7, 1, 2], [0, 0, 0], [3, 0, 6]]
    first, second, third = confusion_rows(("a", "b", "c"), counts)
    assert (first.correct, second.correct, third.correct) == ("70.0 %", "", "66.7 %")
    assert [cell.is_dark for cell in first.cells] == [True, False, False]
    found = [(m.label, m.taken_for, m.count, m.total) for m in frequent_mistakes("abc", counts)]
    assert found == [("c", "a", 3, 9), ("a", "c", 2, 10), ("a", "b", 1, 10)]


@pytest.mark.parametrize(
    ("manifest", "ran"),
    [
        ({"arena": {"bytes_host_estimate": 1}}, True),
        ({"arena": None}, False),
        ({"arena": None, "verification": None}, False),
        ({"arena": None, "verification": False}, False),
        ({"arena": None, "verification": {"tflite_micro": None, "litert": {"examples": 3}}}, False),
        ({"arena": None, "verification": {"tflite_micro": {"max_lsb": 0}}}, True),
        ({"arena": None, "verification": {"engines": ["litert"]}}, False),
        ({"arena": None, "verification": {"engines": ["litert", "tflm"]}}, True),
        ({"arena": None, "verification": {"engines": {"litert": True, "tflm": False}}}, False),
        ({"arena": None, "verification": {"engines": {"litert": True, "tflm": True}}}, True),
    ],
)
def test_whether_tflite_micro_ran(manifest, ran):
    assert ran_on_micro(manifest) == ran


def test_views_read_what_was_written(run):
    again = [Result.from_dict(json.loads(json.dumps(r.as_dict()))) for r in run.results]
    assert tuple(again) == run.results
