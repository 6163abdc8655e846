import keras
import numpy as np
import pytest
import tensorflow as tf

import swr_keras as swr
from swr_keras.training.checkpoint import Checkpoint
from swr_keras.training.transfer import fit_classifier, fit_policy


@pytest.fixture
def base():
    inputs = keras.Input((8, 8, 1))
    x = keras.layers.Conv2D(4, 3, name="conv")(inputs)
    x = keras.layers.BatchNormalization(name="norm")(x)
    x = keras.layers.Dropout(0.3, name="dropout")(x)
    x = keras.layers.GlobalAveragePooling2D(name="pool")(x)
    return keras.Model(inputs, keras.layers.Dense(3, name="head")(x))


def examples(first_epoch=0, factor=1.0):
    """Endless data of 3 batches an epoch, whose order differs from epoch to epoch."""
    x = np.random.default_rng(0).normal(size=(48, 8, 8, 1)).astype("float32")
    y = np.random.default_rng(1).integers(0, 3, 48)

    def epoch(number):
        rows = tf.random.experimental.stateless_shuffle(tf.range(48), seed=[0, number])
        return tf.data.Dataset.from_tensor_slices(
            (tf.gather(factor * x, rows), tf.gather(y, rows))
        ).batch(16)

    return tf.data.Dataset.counter(first_epoch).flat_map(epoch)


class Interrupt(keras.callbacks.Callback):
    def on_train_batch_begin(self, batch, logs=None):
        if self.epoch == 2 and batch == 1:
            raise KeyboardInterrupt

    def on_epoch_begin(self, epoch, logs=None):
        self.epoch = epoch


def train(model, path, *callbacks):
    checkpoint = Checkpoint(path)
    fit_classifier(
        model,
        examples(checkpoint.initial_epoch),
        epochs=4,
        learning_rate=1e-2,
        initial_epoch=checkpoint.initial_epoch,
        steps_per_epoch=3,
        callbacks=[checkpoint, *callbacks],
        verbose=0,
    )
    return checkpoint


@pytest.mark.parametrize("make", [lambda base: base, swr.SuperNet], ids=["plain", "super-net"])
def test_an_interrupted_training_ends_with_the_same_weights(base, make, tmp_path):
    keras.utils.set_random_seed(0)
    whole = make(keras.models.clone_model(base))
    expected = train(whole, tmp_path / "whole.h5").history
    keras.utils.set_random_seed(0)
    broken = make(keras.models.clone_model(base))
    with pytest.raises(KeyboardInterrupt):
        train(broken, tmp_path / "broken.h5", Interrupt())
    keras.utils.set_random_seed(7)
    again = make(keras.models.clone_model(base))
    resumed = train(again, tmp_path / "broken.h5")
    assert resumed.initial_epoch == 2
    assert [{**logs, "seconds": 0} for logs in resumed.history] == [
        {**logs, "seconds": 0} for logs in expected
    ]
    for one, other in zip(whole.variables, again.variables, strict=True):
        np.testing.assert_array_equal(np.asarray(one), np.asarray(other), err_msg=one.path)


def test_a_finished_training_is_restored_without_a_step(base, tmp_path):
    first = keras.models.clone_model(base)
    train(first, tmp_path / "state.h5")
    second = keras.models.clone_model(base)
    assert train(second, tmp_path / "state.h5").initial_epoch == 4
    for one, other in zip(first.weights, second.weights, strict=True):
        np.testing.assert_array_equal(one, other)


def test_an_interrupted_policy_search_ends_with_the_same_network(base, tmp_path):
    def search(path, *callbacks):
        keras.utils.set_random_seed(0)
        search = swr.PolicySearch(swr.SuperNet(base))
        checkpoint = Checkpoint(path)
        data = tf.data.Dataset.from_tensor_slices(
            (
                np.random.default_rng(0).normal(size=(48, 8, 8, 1)).astype("float32"),
                np.zeros(48, int),
            )
        ).batch(16)
        fit_policy(
            search,
            data,
            steps=40,
            initial_epoch=checkpoint.initial_epoch,
            callbacks=[checkpoint, *callbacks],
            verbose=0,
        )
        return search.network.get_weights()

    expected = search(tmp_path / "whole.h5")
    with pytest.raises(KeyboardInterrupt):
        search(tmp_path / "broken.h5", Interrupt())
    for one, other in zip(expected, search(tmp_path / "broken.h5"), strict=True):
        np.testing.assert_array_equal(one, other)


def test_a_loss_that_is_no_number_stops_and_keeps_the_last_good_state(base, tmp_path):
    path = tmp_path / "state.h5"
    train(base, path)
    before = path.read_bytes()
    checkpoint = Checkpoint(path)
    with pytest.raises(FloatingPointError, match="after step 1 of epoch 5.*state.h5.*keeps"):
        fit_classifier(
            base,
            examples(4, factor=np.nan),
            epochs=6,
            learning_rate=1e-2,
            initial_epoch=checkpoint.initial_epoch,
            steps_per_epoch=3,
            callbacks=[checkpoint],
            verbose=0,
        )
    assert path.read_bytes() == before


def test_states_that_do_not_fit_are_refused(base, tmp_path):
    path = tmp_path / "state.h5"
    path.write_bytes(b"no HDF5")
    with pytest.raises(ValueError, match="no state of a training"):
        Checkpoint(path)
    path.unlink()
    train(base, path)
    with pytest.raises(ValueError, match="state of another model"):
        train(swr.SuperNet(base), path)
