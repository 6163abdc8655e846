"""One network trained on several tasks at once."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import swr_keras as swr
from swr_keras.training.fit import Fit
from swr_keras.training.given_data import GivenData
from swr_keras.training.joint_base import JointModel, JointTask, joint_base

FIT = Fit(epochs=3, learning_rate=1e-2, batch_size=16)


@pytest.fixture
def tasks(base, arrays):
    """Two tasks of 6 and 2 batches an epoch, and of 3 and 2 classes."""
    x, y = arrays
    return [
        GivenData(base, x, y, num_classes=3),
        GivenData(base, x[:32], (y[:32] == 0).astype(int), num_classes=2, seed=1),
    ]


def softmax_base():
    """A base whose output is computed from the head, with nested layers."""
    inner_input = keras.Input((10, 8, 1))
    inner = keras.layers.Conv2D(4, 3, name="conv")(inner_input)
    inner = keras.Model(inner_input, keras.layers.ReLU()(inner + 1.0), name="inner")
    inputs = keras.Input((10, 8, 1))
    x = keras.layers.GlobalAveragePooling2D()(inner(inputs))
    x = keras.layers.Dense(4, name="head")(x)
    return keras.Model(inputs, keras.layers.Softmax(name="softmax")(x), name="nested")


def sequential_base():
    return keras.Sequential(
        [
            keras.Input((10, 8, 1)),
            keras.layers.Conv2D(4, 3, name="conv"),
            keras.layers.BatchNormalization(name="norm"),
            keras.layers.GlobalAveragePooling2D(),
            keras.layers.Dense(4, name="head"),
        ]
    )


def same(first, second):
    return all(np.array_equal(a, b) for a, b in zip(first, second, strict=True))


@pytest.mark.parametrize("kind", ["functional", "nested", "sequential", "frozen"])
def test_it_gives_a_base_of_the_same_architecture_in_which_all_but_the_head_was_trained(
    kind, base, tasks
):
    base = {"nested": softmax_base, "sequential": sequential_base}.get(kind, lambda: base)()
    base.trainable = kind != "frozen"
    before = base.get_weights()
    made, logs = joint_base(base, tasks, fit=FIT, verbose=0)
    assert same(before, base.get_weights())
    assert [type(layer) for layer in made.layers] == [type(layer) for layer in base.layers]
    assert made.outputs[0].shape == base.outputs[0].shape
    for old, new in zip(base.weights, made.weights, strict=True):
        is_head = "head" in old.path
        assert np.array_equal(old, new) == (is_head or "seed" in old.path), old.path
    assert logs[-1]["loss"] < logs[0]["loss"]
    assert np.isfinite(made.predict(np.zeros((2, 10, 8, 1)), verbose=0)).all()


def test_the_loss_is_the_sum_of_the_tasks_losses_in_one_step(base, tasks):
    next(each for each in base.layers if isinstance(each, keras.layers.Dropout)).rate = 0.0
    base.get_layer("norm").trainable = False
    model = JointModel(base, [3, 2])
    model.models[0].get_layer("norm").trainable = False
    every = JointTask(model, tasks)
    assert every.steps_per_epoch(16) == 6
    (x, y) = next(iter(every.training(16)))
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    expected = sum(
        float(loss(labels, own(inputs)))
        for own, inputs, labels in zip(model.models, x, y, strict=True)
    )
    model.compile(keras.optimizers.SGD(0.0), every.loss)
    shown = model.fit(every.training(16), steps_per_epoch=1, verbose=0).history["loss"][0]
    assert shown == pytest.approx(expected, rel=1e-5)


def test_an_epoch_begins_where_the_one_before_ended(base, tasks):
    every = JointTask(JointModel(base, [3, 2]), tasks)
    steps = every.steps_per_epoch(16)
    whole = list(every.training(16).take(3 * steps))
    for epoch in (1, 2):
        for (x, y), (expected_x, expected_y) in zip(
            every.training(16, epoch).take(steps), whole[epoch * steps :], strict=False
        ):
            for index in range(2):
                np.testing.assert_array_equal(x[index], expected_x[index])
                np.testing.assert_array_equal(y[index], expected_y[index])


def test_killed_and_resumed_it_ends_as_undisturbed(base, tasks, tmp_path):
    class Kill(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            if epoch == 1:
                raise KeyboardInterrupt

    def train(**options):
        keras.utils.set_random_seed(1)
        return joint_base(base, tasks, fit=FIT, verbose=0, **options)[0].get_weights()

    whole, state = train(), tmp_path / "state.safetensors"
    with pytest.raises(KeyboardInterrupt):
        train(state=state, callbacks=[Kill()])
    assert same(whole, train(state=state))


def test_each_task_goes_on_from_it(base, tasks, arrays):
    made, _ = joint_base(base, tasks, fit=FIT, verbose=0)
    model = swr.methods.TAPS(fit=FIT).adapt(made, tasks[1], verbose=0)
    assert model.merge(check_on=arrays[0][:8]).output.shape == (None, 2)
    with pytest.raises(ValueError, match="another base"):
        model.pack().on(base)


def test_data_of_unknown_length_end_the_epoch(base, tasks, arrays):
    endless = tf.data.Dataset.from_tensor_slices(arrays).batch(32).filter(lambda x, y: True)
    unknown = GivenData(base, endless, num_classes=3)
    every = JointTask(JointModel(base, [3, 3]), [tasks[0], unknown])
    assert every.steps_per_epoch(16) is None
    assert sum(1 for _ in every.training(16)) == 3


def test_no_tasks_are_refused(base):
    with pytest.raises(ValueError, match="at least one task"):
        joint_base(base, [], fit=FIT)
