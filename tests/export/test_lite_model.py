"""Tests of `swr_keras.export.LiteModel`."""

import numpy as np
import pytest
import tensorflow as tf

from swr_keras.export import ExportError, LiteModel


@pytest.fixture(params=["litert", "tflm"])
def lite(request, toy_int8):
    return LiteModel(toy_int8, engine=request.param)


def test_attributes(lite):
    assert lite.input_shape == (1, 8, 8, 2)
    assert lite.output_shape == (1, 3)
    assert lite.input_scale > 0
    assert -128 <= lite.input_zero_point <= 127
    assert lite.output_scale > 0
    assert -128 <= lite.output_zero_point <= 127


def test_engines_agree_on_the_interface(toy_int8):
    litert, tflm = (LiteModel(toy_int8, engine=engine) for engine in ("litert", "tflm"))
    assert litert.input_scale == pytest.approx(tflm.input_scale, rel=1e-6)
    assert litert.output_zero_point == tflm.output_zero_point


def test_engines_agree_within_one_step(keyword_int8, log_mel):
    q = LiteModel(keyword_int8).quantize(log_mel(16, seed=8))
    outputs = [
        LiteModel(keyword_int8, engine=engine).predict_int8(q) for engine in ("litert", "tflm")
    ]
    assert np.abs(outputs[0].astype(int) - outputs[1]).max() <= 1


def test_quantize_rounds_half_to_even_and_clips(lite):
    steps = np.array([-1e6, -1.5, -0.5, 0.0, 0.5, 1.4, 1.6, 2.5, 1e6])
    expected = np.array([0, -2, 0, 0, 0, 1, 2, 2, 0]) + lite.input_zero_point
    expected[[0, -1]] = [-128, 127]
    x = np.zeros((1, 8, 8, 2))
    x.flat[: len(steps)] = steps * lite.input_scale
    q = lite.quantize(x)
    assert q.dtype == np.int8
    np.testing.assert_array_equal(q.flat[: len(steps)], np.clip(expected, -128, 127))


def test_predict_is_near_the_keras_model(lite, toy_model, toy_examples):
    outputs = lite.predict(toy_examples)
    assert outputs.dtype == np.float32
    np.testing.assert_allclose(
        outputs, toy_model.predict(toy_examples, verbose=0), atol=6 * lite.output_scale
    )


def test_predictions_are_copies(lite, toy_examples):
    first = lite.predict_int8(lite.quantize(toy_examples[:1]))
    kept = first.copy()
    lite.predict(toy_examples[1:4])
    np.testing.assert_array_equal(first, kept)


def test_no_examples_give_no_predictions(lite, toy_examples):
    assert lite.predict(toy_examples[:0]).shape == (0, 3)


def test_evaluate(lite, toy_examples):
    labels = lite.predict(toy_examples).argmax(-1)
    labels[:10] = (labels[:10] + 1) % 3
    assert lite.evaluate(toy_examples, labels) == {"accuracy": 0.75}
    assert lite.evaluate(toy_examples, labels[:, None]) == {"accuracy": 0.75}
    batches = tf.data.Dataset.from_tensor_slices((toy_examples, labels)).batch(7)
    assert lite.evaluate(batches) == {"accuracy": 0.75}


def test_path_is_accepted(toy_int8, toy_examples, tmp_path):
    path = tmp_path / "toy.tflite"
    path.write_bytes(toy_int8)
    expected = LiteModel(toy_int8).predict(toy_examples)
    np.testing.assert_array_equal(LiteModel(path).predict(toy_examples), expected)
    np.testing.assert_array_equal(LiteModel(str(path)).predict(toy_examples), expected)


def test_bad_inputs_are_refused(lite, toy_examples):
    with pytest.raises(ValueError, match=r"\(n, 8, 8, 2\). Received: shape=\(8, 8, 2\)"):
        lite.predict(toy_examples[0])
    with pytest.raises(ValueError, match="1 NaN or infinite"):
        lite.predict(np.where(np.arange(128).reshape(1, 8, 8, 2) == 5, np.nan, 0.0))
    with pytest.raises(ValueError, match="dtype=float32"):
        lite.predict_int8(toy_examples)
    with pytest.raises(ValueError, match="one class index per example"):
        lite.evaluate(toy_examples, np.zeros((40, 3)))
    with pytest.raises(ValueError, match="empty data set"):
        lite.evaluate(toy_examples[:0], np.zeros(0))


def test_unknown_engine_is_refused(toy_int8):
    with pytest.raises(ValueError, match="engine='xnnpack'"):
        LiteModel(toy_int8, engine="xnnpack")


def test_damaged_file_is_refused(toy_int8):
    with pytest.raises(ExportError, match="cut short"):
        LiteModel(toy_int8[:-200])
