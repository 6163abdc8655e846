"""Tests of `swr_keras.export.convert_int8`."""

from collections import Counter

import keras
import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema
from keras import layers

from swr_keras.backbones import bcresnet
from swr_keras.export import ExportError, LiteModel, convert_int8, verify_int8
from swr_keras.export.flatbuffer import read_model
from swr_keras.export.folding import avoid_rounding_ties


def test_keyword_model_has_no_transposes_and_no_loose_ends(keyword_int8):
    contents = read_model(keyword_int8)
    names = {operator.name for operator in contents.operators}
    assert not names & {"TRANSPOSE", "SPACE_TO_BATCH_ND", "BATCH_TO_SPACE_ND", "QUANTIZE", "SHAPE"}
    assert max(len(tensor.shape) for tensor in contents.tensors) <= 4
    assert {tensor.dtype for tensor in contents.tensors} == {"int8", "int32"}
    assert names.isdisjoint({"SUB", "RSQRT", "SQUARED_DIFFERENCE"})


def test_keyword_model_is_near_the_float_model(keyword_model, keyword_int8, log_mel):
    examples = log_mel(24, seed=5)
    expected = keyword_model.predict(examples, verbose=0)
    actual = LiteModel(keyword_int8, engine="tflm").predict(examples)
    snr = np.mean(expected**2) / np.mean((actual - expected) ** 2)
    assert 10 * np.log10(snr) > 14
    assert np.mean(actual.argmax(-1) == expected.argmax(-1)) > 0.9
    result = verify_int8(keyword_int8, examples)
    assert result.num_inputs == 24
    assert result.max_lsb <= 1
    assert len(result.operators) < 150


def test_hard_swish_is_one_operator_a_block(log_mel):
    keras.utils.set_random_seed(1)
    model = bcresnet(1, activation="hard_swish")
    for _ in range(25):
        model(log_mel(16, seed=0), training=True)
    int8 = convert_int8(model, log_mel(16, seed=0))
    names = Counter(operator.name for operator in int8.contents.operators)
    assert names["HARD_SWISH"] == 12
    assert names.keys().isdisjoint({"LOGISTIC", "MUL", "DIV", "MINIMUM", "RELU6"})
    assert int8.verification.max_lsb <= 1
    examples = log_mel(24, seed=5)
    expected = model.predict(examples, verbose=0)
    actual = LiteModel(int8, engine="tflm").predict(examples)
    assert 10 * np.log10(np.mean(expected**2) / np.mean((actual - expected) ** 2)) > 14


def test_conversion_is_deterministic(toy_model, toy_examples, toy_int8):
    assert bytes(convert_int8(toy_model, toy_examples)) == toy_int8
    assert bytes(convert_int8(toy_model, iter(toy_examples))) == toy_int8


def test_conversion_prints_nothing_and_keeps_the_model(toy_model, toy_examples, capsys, recwarn):
    weights = [w.copy() for w in toy_model.get_weights()]
    convert_int8(toy_model, toy_examples[:4])
    assert capsys.readouterr().out == ""
    assert not recwarn.list
    for old, new in zip(weights, toy_model.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)


def kernels(data):
    """Constant int8 tensors by name."""
    model = schema.ModelT.InitFromObj(schema.Model.GetRootAs(data, 0))
    tensors = model.subgraphs[0].tensors
    constants = [(t.name, model.buffers[t.buffer].data, t.type) for t in tensors]
    return {n: bytes(b) for n, b, t in constants if b is not None and t == schema.TensorType.INT8}


def move_statistics(model, seed):
    """Changes the batch-norm statistics as a task does, affine kept."""
    rng = np.random.default_rng(seed)
    for layer in model.layers:
        if isinstance(layer, layers.BatchNormalization):
            shape = layer.moving_mean.shape
            layer.moving_mean.assign(layer.moving_mean + rng.normal(0, 0.1, shape))
            layer.moving_variance.assign(layer.moving_variance * rng.uniform(0.5, 2, shape))


def test_frozen_kernels_are_identical_across_batch_norm_statistics(
    keyword_model, keyword_int8, log_mel
):
    task = keras.models.clone_model(keyword_model)
    task.set_weights(keyword_model.get_weights())
    move_statistics(task, seed=11)
    other = convert_int8(task, log_mel(32, seed=6)).data
    assert other != keyword_int8
    assert kernels(other) == kernels(keyword_int8)


@pytest.mark.parametrize(
    ("layer", "axes"),
    [
        (layers.Conv2D(32, 3), (0, 1, 2)),
        (layers.DepthwiseConv2D(3, depth_multiplier=4), (0, 1)),
        (layers.Dense(200), (0,)),
    ],
    ids=lambda value: type(value).__name__,
)
def test_int8_kernel_does_not_depend_on_the_scale_of_a_channel(layer, axes):
    rng = np.random.default_rng(0)
    model = keras.Sequential([keras.Input((8, 8, 16)), layer])
    # Every weight lies on a value of int8 or half-way between two.
    kernel = np.float32(rng.integers(-252, 253, layer.kernel.shape) / 2)
    kernel[(0,) * len(axes)] = 127.0
    layer.kernel.assign(kernel)
    avoid_rounding_ties(model)
    moved = np.asarray(layer.kernel)

    def quantize(values):
        return np.rint(values / (np.abs(values).max(axis=axes, keepdims=True) / np.float32(127)))

    assert np.abs(moved - kernel).max() < 0.0011
    for _ in range(20):
        scale = np.float32(rng.uniform(0.01, 10, kernel.shape[len(axes) :]))
        np.testing.assert_array_equal(quantize(moved * scale), quantize(moved))


def test_dead_channel_converts(toy_model, toy_examples):
    model = keras.models.clone_model(toy_model)
    model.layers[0].kernel.assign(model.layers[0].kernel * np.array([1.0, 0.0, 1.0, 1.0]))
    convert_int8(model, toy_examples)


@pytest.mark.parametrize(
    ("calibration", "message"),
    [
        (np.zeros((0, 8, 8, 2)), "Received: none"),
        ([], "Received: none"),
        (np.ones((4, 8, 8, 2)), "the value 1.0 everywhere"),
        (np.zeros((4, 8, 2)), r"shape \(n, 8, 8, 2\).*Received: shape=\(4, 8, 2\)"),
        ([np.zeros((8, 8, 2)), np.zeros((7, 8, 2))], r"one shape.*\(7, 8, 2\)"),
        (np.full((4, 8, 8, 2), np.nan), "NaN or infinite values in 4 of 4 examples.*index 0"),
        (np.full((4, 8, 8, 2), np.inf), "must be finite"),
    ],
)
def test_bad_calibration_is_refused(toy_model, calibration, message):
    with pytest.raises(ValueError, match=message):
        convert_int8(toy_model, calibration)


def test_several_inputs_or_outputs_are_refused(toy_examples):
    first, second = keras.Input((4,)), keras.Input((4,))
    two_inputs = keras.Model([first, second], layers.Add()([first, second]), name="siamese")
    with pytest.raises(ValueError, match="one input.*'siamese' with 2 inputs"):
        convert_int8(two_inputs, toy_examples)
    two_outputs = keras.Model(first, [layers.ReLU()(first), layers.Dense(2)(first)])
    with pytest.raises(ValueError, match="one output"):
        convert_int8(two_outputs, toy_examples)


def test_integer_input_is_refused():
    inputs = keras.Input((4,), dtype="int32")
    model = keras.Model(inputs, layers.Embedding(5, 3)(inputs))
    with pytest.raises(ValueError, match="float32 input. Received: int32"):
        convert_int8(model, np.ones((2, 4)))


def test_diverged_weights_are_refused(toy_model, toy_examples):
    model = keras.models.clone_model(toy_model)
    model.layers[-1].bias.assign([0.0, np.nan, 0.0])
    with pytest.raises(ExportError, match=r"bias' of the deploy graph has NaN.*diverged"):
        convert_int8(model, toy_examples)


def test_vanishing_activations_are_refused(toy_model, toy_examples):
    model = keras.models.clone_model(toy_model)
    model.layers[0].kernel.assign(model.layers[0].kernel * 1e-9)
    with pytest.raises(ExportError, match=r"CONV_2D writes '.*', whose values vanish"):
        convert_int8(model, toy_examples)


def test_recurrent_layers_are_refused():
    model = keras.Sequential([keras.Input((5, 4)), layers.GRU(3, name="gru")])
    with pytest.raises(ValueError, match=r"Recurrent.*'gru'.*convolutions"):
        convert_int8(model, np.random.default_rng(0).normal(size=(4, 5, 4)))


def test_model_that_fails_the_gate_is_not_returned():
    inputs = keras.Input((8,))
    model = keras.Model(inputs, layers.Dense(3)(keras.ops.sin(layers.Dense(5)(inputs))))
    with pytest.raises(ExportError, match="SIN"):
        convert_int8(model, np.random.default_rng(0).normal(size=(8, 8)))
