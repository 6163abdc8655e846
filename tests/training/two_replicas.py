"""Trains on one device and on two logical CPUs; prints, as JSON, how far the outcomes differ."""

import dataclasses
import importlib.util
import json
import pathlib
import sys
import tempfile

import tensorflow as tf

cpu = tf.config.list_physical_devices("CPU")[0]
tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)

import keras  # noqa: E402
import numpy as np  # noqa: E402
from keras import layers  # noqa: E402

from swr_keras.layers import FusedBatchNormalization, SubSpectralNormalization  # noqa: E402
from swr_keras.methods import SWR, GradientSelection, Piggyback  # noqa: E402
from swr_keras.training.distribution import share_out, strategy_scope  # noqa: E402
from swr_keras.training.fit import Fit  # noqa: E402
from swr_keras.training.given_data import GivenData  # noqa: E402
from swr_keras.training.joint_base import joint_base  # noqa: E402

FIT = Fit(
    epochs=2,
    learning_rate=1e-2,
    batch_size=32,
    optimizer="sgd",
    weight_decay=1e-2,
    label_smoothing=0.1,
)


def load_contract():
    path = pathlib.Path(__file__).parents[1] / "methods" / "test_contract.py"
    spec = importlib.util.spec_from_file_location("contract", path)
    module = importlib.util.module_from_spec(spec)
    sys.modules["contract"] = module
    spec.loader.exec_module(module)
    return module


CONTRACT = load_contract()


def shortened(method):
    """A method of the contract, in few steps by SGD, whose rounding Adam would blow up."""
    rate = 3.0 if isinstance(method, Piggyback) else method.fit.learning_rate or FIT.learning_rate
    changes = {"fit": dataclasses.replace(FIT, learning_rate=rate)}
    if isinstance(method, SWR):
        learning = dataclasses.replace(method.learning, supernet=FIT)
        changes |= {"learning": learning, "tries": 2}
    if isinstance(method, GradientSelection):
        changes["head_fit"] = FIT
    return dataclasses.replace(method, **changes)


def make_base(regularizer=None):
    keras.utils.set_random_seed(0)
    base = CONTRACT.tiny()
    base.get_layer("block0_dropout").rate = 0.0  # Its masks differ.
    for layer in base.layers:
        if hasattr(layer, "kernel_regularizer"):
            layer.kernel_regularizer = regularizer
    return base


def data(base, validation=6):
    x, y = CONTRACT.examples()
    x, y = x[:64], y[:64]
    given = (x[:validation], y[:validation])
    return GivenData(base, x, y, num_classes=3, validation_data=given)


def of_method(method, strategy, *, regularizer=None, **options):
    with strategy_scope(strategy):
        base = make_base(regularizer)
        keras.utils.set_random_seed(3)
        model, logs = method.train(
            base,
            data(base),
            target_cost=CONTRACT.COST if method.needs_cost else None,
            seed=3,
            verbose=0,
            **options,
        )
        merged = model.merge(check_on=CONTRACT.examples()[0][:8])
        return {
            "values": {name: each.numpy() for name, each in model.task_variables().items()},
            "pack": model.pack().arrays,
            "outputs": merged(CONTRACT.examples()[0][:8]).numpy(),
            "layers": model.policy.selected_layers,
            "probabilities": model.policy.probabilities,
            "trained": [variable.numpy() for variable in model.owned_variables],
            "logs": logs,
            "apart": apart(model),
        }


def apart(model):
    """How far the variables on both devices are apart."""
    found = [0.0]
    for variable in model.variables:
        every = tf.distribute.get_strategy().experimental_local_results(variable.value)
        found += [float(np.max(np.abs(every[0] - each), initial=0.0)) for each in every[1:]]
    return max(found)


def differences(one, two):
    """The largest difference of each part of two outcomes; infinite if they differ in kind."""
    assert one.keys() == two.keys()
    return {name: difference(one[name], two[name]) for name in one}


def difference(one, two):
    if isinstance(one, dict):
        if one.keys() - {"seconds"} != two.keys() - {"seconds"}:
            return float("inf")
        own = one.keys() - {"seconds"}
        return max((difference(one[name], two[name]) for name in own), default=0.0)
    if isinstance(one, list | tuple):
        same = len(one) == len(two)
        return max(map(difference, one, two), default=0.0) if same else float("inf")
    if isinstance(one, str) or np.shape(one) != np.shape(two):
        return 0.0 if one == two else float("inf")
    return float(np.max(np.abs(np.subtract(one, two, dtype="float64")), initial=0.0))


def of_base(strategy):
    """A base with batch norm of each kind, trained in whole."""
    with strategy_scope(strategy):
        keras.utils.set_random_seed(0)
        inputs = keras.Input((20, 40, 1))
        x = layers.Conv2D(4, 3, (2, 4), padding="same", use_bias=False)(inputs)
        x = FusedBatchNormalization()(x)
        x = layers.Conv2D(4, 3, padding="same", activation="relu")(x)
        x = SubSpectralNormalization(5)(x)
        x = layers.GlobalAveragePooling2D()(x)
        x = layers.BatchNormalization(momentum=0.9, synchronized=True)(x)
        base = keras.Model(inputs, layers.Dense(3)(x))
        logs = FIT.run(base, data(base), verbose=0)
        values = {str(index): each.numpy() for index, each in enumerate(base.variables)}
        return {"values": values, "logs": logs, "apart": apart(base)}


def of_joint_base(strategy):
    with strategy_scope(strategy):
        base = make_base()
        keras.utils.set_random_seed(3)
        joint, logs = joint_base(base, [data(base), data(base)], fit=FIT, verbose=0)
        values = {str(index): each.numpy() for index, each in enumerate(joint.variables)}
        return {"values": values, "logs": logs, "apart": apart(joint)}


def of_regularized(strategy):
    """One whose deltas the losses of the base's layers pull to zero."""
    return of_method(
        shortened(CONTRACT.METHODS[0]), strategy, regularizer=keras.regularizers.L2(10.0)
    )


class Kill(keras.callbacks.Callback):
    def on_epoch_begin(self, epoch, logs=None):
        if epoch == 1:
            raise KeyboardInterrupt


def of_resumed(strategy):
    """One that was killed after its first epoch, and went on from its state."""
    method = shortened(CONTRACT.METHODS[4])
    with tempfile.TemporaryDirectory() as folder:
        state = pathlib.Path(folder) / "state.safetensors"
        try:
            of_method(method, strategy, state=state, callbacks=[Kill()])
        except KeyboardInterrupt:
            return of_method(method, strategy, state=state)
    raise AssertionError("It wasn't killed.")


def weights_by_example():
    """How often each example of a batch, of several sizes, counts in the mean of both replicas."""
    found = {}
    for size in (1, 2, 5, 8):

        def batches(size=size):
            for start in (0, 100):
                every = np.arange(start, start + size, dtype="float32")
                yield every[:, None], every

        spec = tf.TensorSpec((None, 1)), tf.TensorSpec((None,))
        dataset = tf.data.Dataset.from_generator(batches, output_signature=spec)
        with strategy_scope("mirrored"):
            strategy = tf.distribute.get_strategy()
            counts = {}
            for x, y, weight in share_out(dataset, strategy):
                parts = [strategy.experimental_local_results(each) for each in (x, y, weight)]
                for inputs, labels, weights in zip(*parts, strict=True):
                    for a, b, c in zip(inputs, labels, weights, strict=True):
                        assert float(a[0]) == float(b)
                        share = float(c) / len(weights) / len(parts[0])
                        counts[int(b)] = counts.get(int(b), 0.0) + share
        found[size] = counts
    return found


def refused():
    """The message for a batch norm layer that replicas would train by themselves."""
    with strategy_scope("mirrored"):
        norm = layers.BatchNormalization(name="norm")
        base = keras.Sequential([keras.Input((4,)), layers.Dense(3), norm, layers.Dense(3)])
        task = GivenData(base, np.zeros((8, 4), "float32"), np.zeros(8, int))
        try:
            FIT.run(base, task, verbose=0)
        except ValueError as error:
            return str(error)
    return ""


def main(names):
    methods = {each.name: shortened(each) for each in CONTRACT.METHODS}
    checks = {
        **{
            name: lambda each=each: differences(*(of_method(each, s) for s in ("none", "mirrored")))
            for name, each in methods.items()
        },
        "base": lambda: differences(of_base("none"), of_base("mirrored")),
        "joint base": lambda: differences(of_joint_base("none"), of_joint_base("mirrored")),
        "regularized": lambda: differences(of_regularized("none"), of_regularized("mirrored")),
        "resumed": lambda: differences(
            of_method(shortened(CONTRACT.METHODS[4]), "mirrored"), of_resumed("mirrored")
        ),
        "weights": weights_by_example,
        "refused": refused,
    }
    for name in names or checks:
        print(json.dumps({name: checks[name]()}), flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
