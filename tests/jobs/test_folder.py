import os
import subprocess
import sys

import pytest
from swr_keras.recipes.run_folder import RunFolder

SETTINGS = {"seed": 0, "target_cost": (0.1, 0.3), "base": None}


def test_a_new_folder_is_made_with_its_settings(tmp_path):
    folder = RunFolder(tmp_path / "a" / "run", SETTINGS)
    assert not folder.resumed
    with folder.locked():
        folder.state("english: SWR at c = 0.1").write_bytes(b"state")
    again = RunFolder(tmp_path / "a" / "run", SETTINGS)
    assert again.resumed
    with again.locked():
        assert again.state("english: SWR at c = 0.1").read_bytes() == b"state"


def test_other_settings_are_refused_with_the_difference(tmp_path):
    with RunFolder(tmp_path / "run", SETTINGS).locked():
        pass
    with pytest.raises(ValueError) as caught:
        RunFolder(tmp_path / "run", {**SETTINGS, "seed": 1})
    assert "seed: 0 there, 1 now" in str(caught.value)
    assert "target_cost" not in str(caught.value)


def test_a_folder_with_other_files_is_refused_and_left_alone(tmp_path):
    (tmp_path / "precious").touch()
    with pytest.raises(ValueError, match="holds files of no run"):
        RunFolder(tmp_path, SETTINGS)
    with pytest.raises(ValueError, match="is a file"):
        RunFolder(tmp_path / "precious", SETTINGS)
    assert [entry.name for entry in tmp_path.iterdir()] == ["precious"]


def test_only_one_process_writes_a_folder(tmp_path):
    hold = (
        "import pathlib, sys\n"
        "from swr_keras.recipes.run_folder import RunFolder\n"
        f"with RunFolder(pathlib.Path(sys.argv[1]), {SETTINGS!r}).locked():\n"
        "    print('held', flush=True)\n"
        "    sys.stdin.read()\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", hold, str(tmp_path / "run")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as other:
        assert other.stdout.readline() == "held\n"
        with (
            pytest.raises(ValueError, match="Another run is writing"),
            RunFolder(tmp_path / "run", SETTINGS).locked(),
        ):
            pass
        other.kill()
    with RunFolder(tmp_path / "run", SETTINGS).locked():
        pass


@pytest.mark.parametrize("names", [("c++", "c-"), ("en-US", "en US"), ("की", "का"), ("A", "a")])
def test_each_stage_has_a_state_of_its_own(names, tmp_path):
    folder = RunFolder(tmp_path, SETTINGS)
    first, second = (folder.state(f"{name}: super-net") for name in names)
    assert first != second


def test_half_written_files_of_a_killed_run_are_removed_and_no_others(tmp_path):
    script = (
        "import os, pathlib, sys\n"
        "from swr_keras.files import replacing\n"
        "with replacing(sys.argv[1]) as temporary:\n"
        "    temporary.touch()\n"
        "    os._exit(9)\n"
    )
    run = tmp_path / "run"
    (run / "state").mkdir(parents=True)
    for path in (run / "settings.json", run / "state" / "base.h5"):
        subprocess.run([sys.executable, "-c", script, path], check=False)
    users = run / "state" / ".2024.notes"
    users.touch()
    assert len(list(run.rglob(".*"))) == 3
    with RunFolder(run, SETTINGS).locked():
        assert list(run.rglob(".*")) == [users]


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_cannot_be_written_is_an_error(tmp_path):
    tmp_path.chmod(0o500)
    with pytest.raises(PermissionError), RunFolder(tmp_path / "run", SETTINGS).locked():
        pass
