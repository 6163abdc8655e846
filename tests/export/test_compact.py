import numpy as np
import pytest

from swr_keras.export import LiteModel, convert_int8
from swr_keras.export.compact import compact
from swr_keras.export.constants import bias_step, read_biases, read_integers
from swr_keras.export.flatbuffer import as_object, parse
from swr_keras.export.flatbuffer_nodes import to_file


def kernels_and_biases(data):
    model = as_object(data)
    tensors = model.subgraphs[0].tensors
    for _, kernel, bias in read_biases(model).values():
        yield tensors[kernel], read_integers(model, tensors[bias])


def significant_bits(values):
    mantissas, _ = np.frexp(np.float64(values))
    bits = np.arange(1, 25)
    exact = np.ldexp(mantissas[:, np.newaxis], bits) % 1 == 0
    return bits[exact.argmax(axis=1)]


@pytest.fixture(params=["alone", "like its base"])
def int8(request, keyword_model, keyword_int8, log_mel):
    if request.param == "alone":
        return keyword_int8
    return convert_int8(keyword_model, log_mel(32, seed=4), like=keyword_int8).data


def test_a_channel_takes_four_bytes(int8):
    found = list(kernels_and_biases(int8))
    assert len(found) > 40
    for kernel, bias in found:
        assert significant_bits(kernel.quantization.scale).max() <= 11
        step = bias_step(bias)
        assert np.abs(bias).max() <= step * (2**15 - 1)
        assert not np.any(bias % step)


def test_what_is_compact_stays(int8):
    again = compact(int8)
    for (kernel, bias), (kernel_again, bias_again) in zip(
        kernels_and_biases(int8), kernels_and_biases(again), strict=True
    ):
        np.testing.assert_array_equal(kernel.quantization.scale, kernel_again.quantization.scale)
        np.testing.assert_array_equal(bias, bias_again)


def test_scales_of_any_precision_are_rounded_with_next_to_no_change(toy_int8, toy_examples):
    model = as_object(toy_int8)
    for tensor in model.subgraphs[0].tensors:
        if tensor.quantization is not None and np.size(tensor.quantization.scale) > 1:
            tensor.quantization.scale = np.float32(1.000123 * tensor.quantization.scale)
    wide = to_file(model)
    assert any(
        significant_bits(k.quantization.scale).max() > 11 for k, _ in kernels_and_biases(wide)
    )
    ours, theirs = LiteModel(parse(compact(wide))), LiteModel(parse(wide))
    difference = ours.predict(toy_examples) - theirs.predict(toy_examples)
    assert np.abs(difference).max() <= 1.01 * theirs.output_scale
