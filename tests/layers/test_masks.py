"""Masks, their bits, and the deltas that they stand for."""

import keras
import numpy as np
import pytest

import swr_keras as swr
from swr_keras.layers.masks import mask_bytes, masked_delta, pack_mask, unpack_mask, with_deltas


@pytest.mark.parametrize("shape", [(1,), (8,), (9,), (3, 3, 1, 6), (2, 0), (5, 7, 11)])
def test_bits_give_the_mask_back(shape):
    mask = np.random.default_rng(0).random(shape) < 0.5
    bits = pack_mask(mask)
    assert bits.dtype == np.uint8 and bits.shape == (mask_bytes(mask.size),)
    np.testing.assert_array_equal(unpack_mask(bits, shape), mask)


def test_bits_are_in_the_order_of_the_weights_from_the_highest_bit_on():
    mask = np.zeros((2, 5), bool)
    mask[0, 0] = mask[1, 3] = True
    assert pack_mask(mask).tolist() == [0b1000_0000, 0b1000_0000]


@pytest.mark.parametrize(
    "bits", [np.zeros(1, "uint8"), np.zeros(3, "uint8"), np.zeros(2), np.zeros((2, 1), "uint8")]
)
def test_bits_of_another_size_or_type_are_refused(bits):
    with pytest.raises(ValueError, match=r"mask of 9 weights must be uint8 of shape \(2,\)"):
        unpack_mask(bits, (9,))


def test_the_delta_of_a_mask_keeps_or_drops_a_weight_exactly():
    frozen = np.random.default_rng(0).normal(size=1000).astype("float32")
    mask = np.arange(1000) % 3 > 0
    delta = masked_delta(frozen, mask.astype("float32"))
    np.testing.assert_array_equal(frozen + delta, np.where(mask, frozen, 0.0))


def test_masks_become_deltas_and_what_stands_beside_them_stays():
    base = keras.Sequential(
        [
            keras.Input((6, 6, 2)),
            keras.layers.SeparableConv2D(3, 3, name="conv"),
            keras.layers.Flatten(),
            keras.layers.Dense(2, name="head"),
        ]
    )
    model = swr.reparametrize(base, num_classes=2)
    kernel = np.asarray(base.get_layer("conv").pointwise_kernel)
    mask = np.arange(kernel.size).reshape(kernel.shape) % 2 == 0
    arrays = {
        "conv/pointwise_kernel_mask": pack_mask(mask),
        "conv/bias_delta": np.ones(3, "float32"),
        "head/bias": np.ones(2, "float32"),
        "none/kernel_mask": pack_mask(mask),
    }
    found = with_deltas(arrays, model)
    assert set(found) == {
        *("conv/pointwise_kernel_delta", "conv/depthwise_kernel_delta", "conv/bias_delta"),
        *("head/bias", "none/kernel_mask"),
    }
    np.testing.assert_array_equal(found["conv/pointwise_kernel_delta"], np.where(mask, 0, -kernel))
    assert not np.any(found["conv/depthwise_kernel_delta"])
    assert np.all(found["conv/bias_delta"] == 1)
