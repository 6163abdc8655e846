import dataclasses
import pathlib

import pytest

from swr_keras.jobs.comparison import comparison
from swr_keras.jobs.run import BaseFacts, Run, TaskFacts

RESULTS = pathlib.Path(__file__).parents[2] / "recipes" / "results"


@pytest.fixture
def run(make_model):
    """Makes a run by its seed, the accuracy of SWR and those of random policies."""

    def make_run(seed, swr, random=(0.6, 0.7), *, task="english", **settings):
        examples = {"training": 400, "validation": 100, "testing": 200}
        layers = "abcde"
        results = (
            make_model(task, "base", 0.5, achieved_cost=None, changed_layers=None),
            make_model(task, "classifier-only", 0.5, 0.0),
            make_model(task, "fine-tuning all", 0.9, 1.0, layers),
            make_model(task, "SWR", swr, 0.1, layers[:2]),
            *(
                make_model(task, "random policy", accuracy, 0.1, layers[:3], title=f"r{number}")
                for number, accuracy in enumerate(random)
            ),
        )
        return Run(
            settings={"seed": seed, "backbone": "bcresnet1", "output_dir": str(seed), **settings},
            base=None,
            tasks=(TaskFacts(task, ("a", "b"), examples),),
            results=results,
            versions={},
        )

    return make_run


def rows(table):
    lines = [line for line in table.splitlines() if line.startswith("|")]
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    return {cell[0]: dict(zip(cells[0], cell, strict=True)) for cell in cells[2:]}


def test_one_run_has_means_without_intervals(run):
    table = comparison([run(0, 0.8)])
    assert "(bcresnet1, 1 seed; accuracy on 100 validation and 200 test examples)" in table
    assert "(speech_embedding, 1" in comparison([run(0, 0.8, pretrained="speech_embedding")])
    found = rows(table)
    assert found["SWR"]["test"] == "80.0"
    assert found["SWR"]["share of the gap"] == "0.75"
    assert found["random policy"]["test"] == "65.0"
    assert found["random policy"]["layers"] == "3"
    assert [found["base"][name] for name in ("achieved", "layers", "share of the gap")] == [""] * 3


def test_seeds_are_averaged_with_students_interval(run):
    found = rows(comparison([run(0, 0.7), run(1, 0.8), run(2, 0.9)]))
    # t(0.975, 2 degrees) = 4.303 times 10 / sqrt(3)
    assert found["SWR"]["test"] == "80.0 ± 24.8"
    assert found["classifier-only"]["share of the gap"] == "0.00 ± 0.00"


def test_surplus_over_a_control_is_averaged_over_the_tasks_of_each_seed(run):
    runs = [run(0, 0.7, (0.6, 0.7)), run(1, 0.9, (0.8, 0.9))]
    table = comparison([*runs, run(0, 0.8, (0.7,), task="mandarin")])
    # Seed 0: the mean of 5 and 10 points; seed 1: 5. t(0.975, 1 degree) = 12.706 times 1.25.
    surplus = "SWR minus random policy, in points: +6.2 ± 15.9 at c = 0.1 (2 seeds)."
    assert f"Test accuracy of {surplus}" in table.splitlines()
    # Seed 0: the mean of 20 and 30 points; seed 1: 40.
    assert "SWR minus classifier-only, in points: +32.5 ± 95.3 at c = 0.1 (2 seeds)." in table
    assert "last layers first" not in table
    assert "+5.0 at c = 0.1 (1 seed)." in comparison(runs[:1])


def test_surplus_over_an_ablation_is_told_like_that_over_a_control(run, make_model):
    def with_ablation(seed, accuracy):
        one = run(seed, 0.8)
        other = make_model("english", "SWR, not staged", accuracy, 0.1, "ab")
        return dataclasses.replace(one, results=(*one.results, other))

    table = comparison([with_ablation(0, 0.7), with_ablation(1, 0.75)])
    assert "SWR minus SWR, not staged, in points: +7.5 ± 31.8 at c = 0.1 (2 seeds)." in table
    assert rows(table)["SWR"]["test"] == "80.0 ± 0.0"
    assert rows(table)["SWR, not staged"]["test"] == "72.5 ± 31.8"


def test_backbones_are_tables_of_one_comparison(run):
    runs = [run(seed, 0.7 + 0.1 * seed, backbone=b) for b in ("small", "large") for seed in (0, 1)]
    table = comparison(runs)
    assert "**english** (small, 2 seeds;" in table
    assert "**english** (large, 2 seeds;" in table
    surpluses = [line for line in table.splitlines() if "SWR minus random policy" in line]
    assert ["on small" in surpluses[0], "on large" in surpluses[1]] == [True, True]
    assert comparison(runs[:2]).split("\n\n")[:2] == table.split("\n\n")[:2]


def test_no_gap_has_no_share(run):
    level = run(0, 0.8)
    results = [dataclasses.replace(r, testing_accuracy=0.8) for r in level.results]
    table = comparison([dataclasses.replace(level, results=tuple(results))])
    assert rows(table)["SWR"]["share of the gap"] == ""


def test_baselines_without_a_target_cost_have_a_gap(run):
    results = [
        dataclasses.replace(r, target_cost=None) if r.method != "SWR" else r
        for r in run(0, 0.8).results[:4]
    ]
    found = rows(comparison([dataclasses.replace(run(0, 0.8), results=tuple(results))]))
    assert found["SWR"]["share of the gap"] == "0.75"
    assert found["fine-tuning all"]["achieved"] == "1.000"


@pytest.mark.parametrize(
    ("first", "second", "message"),
    [
        ({"task_epochs": 1}, {"task_epochs": 2}, r"than seed, fold and backbone.*task_epochs"),
        ({"task_epochs": 1}, {}, r"than seed.*\['task_epochs'\]"),
        ({"task_epochs": None}, {}, r"than seed.*\['task_epochs'\]"),
        ({"snr": [0, 10]}, {"snr": None, "a": 1}, r"than seed.*\['a', 'snr'\]"),
        ({}, {"seed": 0}, r"on bcresnet1 share seed and fold: \[\(0, None\), \(0, None\)\]"),
        ({}, {"seed": None}, "needs an integer as its setting seed"),
    ],
)
def test_runs_of_other_settings_are_refused(run, first, second, message):
    with pytest.raises(ValueError, match=message):
        comparison([run(0, 0.7, **first), run(**{"seed": 1, "swr": 0.8, **second})])


def test_runs_that_measured_something_else_are_refused(run):
    other = run(1, 0.8)
    without_base = dataclasses.replace(other, results=other.results[1:])
    with pytest.raises(ValueError, match="Only some of the runs.*'base'"):
        comparison([run(0, 0.7), without_base])
    examples = {**other.tasks[0].examples, "testing": 100}
    fewer = dataclasses.replace(other.tasks[0], examples=examples)
    with pytest.raises(ValueError, match="other numbers of examples"):
        comparison([run(0, 0.7), dataclasses.replace(other, tasks=(fewer,))])
    with pytest.raises(ValueError, match="one or more runs"):
        comparison([])


def test_runs_on_bases_of_other_sizes_are_refused(run):
    small, large = (BaseFacts("given", 9000, multiplies, 36000) for multiplies in (10**6, 10**7))
    runs = [dataclasses.replace(run(0, 0.7), base=small), run(1, 0.8), run(2, 0.8)]
    assert "3 seeds" in comparison(runs)
    runs[2] = dataclasses.replace(runs[2], base=large)
    with pytest.raises(ValueError, match=r"aren't of one size.*1000000, None, 10000000"):
        comparison(runs)


@pytest.mark.parametrize("first", [0, 1])
def test_runs_that_were_tested_otherwise_are_refused(first, run):
    def heard(result):
        return dataclasses.replace(result, accuracy_in={"unheard noise": 0.5})

    plain, other = run(0, 0.7), run(1, 0.8)
    runs = [plain, dataclasses.replace(other, results=tuple(map(heard, other.results)))]
    with pytest.raises(ValueError, match=r"Only some.*were tested in \['unheard noise'\]"):
        comparison([runs[first], runs[1 - first]])


def test_paths_do_not_tell_runs_apart(run):
    runs = [run(0, 0.7, data_dir=["a"], base=None), run(1, 0.8, data_dir=["b"], base="x.keras")]
    assert "2 seeds" in comparison(runs)


def test_the_number_of_workers_does_not_tell_runs_apart(run):
    assert "2 seeds" in comparison([run(0, 0.7, workers=1), run(1, 0.8, workers=None)])


def test_runs_that_lack_a_setting_have_its_default(run):
    older, newer = run(0, 0.7), run(1, 0.8, snr=[0.0, 20.0])
    assert "2 seeds" in comparison([older, newer], defaults={"snr": (0.0, 20.0)})
    with pytest.raises(ValueError, match=r"\['snr'\]"):
        comparison([older, newer], defaults={"snr": None})


def test_seeds_of_a_fold_are_averaged_before_folds(run):
    runs = [
        run(seed, swr, folds=2, fold=fold)
        for fold, seed, swr in [(0, 0, 0.6), (0, 1, 0.8), (1, 0, 0.7), (1, 1, 0.9)]
    ]
    table = comparison(runs)
    # The folds are 70 and 80 %; t(0.975, 1 degree) = 12.706 times 5.
    assert rows(table)["SWR"]["test"] == "75.0 ± 63.5"
    assert "2 folds; accuracy on 200 validation and 400 test examples" in table
    assert "points: +10.0 ± 63.5 at c = 0.1 (2 folds)" in table
    with pytest.raises(ValueError, match="share seed and fold"):
        comparison([*runs, runs[0]])


def test_folds_may_differ_in_their_numbers_of_examples(run):
    other = run(0, 0.8, folds=2, fold=1)
    examples = {**other.tasks[0].examples, "testing": 100}
    fewer = dataclasses.replace(other.tasks[0], examples=examples)
    table = comparison([run(0, 0.7, folds=2, fold=0), dataclasses.replace(other, tasks=(fewer,))])
    assert "accuracy on 200 validation and 300 test examples" in table


def test_further_conditions_are_columns(run):
    first = run(0, 0.8)
    results = [dataclasses.replace(r, accuracy_in={"unheard noise": 0.25}) for r in first.results]
    found = rows(comparison([dataclasses.replace(first, results=tuple(results))]))
    assert found["SWR"]["test, unheard noise"] == "25.0"


def of_runs(readme):
    return any(readme.parent.rglob("results.json"))


@pytest.mark.parametrize(
    "readme", sorted(filter(of_runs, RESULTS.glob("*/README.md"))), ids=lambda p: p.parent.name
)
def test_published_results_give_the_published_tables(readme):
    table = comparison([Run.load(path.parent) for path in readme.parent.rglob("results.json")])
    lines = [line for line in table.splitlines() if line.startswith(("|", "Test accuracy"))]
    assert len(lines) > 5
    assert set(lines) <= set(readme.read_text().splitlines())


def test_every_published_folder_has_the_results_of_runs_or_of_a_benchmark():
    readmes = sorted(RESULTS.glob("*/README.md"))
    assert readmes
    for readme in readmes:
        assert of_runs(readme) or any(readme.parent.rglob("results.jsonl")), readme
