import pathlib

from swr_keras.recipes import kws_table

RESULTS = pathlib.Path(__file__).parents[2] / "recipes" / "results" / "spoken_words"


def test_command_reads_the_folders_of_runs(capsys):
    folders = sorted(map(str, RESULTS.glob("bcresnet*_seed*")))
    assert kws_table.main(folders) == 0
    shown = capsys.readouterr().out
    assert "**english** (bcresnet1, 3 seeds" in shown
    assert "**mandarin** (bcresnet2, 3 seeds" in shown


def test_command_says_what_is_wrong(tmp_path, capsys):
    assert kws_table.main([str(tmp_path / "nothing")]) == 1
    assert f"Error: '{tmp_path / 'nothing'}' has no results" in capsys.readouterr().err
    assert kws_table.main([]) == 1
    assert "one or more runs" in capsys.readouterr().err
