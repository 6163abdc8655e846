import errno
import os
import shutil
import stat
import types
from pathlib import Path

import pytest

from swr_keras.files import (
    complete_folder,
    default_cache,
    read_bytes,
    read_json,
    write_atomically,
    write_json,
)


def test_default_is_below_the_users_cache(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert default_cache() == tmp_path / "swr_keras"
    for unusable in ("", "relative/path"):
        monkeypatch.setenv("XDG_CACHE_HOME", unusable)
        assert default_cache() == Path.home() / ".cache" / "swr_keras"
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert default_cache() == Path.home() / ".cache" / "swr_keras"


def test_folder_appears_when_it_is_complete(tmp_path):
    folder = tmp_path / "new" / "made"
    with complete_folder(folder, 10) as temporary:
        (temporary / "file").write_text("content")
        assert not folder.exists()
    assert (folder / "file").read_text() == "content"
    assert list(folder.parent.iterdir()) == [folder]


@pytest.mark.parametrize("interruption", [KeyboardInterrupt, RuntimeError])
def test_interruption_leaves_nothing(tmp_path, interruption):
    with pytest.raises(interruption), complete_folder(tmp_path / "made", 10) as temporary:
        (temporary / "file").write_text("half")
        raise interruption
    assert list(tmp_path.iterdir()) == []


def test_first_of_two_builders_wins(tmp_path):
    folder = tmp_path / "made"
    with complete_folder(folder, 10) as late:
        (late / "file").write_text("late")
        with complete_folder(folder, 10) as early:
            (early / "file").write_text("early")
    assert (folder / "file").read_text() == "early"
    assert list(tmp_path.iterdir()) == [folder]


def test_only_old_leftovers_are_removed(tmp_path):
    for name in (".made-old", ".made-new", ".other-old", "made-old"):
        (tmp_path / name).mkdir()
        if name.endswith("old"):
            os.utime(tmp_path / name, (0, 0))
    with complete_folder(tmp_path / "made", 10):
        pass
    names = {path.name for path in tmp_path.iterdir()}
    assert names == {".made-new", ".other-old", "made-old", "made"}


def test_unwritable_cache(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError, match="file can't be written: .*XDG_CACHE_HOME"):
        with complete_folder(tmp_path / "file" / "made", 10):
            pass


def test_too_little_space_is_noticed_before_work_begins(tmp_path, monkeypatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda path: types.SimpleNamespace(free=999_999))
    with pytest.raises(OSError, match=f"{tmp_path} is full: 1 MB are needed"):
        with complete_folder(tmp_path / "made", 1_000_000):
            pytest.fail("the block ran")
    assert list(tmp_path.iterdir()) == []


def test_disk_that_fills_up_meanwhile(tmp_path):
    with pytest.raises(OSError, match=f"{tmp_path} is full") as error:
        with complete_folder(tmp_path / "made", 10):
            raise OSError(errno.ENOSPC, "No space left on device")
    assert error.value.errno == errno.ENOSPC
    assert list(tmp_path.iterdir()) == []


def test_other_errors_pass_unchanged(tmp_path):
    with pytest.raises(OSError, match="broken pipe"):
        with complete_folder(tmp_path / "made", 10):
            raise OSError(errno.EPIPE, "broken pipe")


def test_failed_write_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "file"
    write_atomically(path, b"old")

    def fail(*_):
        raise OSError("disk full")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(OSError, match="disk full"):
        write_atomically(path, b"new")
    assert path.read_bytes() == b"old"
    assert [entry.name for entry in tmp_path.iterdir()] == ["file"]


def test_written_files_are_readable_by_others(tmp_path):
    write_atomically(tmp_path / "file", b"content")
    plain = tmp_path / "plain"
    plain.touch()
    assert stat.S_IMODE((tmp_path / "file").stat().st_mode) == stat.S_IMODE(plain.stat().st_mode)


STRANGE = {
    "pipe": (os.mkfifo, ValueError, "no regular file"),
    "folder": (os.mkdir, ValueError, "no regular file|directory"),
    "device": (lambda path: path.symlink_to("/dev/zero"), ValueError, "no regular file"),
    "dangling": (
        lambda path: path.symlink_to("nowhere"),
        FileNotFoundError,
        "a link leads nowhere",
    ),
    "missing": (lambda path: None, FileNotFoundError, "no such file"),
    "large": (lambda path: path.write_bytes(bytes(101)), ValueError, "Received: 101 bytes"),
}


@pytest.mark.skipif(os.name != "posix", reason="needs pipes and devices")
@pytest.mark.parametrize("read", [read_bytes, read_json])
@pytest.mark.parametrize("case", STRANGE)
def test_what_is_no_file_of_the_kind_is_refused_at_once(tmp_path, read, case):
    make, error, reason = STRANGE[case]
    path = tmp_path / "given"
    make(path)
    with pytest.raises(error, match=f"(?i)(({reason}).*given|given.*({reason}))"):
        read(path, kind="a list", most_bytes=100)


def test_as_many_bytes_as_allowed_are_read(tmp_path):
    (tmp_path / "file").write_bytes(bytes(100))
    assert read_bytes(tmp_path / "file", kind="a list", most_bytes=100) == bytes(100)


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b"[NaN]", b"[-Infinity]", "[]".encode("utf-16"), b"\xff", b"[" * 100_000],
)
def test_json_that_is_none_is_refused_by_name(tmp_path, content):
    path = tmp_path / "labels.json"
    path.write_bytes(content)
    with pytest.raises(ValueError, match="labels.json' can't be read as the labels"):
        read_json(path, kind="the labels")


def test_json_is_read(tmp_path):
    (tmp_path / "labels.json").write_text('{"labels": ["yes", 1.5, null]}')
    assert read_json(tmp_path / "labels.json", kind="labels") == {"labels": ["yes", 1.5, None]}


@pytest.mark.parametrize("value", [float("nan"), float("inf"), {"a": [-float("inf")]}])
def test_json_that_could_not_be_read_is_not_written(value, tmp_path):
    path = tmp_path / "values.json"
    write_json(path, [1.5])
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_json(path, value)
    assert read_json(path, kind="values") == [1.5]
