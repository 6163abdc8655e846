import dataclasses

import pytest

from swr_keras.jobs.result import Result
from swr_keras.jobs.run import Run, TaskFacts
from swr_keras.recipes import kws_table


@pytest.fixture
def folders(tmp_path):
    """Folders of three runs that differ in their seed."""
    task = TaskFacts("english", ("a", "b"), {"training": 4, "validation": 4, "testing": 4})
    common = {"kind": "model", "task": "english", "testing_accuracy": 0.5}
    names = ("classifier-only", "fine-tuning all")
    results = [Result(title=name, method=name, achieved_cost=0.0, **common) for name in names]
    first = Run({"seed": 0, "backbone": "bcresnet1"}, None, (task,), tuple(results), {})
    for seed in range(3):
        (tmp_path / str(seed)).mkdir()
        settings = {**first.settings, "seed": seed}
        dataclasses.replace(first, settings=settings).save(tmp_path / str(seed))
    return [str(tmp_path / str(seed)) for seed in range(3)]


def test_command_reads_the_folders_of_runs(folders, capsys):
    assert kws_table.main(["kws_table", *folders]) == 0
    assert "**english** (bcresnet1, 3 seeds" in capsys.readouterr().out


def test_command_says_what_is_wrong(tmp_path, capsys):
    assert kws_table.main(["kws_table", str(tmp_path / "nothing")]) == 1
    assert f"Error: '{tmp_path / 'nothing'}' has no results" in capsys.readouterr().err
    assert kws_table.main(["kws_table"]) == 1
    assert "one or more runs" in capsys.readouterr().err


def test_command_tells_what_it_does(capsys):
    assert kws_table.main(["kws_table", "--help"]) == 0
    assert "side by side" in capsys.readouterr().out
    assert kws_table.main(["kws_table", "--sorted"]) == 1
    assert "Unknown command line flag 'sorted'" in capsys.readouterr().err
