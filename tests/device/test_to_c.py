"""Each operator in generated C, compiled for this machine, against TFLite Micro's own kernels."""

import shutil

import numpy as np
import pytest
import tensorflow as tf
from ai_edge_litert import schema_py_generated as schema
from keras import layers, ops

from swr_keras.device import DeviceTask
from swr_keras.device.host import HostModel
from swr_keras.device.plain_c.lowering import OPERATORS
from swr_keras.device.to_c import to_c
from swr_keras.export.flatbuffer import as_object, parse
from swr_keras.export.flatbuffer_nodes import to_file

pytestmark = [
    pytest.mark.skipif(not shutil.which("gcc"), reason="needs the compiler gcc"),
    # Of the converter, at concrete functions.
    pytest.mark.filterwarnings("ignore:Statistics for quantized inputs:UserWarning"),
]


def gate(x):
    """A value for each channel, from 0 to 1."""
    pooled = layers.GlobalAveragePooling2D(keepdims=True)(x)
    return layers.Conv2D(x.shape[-1], 1, activation="sigmoid")(pooled)


def row(x):
    """A value for each column and channel."""
    return layers.AveragePooling2D((x.shape[1], 1))(x)


def constant(shape, seed=5):
    return ops.convert_to_tensor(np.random.default_rng(seed).normal(size=shape).astype("float32"))


def conv(filters=5, kernel=3, **options):
    return layers.Conv2D(filters, kernel, **options)


def depthwise(kernel=3, **options):
    return layers.DepthwiseConv2D(kernel, **options)


def flat(units, **options):
    return lambda x: layers.Dense(units, **options)(layers.Flatten()(x))


def tensorflow(function):
    return lambda x: layers.Lambda(function)(x)


NETWORKS = {
    "conv valid": conv(),
    "conv same": conv(padding="same"),
    "conv strides": conv(kernel=(3, 2), strides=(2, 2), padding="same"),
    "conv strides, valid": conv(kernel=(2, 3), strides=(3, 2)),
    "conv dilation": conv(dilation_rate=2, padding="same"),
    "conv dilation, rows": conv(dilation_rate=(3, 1), padding="same", use_bias=False),
    "conv larger than its input": conv(kernel=(11, 9), padding="same"),
    "conv relu": conv(activation="relu"),
    "conv relu6": conv(activation="relu6", padding="same"),
    "pointwise": conv(kernel=1),
    "pointwise, one column": lambda x: conv(9, 1)(row(ops.transpose(x, (0, 2, 1, 3)))),
    "pointwise strides": conv(kernel=1, strides=2),
    "one row": conv(kernel=(1, 3), padding="same"),
    "depthwise valid": depthwise(),
    "depthwise same": depthwise(padding="same"),
    "depthwise strides": depthwise(strides=2, padding="same"),
    "depthwise dilation": depthwise((3, 1), dilation_rate=(2, 1), padding="same"),
    "depthwise line, strides": depthwise((3, 1), strides=2, padding="same"),
    "depthwise dilation, valid": depthwise((2, 3), dilation_rate=(3, 2)),
    "depthwise multiplier": depthwise(depth_multiplier=3, padding="same"),
    "depthwise relu": depthwise((1, 3), padding="same", activation="relu"),
    "depthwise row, repeated": lambda x: depthwise((1, 3), padding="same")(
        depthwise((1, 1))(depthwise((1, 5), padding="same")(x))
    ),
    "separable": layers.SeparableConv2D(4, 3, padding="same"),
    "conv1d": lambda x: layers.Conv1D(5, 3, dilation_rate=2, padding="causal")(
        layers.Reshape((9, 42))(x)
    ),
    "dense": flat(10),
    "dense relu": flat(10, activation="relu"),
    "dense without bias": flat(4, use_bias=False),
    "dense on many rows": layers.Dense(3),
    "add": lambda x: conv(6, 3, padding="same")(x) + x,
    "add, relu": lambda x: layers.ReLU()(conv(6, 3, padding="same")(x) + x),
    "add to itself": lambda x: x + x,
    "add a gate": lambda x: x + gate(x),
    "add a row": lambda x: row(x) + x,
    "add a column and a row": lambda x: row(x) + layers.AveragePooling2D((1, x.shape[2]))(x),
    "add a constant": lambda x: x + constant((1, 7, 6)),
    "subtract": lambda x: conv(6, 1)(x) - x,
    "subtract a row": lambda x: x - row(x),
    "subtract from a constant": lambda x: constant((7, 1)) - x,
    "multiply": lambda x: conv(6, 1)(x) * x,
    "multiply by a gate": lambda x: x * gate(x),
    "multiply by a constant": lambda x: x * constant((1, 9, 1, 6)),
    "maximum": lambda x: ops.maximum(x, constant(())),
    "minimum": lambda x: ops.minimum(x, constant((), seed=6)),
    "average pool": layers.AveragePooling2D(2),
    "average pool same": layers.AveragePooling2D((3, 2), strides=(2, 1), padding="same"),
    "max pool": layers.MaxPooling2D((2, 3), strides=(1, 2)),
    "max pool same": layers.MaxPooling2D(3, strides=2, padding="same"),
    "average pool of one value": layers.AveragePooling2D(1, strides=(2, 3)),
    "max pool of one value": layers.MaxPooling2D(1, strides=2, padding="same"),
    "global average": layers.GlobalAveragePooling2D(),
    "global average, kept": layers.GlobalAveragePooling2D(keepdims=True),
    "global max": layers.GlobalMaxPooling2D(),
    "mean of channels": lambda x: ops.mean(x, axis=-1),
    "mean of rows": lambda x: ops.mean(x, axis=1, keepdims=True),
    "mean of rows and channels": lambda x: ops.mean(x, axis=(1, 3)),
    "sum": lambda x: ops.sum(x, axis=(1, 2)),
    "sum of columns": lambda x: ops.sum(x, axis=2, keepdims=True),
    "max of channels": lambda x: ops.max(x, axis=-1),
    "min of rows": lambda x: ops.min(x, axis=1),
    "sigmoid": layers.Activation("sigmoid"),
    "tanh": layers.Activation("tanh"),
    "relu": lambda x: layers.ReLU()(layers.Reshape((9, 42))(x)),
    "relu6": lambda x: layers.ReLU(max_value=6)(layers.Reshape((9, 42))(x)),
    "leaky relu": layers.LeakyReLU(negative_slope=0.2),
    "hard swish": layers.Activation("hard_silu"),
    "silu": layers.Activation("silu"),
    "softmax": lambda x: layers.Softmax()(flat(12)(x)),
    "softmax of many rows": lambda x: layers.Softmax()(3 * x),
    "softmax of two": lambda x: layers.Softmax()(20 * flat(2)(x)),
    "pad": layers.ZeroPadding2D(((1, 2), (0, 3))),
    "pad channels": lambda x: ops.pad(x, ((0, 0), (0, 0), (0, 0), (2, 1))),
    "concatenate": lambda x: layers.Concatenate()([conv(3, 1)(x), x]),
    "concatenate rows": lambda x: layers.Concatenate(axis=1)([x, row(x), x[:, :2]]),
    "concatenate other scales": lambda x: layers.Concatenate()([ops.sigmoid(x), x]),
    "nearest": layers.UpSampling2D((2, 3), interpolation="nearest"),
    "nearest, fraction": lambda x: ops.image.resize(x, (6, 11), interpolation="nearest"),
    "transpose": lambda x: ops.transpose(x, (0, 3, 1, 2)),
    "transpose, rows": layers.Permute((2, 1, 3)),
    "slice": lambda x: x[:, 1:-2, 3],
    "strided slice": lambda x: x[:, ::2, 1::3],
    "backwards": lambda x: x[:, ::-1],
    "split": lambda x: layers.Concatenate()(ops.split(x, 3, axis=-1)[::-1]),
    "stack": lambda x: ops.stack([x[..., 0], x[..., 1]], axis=1),
    "depth to space": tensorflow(lambda x: tf.nn.depth_to_space(x[:, :, :, :4], 2)),
    "space to depth": tensorflow(lambda x: tf.nn.space_to_depth(x[:, :8, :6], 2)),
    # Of outputs that nothing reads, the converter quantizes now these and now those.
    "unpack": tensorflow(lambda x: tf.stack(tf.unstack(x, axis=3), 1)),
    "pad by a value": tensorflow(
        lambda x: tf.pad(x, ((0, 0), (1, 1), (0, 2), (0, 0)), constant_values=1.5)
    ),
    "slice of sizes": tensorflow(lambda x: tf.slice(x, (0, 1, 2, 0), (1, 4, -1, 3))),
    "split in sizes": tensorflow(lambda x: tf.concat(tf.split(x, (1, 3, 2), 3)[::-1], 3)),
    "broadcast": tensorflow(lambda x: tf.broadcast_to(x[:, :1], (1, 9, 7, 6))),
    "reverse": tensorflow(lambda x: tf.reverse(x, [1, 2])),
    "conv clipped": lambda x: layers.Lambda(lambda y: tf.clip_by_value(y, -1, 1))(conv()(x)),
    "absolute": tensorflow(tf.abs),
    "reciprocal root": tensorflow(lambda x: tf.math.rsqrt(tf.nn.relu(x) + 0.1)),
}


# The converter writes reshapes for these: at which axes, from and to which shape.
RESHAPES = {
    "expand rows": ("EXPAND_DIMS", [1], (1, 7, 6), (1, 1, 7, 6)),
    "expand columns": ("EXPAND_DIMS", [2], (1, 7, 6), (1, 7, 1, 6)),
    "expand channels": ("EXPAND_DIMS", [-1], (1, 7, 6), (1, 7, 6, 1)),
    "expand a vector": ("EXPAND_DIMS", [-2], (1, 6), (1, 1, 6)),
    "squeeze rows": ("SQUEEZE", [1], (1, 1, 7, 6), (1, 7, 6)),
    "squeeze columns": ("SQUEEZE", [-2], (1, 9, 1, 6), (1, 9, 6)),
    "squeeze channels": ("SQUEEZE", [3], (1, 9, 7, 1), (1, 9, 7)),
    "squeeze two axes": ("SQUEEZE", [-2, 1], (1, 1, 1, 6), (1, 6)),
    "squeeze all axes": ("SQUEEZE", [], (1, 1, 7, 1), (7,)),
}


# What the logistic function is taken of: scales from where it is a line to where it is a step.
LOGISTICS = {
    f"sigmoid of scale {scale:g}, zero point {zero_point}": (scale, zero_point)
    for scale, zero_point in [
        *((1e-4, 90), (4e-4, 17), (0.01, -128), (0.03137, 3), (0.0625, 0), (0.0626, -1)),
        *((0.11, 127), (0.25, -40), (0.7, 5), (1.5, -3), (7.5, 0), (15.0, 2), (40.0, -128)),
    ]
}


@pytest.fixture(scope="module")
def models(random_int8):
    plain = {name: random_int8(function) for name, function in NETWORKS.items()}
    sigmoid = plain["sigmoid"]
    plain |= {name: with_input_of(sigmoid, *LOGISTICS[name]) for name in LOGISTICS}
    return plain | {
        name: with_reshape_as(operator, axes, random_int8(reshaped(to), shape[1:]))
        for name, (operator, axes, shape, to) in RESHAPES.items()
    }


def reshaped(shape):
    """Of a value that isn't the input, to one that isn't the output."""
    return tensorflow(lambda x: tf.tanh(tf.reshape(tf.sigmoid(x), shape)))


def with_input_of(contents, scale, zero_point):
    """Writes another scale and zero point of a model's input."""
    model = as_object(contents.data)
    graph = model.subgraphs[0]
    quantization = graph.tensors[graph.inputs[0]].quantization
    quantization.scale = np.array([scale], np.float32)
    quantization.zeroPoint = np.array([zero_point], np.int64)
    return parse(to_file(model))


def with_reshape_as(operator, axes, contents):
    """Writes another operator in place of a model's reshape."""
    model = as_object(contents.data)
    graph = model.subgraphs[0]
    number = [each.name for each in contents.operators].index("RESHAPE")
    found = graph.operators[number]
    code = model.operatorCodes[found.opcodeIndex]
    code.builtinCode = code.deprecatedBuiltinCode = getattr(schema.BuiltinOperator, operator)
    if operator == "SQUEEZE":
        found.builtinOptionsType = schema.BuiltinOptions.SqueezeOptions
        found.builtinOptions = schema.SqueezeOptionsT(squeezeDims=axes)
        found.inputs = found.inputs[:1]
    else:
        found.builtinOptionsType = schema.BuiltinOptions.ExpandDimsOptions
        found.builtinOptions = schema.ExpandDimsOptionsT()
        axis = graph.tensors[found.inputs[1]]
        axis.shape = np.array([1], np.int32)
        model.buffers[axis.buffer].data = np.frombuffer(np.array(axes, np.int32), np.uint8)
    return parse(to_file(model))


@pytest.fixture(scope="module")
def host(models, strict_flags):
    """All of them in one source."""
    sources = to_c({name: DeviceTask(model, ()) for name, model in models.items()})
    return HostModel(sources, flags=strict_flags)


@pytest.mark.parametrize("name", [*NETWORKS, *LOGISTICS, *RESHAPES])
def test_outputs_are_those_of_tflite_micro(name, models, host, assert_exact):
    assert_exact(host, {name: models[name]})


def test_all_operators_are_tested(models):
    found = {operator.name for model in models.values() for operator in model.operators}
    assert OPERATORS <= found
