import keras
import numpy as np
import pytest
import tensorflow as tf

from swr_keras.jobs.evaluation import measure
from swr_keras.jobs.result import unpack_bits

LABELS = np.array([0, 1, 0, 1, 1, 2])


class Task:
    """Six examples whose features are the outputs wanted of a model that hands them on."""

    labels = ("no", "yes", "go")

    def __init__(self, found):
        self.found = found

    def testing(self):
        outputs = np.eye(3, dtype="float32")[self.found]
        return tf.data.Dataset.from_tensor_slices((outputs, LABELS)).batch(4)

    validation = testing

    def conditions(self):
        return {"noise": self.testing().skip(1)}


@pytest.fixture(scope="module")
def model():
    return keras.Sequential([keras.Input((3,)), keras.layers.Identity()])


def test_answers_are_counted_one_by_one(model):
    measured = measure(model, Task([0, 1, 1, 1, 0, 2]))
    assert measured["testing_accuracy"] == measured["validation_accuracy"] == 4 / 6
    assert measured["accuracy_in"] == {"noise": 1 / 2}
    hits = unpack_bits(measured["right"], 6)
    np.testing.assert_array_equal(hits, [True, True, False, True, False, True])
    assert measured["confusion"] == ((1, 1, 0), (1, 2, 0), (0, 0, 1))


def test_classes_that_the_model_lacks_count_as_wrong(model):
    measured = measure(model, Task(LABELS), class_names=["no", "other", "go"])
    assert measured["testing_accuracy"] == 3 / 6
    assert "confusion" not in measured
    moved = measure(model, Task([2, 1, 2, 1, 1, 0]), class_names=["go", "yes", "no"])
    assert moved["testing_accuracy"] == 1.0
