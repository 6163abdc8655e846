import json

import pytest

from swr_keras.recipes import kws_table


def run(seed, swr, random=(0.6, 0.7), **settings):
    def row(method, accuracy, cost, layers):
        return {
            "method": method,
            "validation_accuracy": accuracy,
            "testing_accuracy": accuracy,
            "target_cost": cost,
            "achieved_cost": cost,
            "changed_layers": ["x"] * layers,
        }

    return {
        "task": "english",
        "clips": {"validation": 100, "testing": 200},
        "settings": {"seed": seed, "backbone": "bcresnet1", "output_dir": str(seed), **settings},
        "results": [
            {"method": "base", "validation_accuracy": 0.4, "testing_accuracy": 0.5},
            row("classifier-only", 0.5, 0.0, 0),
            row("fine-tuning all", 0.9, 1.0, 5),
            row("SWR", swr, 0.1, 2),
            *(row("random policy", accuracy, 0.1, 3) for accuracy in random),
        ],
    }


def rows(table):
    lines = [line for line in table.splitlines() if line.startswith("|")]
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    return {cell[0]: dict(zip(cells[0], cell, strict=True)) for cell in cells[2:]}


def test_one_run_has_means_without_intervals():
    table = kws_table.comparison([run(0, 0.8)])
    assert "(bcresnet1, 1 seed; accuracy on 100 validation and 200 test clips)" in table
    assert "(speech_embedding, 1" in kws_table.comparison(
        [run(0, 0.8, pretrained="speech_embedding")]
    )
    found = rows(table)
    assert found["SWR"]["test"] == "80.0"
    assert found["SWR"]["share of the gap"] == "0.75"
    assert found["random policy"]["test"] == "65.0"
    assert found["random policy"]["layers"] == "3"
    assert found["base"]["share of the gap"] == ""


def test_seeds_are_averaged_with_students_interval():
    found = rows(kws_table.comparison([run(0, 0.7), run(1, 0.8), run(2, 0.9)]))
    # t(0.975, 2 degrees) = 4.303 times 10 / sqrt(3)
    assert found["SWR"]["test"] == "80.0 ± 24.8"
    assert found["classifier-only"]["share of the gap"] == "0.00 ± 0.00"


def test_surplus_over_a_control_is_averaged_over_the_tasks_of_each_seed():
    runs = [run(0, 0.7, random=(0.6, 0.7)), run(1, 0.9, random=(0.8, 0.9))]
    table = kws_table.comparison([*runs, {**run(0, 0.8, random=(0.7,)), "task": "mandarin"}])
    # Seed 0: the mean of 5 and 10 points; seed 1: 5. t(0.975, 1 degree) = 12.706 times 1.25.
    surplus = "SWR minus random policy, in points: +6.2 ± 15.9 at c = 0.1 (2 seeds)."
    assert table.splitlines()[-1] == f"Test accuracy of {surplus}"
    assert "last layers first" not in table
    assert "+5.0 at c = 0.1 (1 seed)." in kws_table.comparison(runs[:1])


def test_no_gap_has_no_share():
    level = run(0, 0.8)
    level["results"][2]["testing_accuracy"] = level["results"][1]["testing_accuracy"]
    assert rows(kws_table.comparison([level]))["SWR"]["share of the gap"] == ""


def test_runs_that_cannot_be_averaged_are_refused():
    with pytest.raises(ValueError, match="differ in more than the seed.*task_epochs"):
        kws_table.comparison([run(0, 0.7, task_epochs=1), run(1, 0.8, task_epochs=2)])
    with pytest.raises(ValueError, match="differ in more than the seed.*task_epochs"):
        kws_table.comparison([run(0, 0.7, task_epochs=1), run(1, 0.8)])
    with pytest.raises(ValueError, match="share a seed"):
        kws_table.comparison([run(0, 0.7), run(0, 0.7)])
    without_base = run(1, 0.8)
    del without_base["results"][0]
    with pytest.raises(ValueError, match="Only some of the runs.*'base'"):
        kws_table.comparison([run(0, 0.7), without_base])


def test_command_reads_the_folders_of_runs(tmp_path, capsys):
    for seed in (0, 1):
        folder = tmp_path / str(seed) / "english"
        folder.mkdir(parents=True)
        (folder / "metrics.json").write_text(json.dumps(run(seed, 0.8)))
    assert kws_table.main(["", str(tmp_path / "0"), str(tmp_path / "1")]) == 0
    assert "| SWR | 0.1 | 0.100 | 2 | 80.0 ± 0.0 |" in capsys.readouterr().out
    assert kws_table.main(["", str(tmp_path / "0"), str(tmp_path / "nothing")]) == 1
    assert f"without results: ['{tmp_path / 'nothing'}']" in capsys.readouterr().err
    assert kws_table.main([""]) == 1
