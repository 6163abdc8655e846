import keras
import numpy as np
import pytest
import tensorflow as tf

import swr_keras as swr
from swr_keras.training.checkpoint import Checkpoint
from swr_keras.training.fit import Fit, SearchFit


@pytest.fixture
def base():
    inputs = keras.Input((8, 8, 1))
    x = keras.layers.Conv2D(4, 3, name="conv")(inputs)
    x = keras.layers.BatchNormalization(name="norm")(x)
    x = keras.layers.Dropout(0.3, name="dropout")(x)
    x = keras.layers.GlobalAveragePooling2D(name="pool")(x)
    return keras.Model(inputs, keras.layers.Dense(3, name="head")(x))


class Data:
    """Endless data of 3 batches an epoch, whose order differs from epoch to epoch."""

    name, num_classes, loss, metrics, labels_spec = "task", 3, None, None, None

    def __init__(self, factor=1.0):
        self.factor = factor

    def training(self, batch_size, first_epoch=0):
        x = np.random.default_rng(0).normal(size=(48, 8, 8, 1)).astype("float32")
        y = np.random.default_rng(1).integers(0, 3, 48)

        def epoch(number):
            rows = tf.random.experimental.stateless_shuffle(tf.range(48), seed=[0, number])
            return tf.data.Dataset.from_tensor_slices(
                (tf.gather(self.factor * x, rows), tf.gather(y, rows))
            ).batch(batch_size)

        return tf.data.Dataset.counter(first_epoch).flat_map(epoch)

    def steps_per_epoch(self, batch_size):
        return 48 // batch_size

    def validation(self, *, mixed=False):
        return None


class Interrupt(keras.callbacks.Callback):
    def on_train_batch_begin(self, batch, logs=None):
        if self.epoch == 2 and batch == 1:
            raise KeyboardInterrupt

    def on_epoch_begin(self, epoch, logs=None):
        self.epoch = epoch


def train(model, path, *callbacks, data=None, epochs=4):
    fit = Fit(epochs=epochs, learning_rate=1e-2, batch_size=16)
    return fit.run(model, data or Data(), state=path, callbacks=callbacks, verbose=0)


@pytest.mark.parametrize("make", [lambda base: base, swr.SuperNet], ids=["plain", "super-net"])
def test_an_interrupted_training_ends_with_the_same_weights(base, make, tmp_path):
    keras.utils.set_random_seed(0)
    whole = make(keras.models.clone_model(base))
    expected = train(whole, tmp_path / "whole.safetensors")
    keras.utils.set_random_seed(0)
    broken = make(keras.models.clone_model(base))
    with pytest.raises(KeyboardInterrupt):
        train(broken, tmp_path / "broken.safetensors", Interrupt())
    keras.utils.set_random_seed(7)
    again = make(keras.models.clone_model(base))
    assert Checkpoint(tmp_path / "broken.safetensors").initial_epoch == 2
    resumed = train(again, tmp_path / "broken.safetensors")
    assert [{**logs, "seconds": 0} for logs in resumed] == [
        {**logs, "seconds": 0} for logs in expected
    ]
    for one, other in zip(whole.variables, again.variables, strict=True):
        np.testing.assert_array_equal(np.asarray(one), np.asarray(other), err_msg=one.path)


def test_a_finished_training_is_restored_without_a_step(base, tmp_path):
    first = keras.models.clone_model(base)
    train(first, tmp_path / "state.safetensors")
    second = keras.models.clone_model(base)
    assert len(train(second, tmp_path / "state.safetensors")) == 4
    for one, other in zip(first.weights, second.weights, strict=True):
        np.testing.assert_array_equal(one, other)


def test_an_interrupted_policy_search_ends_with_the_same_network(base, tmp_path):
    def search(path, *callbacks):
        keras.utils.set_random_seed(0)
        search = swr.PolicySearch(swr.SuperNet(base))
        fit = SearchFit(steps=40)
        fit.run(search, Data(), 16, state=path, callbacks=callbacks, verbose=0)
        return search.network.get_weights()

    expected = search(tmp_path / "whole.safetensors")
    with pytest.raises(KeyboardInterrupt):
        search(tmp_path / "broken.safetensors", Interrupt())
    for one, other in zip(expected, search(tmp_path / "broken.safetensors"), strict=True):
        np.testing.assert_array_equal(one, other)


class Overflowing(Data):
    """Data whose validation examples have no loss that is a number."""

    def validation(self, *, mixed=False):
        x = np.full((2, 8, 8, 1), np.inf, "float32")
        return tf.data.Dataset.from_tensors((x, np.zeros(2, int)))


def test_a_validation_loss_that_is_no_number_does_not_keep_a_training_from_going_on(base, tmp_path):
    path = tmp_path / "state.safetensors"
    logs = train(base, path, data=Overflowing(), epochs=2)
    assert np.isnan([epoch["val_loss"] for epoch in logs]).all()
    np.testing.assert_equal(Checkpoint(path).history, logs)
    np.testing.assert_equal(train(base, path, data=Overflowing(), epochs=3)[:2], logs)


class OfEachClass(keras.metrics.Metric):
    """Three numbers an epoch."""

    def update_state(self, y_true, y_pred, sample_weight=None):
        pass

    def result(self):
        return keras.ops.ones(3)


@pytest.mark.parametrize("file", [None, "state.safetensors"])
def test_a_metric_of_several_numbers_is_left_out_of_the_logs(file, base, tmp_path):
    data = Data()
    data.metrics = [OfEachClass(name="of_each_class"), "accuracy"]
    path = tmp_path / file if file else None
    logs = train(base, path, data=data, epochs=2)
    assert [set(epoch) - {"seconds", "learning_rate"} for epoch in logs] == [
        {"loss", "accuracy"}
    ] * 2
    if path:
        assert Checkpoint(path).history == logs


def test_a_loss_that_is_no_number_stops_and_keeps_the_last_good_state(base, tmp_path):
    path = tmp_path / "state.safetensors"
    train(base, path)
    before = path.read_bytes()
    with pytest.raises(FloatingPointError, match="after step 1 of epoch 5.*keeps"):
        train(base, path, data=Data(factor=np.nan), epochs=6)
    assert path.read_bytes() == before


def test_a_loss_that_is_no_number_stops_a_training_without_a_state_too(base):
    with pytest.raises(FloatingPointError, match="after step 1 of epoch 1.*bad inputs.$"):
        train(base, None, data=Data(factor=np.nan))


def test_states_that_do_not_fit_are_refused(base, tmp_path):
    path = tmp_path / "state.safetensors"
    path.write_bytes(b"no HDF5")
    with pytest.raises(ValueError, match="no file of the state of a training"):
        Checkpoint(path)
    path.unlink()
    train(base, path)
    with pytest.raises(ValueError, match="state of another model"):
        train(swr.SuperNet(base), path)
