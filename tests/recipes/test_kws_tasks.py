import keras
import numpy as np
import pytest
import tensorflow as tf

from swr_keras.recipes.kws_results import accuracy
from swr_keras.recipes.kws_tasks import combine, load_tasks

OPTIONS = {"silence": True, "clip_seconds": 1.0, "resample": False, "reader": "soundfile"}


@pytest.fixture
def folders(tmp_path, write_corpus):
    return [
        str(write_corpus(tmp_path / "english", ["yes", "no", "dog"])),
        str(write_corpus(tmp_path / "mandarin", ["shi", "no"])),
    ]


def test_words_are_chosen_over_all_folders(folders):
    english, mandarin = load_tasks(folders, keywords=None, unknown_words=["dog"], **OPTIONS)
    assert english.labels == ("_silence_", "_unknown_", "no", "yes")
    assert mandarin.labels == ("_silence_", "no", "shi")
    english, mandarin = load_tasks(folders, keywords=["yes", "shi"], unknown_words=None, **OPTIONS)
    assert english.labels == ("_silence_", "_unknown_", "yes")
    assert mandarin.labels == ("_silence_", "_unknown_", "shi")


def test_combined_task_shares_classes_of_one_name(folders):
    tasks = load_tasks(folders, keywords=None, unknown_words=["dog"], **OPTIONS)
    both = combine(tasks)
    assert both.labels == ("_silence_", "_unknown_", "no", "yes", "shi")
    for split in both.splits:
        parts = [task.splits[split] for task in tasks]
        assert len(both.splits[split].labels) == sum(len(part.labels) for part in parts)
        for name, label in zip(both.splits[split].names, both.splits[split].labels, strict=True):
            word = {"dog": "_unknown_"}.get(name.split("/")[1], name.split("/")[1])
            assert both.labels[label] == word


def test_accuracy_counts_classes_the_model_lacks_as_wrong():
    model = keras.Sequential([keras.Input((3,)), keras.layers.Identity()])
    features = np.eye(3, dtype="float32")[[0, 1, 2, 2]]
    dataset = tf.data.Dataset.from_tensor_slices((features, [0, 1, 2, 1])).batch(3)
    assert accuracy(model, dataset, np.array([0, 1, 2])) == 0.75
    assert accuracy(model, dataset, np.array([0, 2, -1])) == 0.5
