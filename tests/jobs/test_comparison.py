import dataclasses
import pathlib

import pytest

from swr_keras.jobs.comparison import comparison
from swr_keras.jobs.run import Run, TaskFacts

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
    assert table.splitlines()[-1] == f"Test accuracy of {surplus}"
    assert "last layers first" not in table
    assert "+5.0 at c = 0.1 (1 seed)." in comparison(runs[:1])


def test_backbones_are_tables_of_one_comparison(run):
    runs = [run(seed, 0.7 + 0.1 * seed, backbone=b) for b in ("small", "large") for seed in (0, 1)]
    table = comparison(runs)
    assert "**english** (small, 2 seeds;" in table
    assert "**english** (large, 2 seeds;" in table
    surpluses = [line for line in table.splitlines() if line.startswith("Test accuracy of SWR")]
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
        ({"task_epochs": 1}, {"task_epochs": 2}, r"than the seed and the backbone.*task_epochs"),
        ({"task_epochs": 1}, {}, r"than the seed.*\['task_epochs'\]"),
        ({"task_epochs": None}, {}, r"than the seed.*\['task_epochs'\]"),
        ({"snr": [0, 10]}, {"snr": None, "a": 1}, r"than the seed.*\['a', 'snr'\]"),
        ({}, {"seed": 0}, r"on bcresnet1 share a seed: \[0, 0\]"),
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


def test_paths_do_not_tell_runs_apart(run):
    runs = [run(0, 0.7, data_dir=["a"], base=None), run(1, 0.8, data_dir=["b"], base="x.keras")]
    assert "2 seeds" in comparison(runs)


def test_runs_that_lack_a_setting_have_its_default(run):
    older, newer = run(0, 0.7), run(1, 0.8, snr=[0.0, 20.0])
    assert "2 seeds" in comparison([older, newer], defaults={"snr": (0.0, 20.0)})
    with pytest.raises(ValueError, match=r"\['snr'\]"):
        comparison([older, newer], defaults={"snr": None})


@pytest.mark.parametrize(
    ("pattern", "readme"),
    [
        ("spoken_words/bcresnet1_seed*", "spoken_words"),
        ("spoken_words/bcresnet2_seed*", "spoken_words"),
        ("few_clips", "few_clips"),
    ],
)
def test_published_results_give_the_published_tables(pattern, readme):
    """Those files are of the layout before `results.json`."""
    table = comparison([Run.load(folder) for folder in sorted(RESULTS.glob(pattern))])
    published = (RESULTS / readme / "README.md").read_text()
    lines = [line for line in table.splitlines() if line.startswith("|")]
    assert len(lines) > 5
    assert "\n".join(lines[:6]) in published
    assert set(lines) <= set(published.splitlines())


def test_published_results_of_both_networks_are_one_comparison():
    """Those of the first network were written before `classifier_learning_rate` was a setting."""
    runs = [Run.load(folder) for folder in sorted((RESULTS / "spoken_words").glob("bcresnet*"))]
    table = comparison(runs, defaults={"classifier_learning_rate": 0.01})
    assert table.count("3 seeds; accuracy") == 4
    with pytest.raises(ValueError, match=r"\['classifier_learning_rate'\]"):
        comparison(runs)
