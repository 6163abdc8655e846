import keras
import numpy as np
import pytest
import tensorflow as tf

import swr_keras as swr
from swr_keras.methods import SWR, ClassifierOnly, PolicyLearning
from swr_keras.training.fit import Fit, SearchFit


def quick(epochs=1, steps=20):
    fit = Fit(epochs=epochs)
    return SWR(fit=fit, learning=PolicyLearning(supernet=fit, search=SearchFit(steps=steps)))


class Batches(keras.utils.PyDataset):
    """The arrays in batches of 32."""

    def __init__(self, x, y):
        super().__init__()
        self.x, self.y = x, y

    def __len__(self):
        return 3

    def __getitem__(self, index):
        rows = slice(32 * index, 32 * index + 32)
        return self.x[rows], self.y[rows]


def test_transfer_runs_all_stages_within_budget(base, dataset):
    weights = base.get_weights()
    task = swr.transfer(
        base,
        dataset,
        target_cost=0.6,
        num_classes=3,
        validation_data=dataset,
        method=quick(epochs=3, steps=60),
        verbose=0,
    )
    assert 0 < task.policy.achieved_cost <= 0.6
    assert task(next(iter(dataset))[0]).shape == (32, 3)
    for old, new in zip(weights, base.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)


@pytest.mark.parametrize("kind", ["arrays", "PyDataset", "tf.data", "tf.data of unknown size"])
def test_data_is_taken_as_by_fit(kind, base, arrays, dataset):
    x, y = arrays
    data, options = {
        "arrays": ((x, y), {"validation_data": (x, y)}),
        "PyDataset": ((Batches(x, y),), {"validation_data": Batches(x, y)}),
        "tf.data": ((dataset,), {"validation_data": dataset}),
        "tf.data of unknown size": ((dataset.filter(lambda *_: True),), {}),
    }[kind]
    task = swr.transfer(
        base, *data, target_cost=0.6, num_classes=3, method=quick(), verbose=0, **options
    )
    assert task.predict(x, verbose=0).shape == (96, 3)


def test_the_same_seed_gives_the_same_task(base, arrays):
    def train(seed):
        keras.utils.set_random_seed(seed)
        method = quick(epochs=2)
        task = swr.transfer(
            base, *arrays, target_cost=0.6, num_classes=3, method=method, seed=seed, verbose=0
        )
        return task.pack()

    first, second, other = train(1), train(1), train(2)
    assert first.policy == second.policy
    for name, array in first.arrays.items():
        np.testing.assert_array_equal(array, second.arrays[name])
    assert any(np.any(first.arrays[n] != other.arrays.get(n)) for n in first.arrays)


def test_mistakes_are_said_before_anything_is_trained(base, dataset):
    with pytest.raises(ValueError, match="from 0 to 1"):
        swr.transfer(base, dataset, target_cost=10)
    with pytest.raises(ValueError, match="from 0 to 1.*None"):
        swr.transfer(base, dataset)
    with pytest.raises(ValueError, match="reading of a policy.*'bugdet'"):
        SWR(reading="bugdet")
    with pytest.raises(ValueError, match="from 0 to 1"):
        SWR().adapt(base, None)
    with pytest.raises(ValueError, match="Received: str"):
        swr.transfer(base, "data", target_cost=0.1)


@pytest.mark.parametrize("give", [lambda one: [one], lambda one: one])
def test_a_method_of_the_users_choice_and_callbacks_of_theirs(give, base, arrays):
    seen = []
    callback = keras.callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: seen.append(epoch))
    task = swr.transfer(
        base,
        *arrays,
        num_classes=3,
        method=ClassifierOnly(fit=Fit(epochs=2)),
        callbacks=give(callback),
        verbose=0,
    )
    assert task.policy.selected_layers == ()
    assert seen == [0, 1]


def test_all_stages_run_in_mixed_precision(arrays, small_base):
    keras.mixed_precision.set_global_policy("mixed_bfloat16")
    try:
        base = small_base(num_classes=3)
        x = arrays[0][:8]
        data = tf.data.Dataset.from_tensors((x, np.arange(8) % 3))
        task = swr.transfer(base, data, target_cost=0.5, method=quick(steps=10), verbose=0)
        merged = task.merge()
        np.testing.assert_array_equal(np.asarray(merged(x)), np.asarray(task(x)))
        assert merged(x).dtype == "bfloat16"
        assert all(array.dtype == "float32" for array in task.pack().arrays.values())
    finally:
        keras.mixed_precision.set_global_policy("float32")


HEADS = {
    "one sigmoid": (keras.layers.Dense(1, activation="sigmoid"), lambda y: (y == 1).astype(int)),
    "one logit": (keras.layers.Dense(1), lambda y: (y == 1).astype(int)),
    "labels in a column": (keras.layers.Dense(1), lambda y: (y == 1).astype(int)[:, None]),
    "softmax": (keras.layers.Dense(3, activation="softmax"), lambda y: y),
    "one-hot": (keras.layers.Dense(3), lambda y: np.eye(3, dtype="float32")[y]),
    "several labels": (
        keras.layers.Dense(2, activation="sigmoid"),
        lambda y: np.stack([y > 0, y > 1], axis=1).astype("float32"),
    ),
}


@pytest.mark.parametrize("kind", HEADS)
def test_heads_of_every_kind_learn(kind, arrays):
    head, labels_of = HEADS[kind]
    keras.utils.set_random_seed(0)
    inputs = keras.Input((10, 8, 1))
    x = keras.layers.Conv2D(8, (10, 3), activation="relu")(inputs)
    x = keras.layers.Flatten()(x)
    base = keras.Model(inputs, type(head).from_config(head.get_config())(x))
    x, labels = arrays[0], labels_of(arrays[1])
    fit = Fit(epochs=15, batch_size=16)
    method = SWR(fit=fit, learning=PolicyLearning(supernet=Fit(epochs=1), search=SearchFit(20)))
    task = swr.transfer(base, x, labels, target_cost=1.0, method=method, verbose=0)
    assert task.evaluate(x, labels, verbose=0, return_dict=True)["accuracy"] > 0.8


def test_a_regression_takes_its_loss(base, arrays):
    x, y = arrays
    with pytest.raises(ValueError, match="Pass `loss=`"):
        swr.transfer(base, x, y * 0.5, target_cost=1.0, num_classes=1, method=quick(), verbose=0)
    task = swr.transfer(
        base,
        *(x, y * 0.5),
        target_cost=1.0,
        num_classes=1,
        loss="mean_squared_error",
        metrics=["mean_absolute_error"],
        method=quick(),
        verbose=0,
    )
    assert "mean_absolute_error" in task.evaluate(x, y * 0.5, verbose=0, return_dict=True)


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda data: data.repeat(), "has no end"),
        (lambda data: data.take(0), "is empty"),
        (lambda data: data.unbatch(), "don't fit the inputs"),
        (lambda data: data.map(lambda x, y: x), "need inputs and labels"),
        (lambda data: data.map(lambda x, y: {"x": x, "y": y}), "need inputs and labels"),
        (lambda data: data.map(lambda x, y: ({"image": x}, y)), "don't fit the inputs"),
        (lambda data: data.map(lambda x, y: (x[:, :5], y)), "don't fit the inputs"),
    ],
)
def test_data_that_do_not_fit_are_refused_at_the_door(spoil, message, base, dataset):
    with pytest.raises(ValueError, match=message):
        swr.transfer(base, spoil(dataset), target_cost=0.5, num_classes=3, verbose=0)


@pytest.mark.parametrize(
    ("labels_of", "outputs", "classes", "received"),
    [
        (lambda y: y, 2, "0 to 1", "0 to 2"),
        (lambda y: y - 1, 3, "0 to 2", "-1 to 1"),
        (lambda y: y[:, None], 1, "0 to 1", "0 to 2"),
        (lambda y: 2 * np.eye(3, dtype=int)[y], 3, "0 to 1", "0 to 2"),
    ],
)
def test_labels_that_are_no_classes_of_the_head_are_refused(
    labels_of, outputs, classes, received, base, arrays
):
    x, y = arrays
    right = (x, np.zeros_like(y))
    with pytest.raises(ValueError, match=f"integers from {classes},.*labels from {received}"):
        swr.transfer(base, x, labels_of(y), target_cost=0.5, num_classes=outputs)
    with pytest.raises(ValueError, match=f"labels from {received}"):
        swr.transfer(
            base,
            *right,
            target_cost=0.5,
            num_classes=outputs,
            validation_data=(x, labels_of(y)),
        )


@pytest.mark.parametrize(
    ("validation", "message"),
    [(lambda x, y: (x,), "Data must be"), (lambda x, y: (x, None), "must be arrays")],
)
def test_what_is_no_data_is_told_before_labels_are_read(validation, message, base, arrays):
    with pytest.raises(ValueError, match=message):
        swr.transfer(base, *arrays, target_cost=0.5, validation_data=validation(*arrays))


@pytest.mark.parametrize("num_classes", ["3", -1, 0, 2.5])
def test_a_number_of_classes_is_checked_before_labels_are(num_classes, base, arrays):
    with pytest.raises(ValueError, match="`num_classes` must be a whole number of at least 1"):
        swr.transfer(base, *arrays, target_cost=0.5, num_classes=num_classes)


def test_labels_of_a_loss_of_ones_own_may_be_anything(base, arrays):
    x, y = arrays
    task = swr.transfer(
        base,
        *(x, y * 10),
        target_cost=0.5,
        num_classes=1,
        loss="mean_squared_error",
        metrics=[],
        method=quick(steps=10),
        verbose=0,
    )
    assert np.isfinite(task.evaluate(x, y * 10, verbose=0))


class Subclassed(keras.Model):
    def __init__(self):
        super().__init__()
        self.conv = keras.layers.Conv2D(3, 3)

    def call(self, inputs):
        return keras.ops.mean(self.conv(inputs), axis=(1, 2))


@pytest.mark.parametrize(
    "make",
    [
        Subclassed,
        lambda: keras.Sequential([keras.layers.Conv2D(3, 3), keras.layers.Dense(3)]),
        lambda: keras.layers.Dense(3),
        lambda: "base.keras",
    ],
    ids=["subclassed", "not built", "layer", "path"],
)
def test_what_is_no_base_is_refused(make, arrays):
    with pytest.raises(ValueError, match="The base must be a Functional or Sequential model"):
        swr.transfer(make(), *arrays, target_cost=0.5)


def test_a_base_whose_output_has_no_classes_is_refused(base, arrays):
    flat = keras.Model(base.input, keras.layers.Reshape(())(base.output[:, :1]))
    with pytest.raises(ValueError, match=r"last axis .* must be its classes.*shape \(None,\)"):
        swr.transfer(flat, *arrays, target_cost=0.5)
