"""Examples per second of a BC-ResNet training step, with Keras' batch norm and with ours.

The variants take turns, so that a change of the machine's load hits all of them:

  python benchmarks/training_step.py --tau=1
"""

import time

import keras
import numpy as np
import tensorflow as tf
from absl import app, flags

import swr_keras as swr
from swr_keras.graph import clone
from swr_keras.layers import SubSpectralNormalization

_TAU = flags.DEFINE_float("tau", 1.0, "Width of the BC-ResNet.")
_BATCH_SIZE = flags.DEFINE_integer("batch_size", 64, "Examples a step.", lower_bound=1)
_STEPS = flags.DEFINE_integer("steps", 10, "Steps a turn.", lower_bound=1)
_TURNS = flags.DEFINE_integer("turns", 8, "Turns of each variant.", lower_bound=1)


@keras.saving.register_keras_serializable(package="benchmark")
class UnfusedSubSpectralNormalization(keras.layers.Layer):
    """Sub-spectral normalization of Keras' own layers: reshape, transpose, batch norm, back."""

    def __init__(self, groups=5, **kwargs):
        super().__init__(**kwargs)
        self.groups = groups
        self.norm = keras.layers.BatchNormalization(momentum=0.9, epsilon=1e-5)

    def build(self, input_shape):
        self.norm.build((*input_shape[:3], self.groups * input_shape[3]))

    def call(self, inputs, training=None, mask=None):
        shape = keras.ops.shape(inputs)
        split = (-1, shape[1], self.groups, shape[2] // self.groups, shape[3])
        bands = keras.ops.transpose(keras.ops.reshape(inputs, split), (0, 1, 3, 2, 4))
        folded = keras.ops.reshape(
            bands, (-1, shape[1], shape[2] // self.groups, self.norm.gamma.shape[0])
        )
        outputs = keras.ops.reshape(self.norm(folded, training=training), keras.ops.shape(bands))
        return keras.ops.reshape(keras.ops.transpose(outputs, (0, 1, 3, 2, 4)), shape)


def with_keras_batch_norm(model: keras.Model) -> keras.Model:
    """Returns the model with Keras' unfused batch norm in place of ours."""

    def convert(layer):
        if isinstance(layer, SubSpectralNormalization):
            return UnfusedSubSpectralNormalization(layer.groups, name=layer.name)
        if isinstance(layer, keras.layers.BatchNormalization):
            return keras.layers.BatchNormalization.from_config(layer.get_config())
        return layer.from_config(layer.get_config())

    return clone(model, convert, lambda source, target: target.set_weights(source.get_weights()))


def main(_):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(_BATCH_SIZE.value, 101, 40, 1)).astype("float32")
    batch = (x, rng.integers(0, 12, _BATCH_SIZE.value))
    dataset = tf.data.Dataset.from_tensors(batch).repeat()
    ours = swr.backbones.bcresnet(_TAU.value)
    supernet = swr.SuperNet(ours, num_classes=12)
    variants = {
        "Keras' batch norm": with_keras_batch_norm(ours),
        "fused batch norm": ours,
        "super-net, fused": supernet,
        "policy search, fused": swr.PolicySearch(supernet),
    }
    rates = {name: [] for name in variants}
    for turn in range(_TURNS.value + 1):
        for name, model in variants.items():
            if turn == 0:
                model.compile("adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
            start = time.perf_counter()
            model.fit(dataset, steps_per_epoch=_STEPS.value, verbose=0, shuffle=False)
            if turn > 0:
                seconds = time.perf_counter() - start
                rates[name].append(_STEPS.value * _BATCH_SIZE.value / seconds)
    first = np.median(rates["Keras' batch norm"])
    print(f"{ours.name}, batches of {_BATCH_SIZE.value}: median of {_TURNS.value} turns")
    for name, values in rates.items():
        rate = np.median(values)
        print(f"{name:<22} {rate:>8.0f} examples/s  {rate / first:>5.2f}x")


if __name__ == "__main__":
    app.run(main)
