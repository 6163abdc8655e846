import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

from swr_keras.training.datasets import check_dataset
from swr_keras.training.given_data import GivenData

X = np.arange(40, dtype="float32").reshape(10, 4)
Y = np.arange(10) % 2


def one_input():
    inputs = keras.Input((4,), name="sound")
    return keras.Model(inputs, layers.Dense(2)(inputs), name="one")


def two_inputs():
    inputs = {name: keras.Input((4,), name=name) for name in "ab"}
    return keras.Model(inputs, layers.Dense(2)(layers.Add()(list(inputs.values()))))


def listed_inputs():
    inputs = [keras.Input((4,)), keras.Input((3,))]
    return keras.Model(inputs, layers.Dense(2)(layers.Concatenate()(inputs)))


class Sequence(keras.utils.PyDataset):
    def __init__(self, length=3, inputs=lambda x: x):
        super().__init__()
        self.length, self.inputs = length, inputs

    def __len__(self):
        return self.length

    def __getitem__(self, index):
        return self.inputs(X[4 * index : 4 * index + 4]), Y[4 * index : 4 * index + 4]


def batches(*arrays):
    return tf.data.Dataset.from_tensor_slices(arrays).batch(4)


@pytest.mark.parametrize(
    ("data", "build", "steps"),
    [
        (batches(X, Y), one_input, 3),
        (batches(X, Y).filter(lambda x, y: True), one_input, None),
        (batches(X, Y, np.ones(10)), one_input, 3),
        ((X, Y), one_input, 1),
        (Sequence(), one_input, 3),
        (batches({"sound": X}, Y), one_input, 3),
        (batches({"a": X, "b": X}, Y), two_inputs, 3),
        ((X, Y, np.ones(10)), one_input, 1),
        (({"a": X, "b": X}, Y), two_inputs, 1),
        (([X, X[:, :3]], Y), listed_inputs, 1),
        (([X, X[:, :3]], Y, np.ones(10)), listed_inputs, 1),
        (Sequence(inputs=lambda x: [x, x[:, :3]]), listed_inputs, 3),
    ],
    ids=[
        *("dataset", "unknown_length", "weights", "arrays", "py_dataset", "named", "dict"),
        *("array_weights", "array_dict", "array_list", "array_list_weights", "py_dataset_list"),
    ],
)
def test_data_that_fit(data, build, steps):
    model = build()
    checked = check_dataset(data, model)
    assert checked.steps == steps
    assert checked.labels.shape.rank == 1
    assert sum(len(labels) for _, labels, *_ in checked.dataset) == 10
    model.compile("adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    model.fit(checked.dataset, verbose=0)


@pytest.mark.parametrize(
    ("data", "build", "message"),
    [
        (batches(X), one_input, "need inputs and labels"),
        (batches(X, Y).map(lambda x, y: x), one_input, "need inputs and labels"),
        (batches(X, Y).unbatch(), one_input, "don't fit.*Batch the data"),
        (batches(X[:, :3], Y), one_input, r"don't fit.*\(None, 3\).*sound"),
        (batches(Y.astype(str), Y), one_input, "don't fit.*string"),
        (batches({"other": X}, Y), one_input, "don't fit.*other.*sound"),
        (batches({"sound": X, "more": X}, Y), one_input, "don't fit.*more"),
        (batches({"a": X}, Y), two_inputs, "don't fit"),
        (batches(X, Y), two_inputs, "don't fit"),
        (batches(X, {"head": Y}), one_input, "Labels must be one tensor.*head"),
        (batches(X, Y).repeat(), one_input, r"no end.*infinite.*take\(steps_per_epoch\)"),
        (batches(X, Y).take(0), one_input, "is empty"),
        (batches(X, Y).filter(lambda x, y: False), one_input, "is empty"),
        ((X[:0], Y[:0]), one_input, "is empty"),
        ((X, Y[:3]), one_input, r"one length.*\[3, 10\]"),
        ((X, Y.tolist()), one_input, r"must be arrays.*\[0, 1, 0\].*asarray"),
        ((X, 3), one_input, r"must be arrays.*\[3\].*asarray"),
        (Sequence(0), one_input, "how many batches.*0"),
        (X, one_input, "pair of arrays.*ndarray"),
        (None, one_input, "pair of arrays.*NoneType"),
    ],
)
def test_data_that_do_not_fit_are_refused(data, build, message):
    with pytest.raises(ValueError, match=message):
        check_dataset(data, build())


@pytest.mark.parametrize(
    ("build", "inputs"),
    [(one_input, X), (two_inputs, {"a": X, "b": X}), (listed_inputs, [X, X[:, :3]])],
)
def test_arrays_come_in_an_order_of_their_own_however_they_are_given(build, inputs):
    weights = np.linspace(0.1, 1.0, 10, dtype="float32")
    pair = GivenData(build(), inputs, Y)
    for task in (GivenData(build(), (inputs, Y)), GivenData(build(), (inputs, Y, weights)), pair):
        assert task.steps_per_epoch(4) == 3
        own, expected = (list(each.training(4).take(3)) for each in (task, pair))
        for batch, other in zip(own, expected, strict=True):
            tf.nest.map_structure(np.testing.assert_array_equal, batch[:2], other)
        first = np.concatenate([keras.tree.flatten(batch[0])[0] for batch in own])
        assert sorted(first[:, 0]) == list(X[:, 0]) != list(first[:, 0])
        for _, labels, *weighing in own:
            assert [labels.shape] * len(weighing) == [each.shape for each in weighing]
