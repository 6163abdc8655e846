import numpy as np
import pytest
from PIL import Image

from swr_keras.images import benchmark_view, letters, load_task
from swr_keras.images.letters import LETTER_SETS, letter_sets


@pytest.fixture
def few(monkeypatch):
    """Draws few pictures of each letter."""
    monkeypatch.setattr(letters, "_BASE_IMAGES", (3, 1))
    monkeypatch.setattr(letters, "_TASK_IMAGES", (2, 1))


def content(folder):
    return {path.relative_to(folder): path.read_bytes() for path in sorted(folder.rglob("*.png"))}


def test_the_sets_are_tasks_without_anything_odd(few, tmp_path):
    folders = letter_sets(tmp_path)
    assert list(folders) == list(LETTER_SETS)
    for name, characters in LETTER_SETS.items():
        task = load_task(folders[name], view=benchmark_view(name, size=32, flip=False))
        assert task.name == name
        assert task.num_classes == len(characters) == len(set(task.labels))
        assert task.notes == ()
        assert all(label.isascii() and "/" not in label for label in task.labels)


def test_every_letter_is_in_every_font(few, tmp_path):
    """A character that a font lacks would be drawn as an empty box, the same for all."""
    missing = {}
    for styles in (letters._TRAIN_FACES, letters._TEST_FACES):
        for face in letters._faces(styles):
            font = letters._font(face)
            absent = bytes(font.getmask("\U0010ffff"))
            lacking = [
                character
                for characters in LETTER_SETS.values()
                for character in characters
                if bytes(font.getmask(character)) == absent
            ]
            missing |= {face: lacking} if lacking else {}
    assert missing == {}


def test_the_test_has_faces_that_are_never_trained_on():
    assert not set(letters._faces(letters._TRAIN_FACES)) & set(letters._faces(letters._TEST_FACES))


def test_the_same_seed_draws_the_same(few, tmp_path):
    first = letter_sets(tmp_path / "a")["greek"]
    assert content(first) == content(letter_sets(tmp_path / "b")["greek"])
    assert content(first) != content(letter_sets(tmp_path / "a", seed=1)["greek"])


def test_a_second_call_draws_nothing(few, tmp_path, monkeypatch):
    folders = letter_sets(tmp_path)
    monkeypatch.setattr(letters, "_drawn", None)
    assert letter_sets(tmp_path) == folders


def test_pictures_show_something(few, tmp_path):
    for path in letter_sets(tmp_path)["georgian"].rglob("*.png"):
        image = Image.open(path)
        assert image.mode == "RGB" and image.size == (32, 32)
        assert np.asarray(image).std() > 5


def test_an_interrupted_call_leaves_no_set(few, tmp_path, monkeypatch):
    monkeypatch.setattr(letters, "_drawn", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        letter_sets(tmp_path)
    assert list(tmp_path.iterdir()) == []
    monkeypatch.undo()
