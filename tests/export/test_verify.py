"""Tests of the gate: each kind of bad model, made by the real converter, is refused."""

import warnings

import flatbuffers
import keras
import numpy as np
import pytest
import tensorflow as tf
from ai_edge_litert import schema_py_generated as schema
from keras import layers

from swr_keras.export import ExportError, Verification, arena_bytes_host, verify, verify_int8


def convert(model, shape, *, int8=True, io=tf.int8):
    """Converts as is, with whatever batch the model has; returns the bytes and examples."""
    examples = np.random.default_rng(0).normal(size=(8, *shape)).astype("float32")
    converter = tf.lite.TFLiteConverter.from_keras_model(model)
    if int8:
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
        converter.representative_dataset = lambda: ([example[None]] for example in examples)
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
        converter.inference_input_type = converter.inference_output_type = io
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return converter.convert(), examples


def dilated(batch, *, rates=(2,), tail=3):
    x = inputs = keras.Input(batch_shape=(batch, 16, 8, 2))
    for rate in rates:
        x = layers.DepthwiseConv2D((3, 1), dilation_rate=(rate, 1), padding="same")(x)
        x = layers.ReLU()(x)
    x = layers.Conv2D(tail, 1, activation="relu")(x)
    return keras.Model(inputs, layers.Conv2D(3, 1)(x))


def dense(middle):
    inputs = keras.Input(batch_shape=(1, 8))
    return keras.Model(inputs, layers.Dense(3)(middle(layers.Dense(6)(inputs))))


def test_good_model_passes(toy_int8, toy_examples):
    result = verify_int8(toy_int8, toy_examples)
    assert isinstance(result, Verification)
    assert result.operators[0] == "CONV_2D"
    assert (result.num_inputs, result.max_lsb <= 1) == (40, True)
    assert 0 <= result.differing <= 0.05


def test_static_dilated_model_passes():
    verify_int8(*convert(dilated(1), (16, 8, 2)))


def test_float_model_is_refused():
    with pytest.raises(ExportError, match=r"Input '.*' is float32.*convert_int8"):
        verify_int8(*convert(dense(layers.ReLU()), (8,), int8=False))


def test_float_interface_is_refused():
    with pytest.raises(ExportError, match=r"Input '.*' is float32.*inference_input_type"):
        verify_int8(*convert(dense(layers.ReLU()), (8,), io=tf.float32))


def test_float_operator_inside_is_refused():
    with pytest.raises(ExportError, match=r"SIN \(writes '.*'\) computes in float32.*replace"):
        verify_int8(*convert(dense(keras.ops.sin), (8,)))


def test_dilated_convolution_of_unknown_batch_is_refused():
    with pytest.raises(ExportError, match=r"SPACE_TO_BATCH_ND \(writes '.*SpaceToBatch.*batch of"):
        verify_int8(*convert(dilated(None), (16, 8, 2)))


def test_unknown_batch_is_refused(toy_model):
    inputs = keras.Input((8, 8, 2), name="clip")
    model = keras.Model(inputs, toy_model(inputs))
    with pytest.raises(ExportError, match=r"Tensor '.*clip.*' of shape \(1, 8, 8, 2\).*batch of 1"):
        verify_int8(*convert(model, (8, 8, 2)))


def test_five_axes_are_refused():
    inputs = keras.Input(batch_shape=(1, 6, 8, 2))
    x = keras.ops.transpose(keras.ops.reshape(inputs, (1, 6, 2, 4, 2)), (0, 2, 1, 3, 4))
    model = keras.Model(inputs, layers.Dense(3)(keras.ops.reshape(x, (1, 96))))
    with pytest.raises(ExportError, match=r"Tensor '.*' has 5 axes, shape .*reshape"):
        verify_int8(*convert(model, (6, 8, 2)))


@pytest.mark.parametrize("name", ["GELU", "TILE"])
def test_operator_that_micro_lacks_is_refused(name):
    middle = {"GELU": keras.ops.gelu, "TILE": lambda x: keras.ops.tile(x, (1, 2))}[name]
    with pytest.raises(ExportError, match=rf"no operator {name} \(writes '.*'\). Replace"):
        verify_int8(*convert(dense(middle), (8,)))


def test_model_that_micro_cannot_prepare_is_refused():
    concatenate = layers.Concatenate()
    model = dense(lambda x: concatenate([layers.Dense(2)(x) for _ in range(12)]))
    with pytest.raises(ExportError, match="refuses the model.*CONCATENATION, FULLY_CONNECTED"):
        verify_int8(*convert(model, (8,)))


def test_outputs_that_depend_on_the_arena_are_refused(monkeypatch):
    data, examples = convert(dilated(None, rates=(4, 4), tail=16), (16, 8, 2))
    model = schema.ModelT.InitFromObj(schema.Model.GetRootAs(data, 0))
    for tensor in model.subgraphs[0].tensors:
        tensor.shapeSignature = None
    builder = flatbuffers.Builder(0)
    builder.Finish(model.Pack(builder), b"TFL3")
    monkeypatch.setattr(verify, "_BLOCK_OPERATORS", ())
    with pytest.raises(ExportError, match="arena held before"):
        verify_int8(bytes(builder.Output()), examples)


def test_kernels_that_disagree_are_refused(toy_int8, toy_examples, monkeypatch):
    run = verify._run_micro
    monkeypatch.setattr(verify, "_run_micro", lambda data, q: run(data, q) // 2)
    with pytest.raises(ExportError, match=r"differs by \d+ LSB between TFLite Micro and"):
        verify_int8(toy_int8, toy_examples)


@pytest.mark.parametrize("size", [0, 3, 100, 1500])
def test_truncated_file_is_refused(toy_int8, toy_examples, size):
    with pytest.raises(ExportError, match=rf"Received: {size} bytes that .*LiteRT refuses"):
        verify_int8(toy_int8[:size], toy_examples)


def test_no_examples_are_refused(toy_int8, toy_examples):
    with pytest.raises(ValueError, match="at least one example"):
        verify_int8(toy_int8, toy_examples[:0])


def test_arena_on_the_host(toy_int8, keyword_int8):
    assert 1000 < arena_bytes_host(toy_int8) < 10_000
    assert 50_000 < arena_bytes_host(keyword_int8) < 120_000


def test_arena_of_a_model_that_micro_refuses():
    data, _ = convert(dense(keras.ops.gelu), (8,))
    with pytest.raises(ExportError, match="can't run the model: .*GELU"):
        arena_bytes_host(data)
