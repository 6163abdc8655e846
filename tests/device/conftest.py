"""Tasks of one base, and networks of random weights, that the tests share."""

import ctypes

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

from swr_keras.device.bundle import Bundle, DeviceTask
from swr_keras.export import LiteModel, convert_int8, deploy_graph
from swr_keras.export.flatbuffer import parse

LABELS = {"english": ("no", "yes"), "mandarin": ("不", "是"), "french": ("non", "oui")}
ROOM = 64 * 1024
WRITE = ctypes.CFUNCTYPE(
    ctypes.c_bool,
    ctypes.c_void_p,
    ctypes.c_uint32,
    ctypes.POINTER(ctypes.c_uint8),
    ctypes.c_uint32,
)


def examples(seed=0):
    return np.random.default_rng(seed).normal(size=(16, 12, 10, 1)).astype("float32")


def network(task):
    """Tasks that share all kernels but those of the last convolution and the head."""
    keras.utils.set_random_seed(0)
    inputs = keras.Input((12, 10, 1))
    x = inputs
    for filters in (8, 12):
        x = layers.Conv2D(filters, 3, padding="same")(x)
        x = layers.DepthwiseConv2D(3, padding="same", use_bias=False)(x)
        x = layers.BatchNormalization()(x)
        x = layers.ReLU()(x)
    x = layers.Conv2D(6, 1, name="own")(x)
    x = layers.GlobalAveragePooling2D()(x)
    model = keras.Model(inputs, layers.Dense(2, name="head")(x))
    random = np.random.default_rng(list(LABELS).index(task))
    for layer in model.layers:
        if isinstance(layer, layers.BatchNormalization):
            layer.gamma.assign(random.uniform(0.5, 1.5, layer.gamma.shape))
        elif layer.name in ("own", "head"):
            layer.set_weights([random.normal(size=each.shape) for each in layer.get_weights()])
    for _ in range(200):
        model(examples(), training=True)
    return model


@pytest.fixture(scope="session")
def int8():
    """The models of three tasks."""
    return {name: convert_int8(network(name), examples()) for name in LABELS}


@pytest.fixture(scope="session")
def tasks(int8):
    return {name: DeviceTask(int8[name], LABELS[name]) for name in LABELS}


@pytest.fixture
def first(tasks):
    """Two tasks, with room for more."""
    return Bundle.build(
        {name: tasks[name] for name in ("english", "mandarin")}, image_bytes=ROOM, slot_bytes=512
    )


@pytest.fixture(scope="session")
def losing_power():
    """Makes the `SwrWrite` of C of a flash that loses power after some bytes."""

    def make(flash, power=2**32):
        left = power

        def write(_, offset, data, length):
            nonlocal left
            count = min(length, left)
            flash[offset : offset + count] = data[:count]
            left -= count
            return count == length

        return WRITE(write)

    return make


@pytest.fixture(scope="session")
def micro_features():
    """Computes the features `(frames, 40)` that a device should give of int16 audio."""
    package = pytest.importorskip(
        "pymicro_features", reason="needs the extra swr-keras[microfrontend]"
    )

    def compute(pcm):
        frontend, data, frames = package.MicroFrontend(), pcm.tobytes(), []
        for start in range(0, len(data) - 319, 320):
            frame = frontend.process_samples(data[start : start + 320]).features
            if frame:
                frames.append(frame)
        return np.array(np.array(frames) * 25.6, "uint16").reshape(-1, 40)

    return compute


@pytest.fixture(scope="session")
def strict_flags():
    """Flags of gcc and clang that refuse what could go wrong, and stop at what does."""
    warnings = ("-Wall", "-Wextra", "-Wconversion", "-Wpedantic", "-Werror")
    return "-O1", "-fsanitize=undefined", "-fno-sanitize-recover", *warnings


@pytest.fixture(scope="session")
def random_int8():
    """Converts a function of tensors, or a model, after it got random weights.

    Quicker than `convert_int8`, and of operators that it refuses, too.
    """

    def make(function, shape=(9, 7, 6)):
        if isinstance(function, keras.Model):
            model = function
        else:
            inputs = keras.Input(shape)
            model = keras.Model(inputs, function(inputs))
        _randomize(model)
        return parse(_to_int8(deploy_graph(model)))

    return make


def _randomize(model):
    """Gives weights of all signs and sizes, so that scales of channels differ."""
    random = np.random.default_rng(2)
    for layer in model.layers:
        if isinstance(layer, layers.BatchNormalization):
            for weight in layer.weights:
                weight.assign(random.uniform(0.5, 1.5, weight.shape))
            continue
        for weight in layer.weights:
            spread = random.uniform(0.2, 2, weight.shape[-1:])
            scale = np.prod(weight.shape[:-1]) ** -0.5
            weight.assign(random.normal(size=weight.shape) * spread * max(scale, 0.1))


def _to_int8(model):
    signature = tf.TensorSpec(model.input_shape, tf.float32)
    function = tf.function(lambda x: model(x), input_signature=[signature])
    converter = tf.lite.TFLiteConverter.from_concrete_functions(
        [function.get_concrete_function()], function
    )
    # Values that aren't around 0, so that zero points are not.
    calibration = np.random.default_rng(1).normal(0.7, 2, size=(12, *model.input_shape))
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.representative_dataset = lambda: ([x.astype("float32")] for x in calibration)
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    converter.inference_input_type = converter.inference_output_type = tf.int8
    return converter.convert()


@pytest.fixture(scope="session")
def assert_exact():
    """Compares each task with TFLite Micro, twice, so that others use the arena between."""

    def check(host, models):
        engines = {task: LiteModel(model, engine="tflm") for task, model in models.items()}
        for _ in range(2):
            for task, engine in engines.items():
                q = _int8_inputs(engine)
                expected = engine.predict_int8(q).reshape(len(q), -1)
                np.testing.assert_array_equal(host.predict_int8(task, q), expected)
                assert len(np.unique(expected)) > 1

    return check


def _int8_inputs(model, count=6):
    """Noise over all of the grid, its ends, and features."""
    shape = (count, *model.input_shape[1:])
    noise = np.random.default_rng(3).integers(-128, 128, shape, "int8")
    ends = np.stack([np.full(shape[1:], value, "int8") for value in (-128, 127)])
    features = model.quantize(np.random.default_rng(4).normal(0.7, 2, shape))
    return np.concatenate([noise, ends, features])
