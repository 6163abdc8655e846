"""Piggyback: masks in training, in a pack, in the accounts."""

import dataclasses

import keras
import numpy as np
import pytest
import tensorflow as tf

import swr_keras as swr
from swr_keras.layers.reparametrized_model import policy_layers
from swr_keras.training.piggyback_model import PiggybackModel

LOSS = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
ALL = ("conv", "depthwise", "pointwise")


@pytest.fixture
def trained(base, arrays):
    model = PiggybackModel(base, ALL, num_classes=3)
    model.compile(keras.optimizers.Adam(5e-2), LOSS)
    model.fit(*arrays, batch_size=32, epochs=10, verbose=0)
    return model


def kernels(model):
    return {path: np.asarray(model.get_layer(path).kernel) for path in ALL}


def test_a_weight_is_the_bases_or_zero(base, trained, arrays):
    merged = trained.merge(check_on=arrays[0])
    for path, kernel in kernels(merged).items():
        frozen = kernels(base)[path]
        kept = trained.masks[f"{path}/kernel_mask"].numpy() >= 0.5
        np.testing.assert_array_equal(kernel, np.where(kept, frozen, 0.0))
        assert 0 < np.mean(kept) < 1
    for path in ("depthwise", "pointwise"):
        np.testing.assert_array_equal(
            merged.get_layer(path).bias.numpy(), base.get_layer(path).bias.numpy()
        )


def test_gradients_are_those_of_the_masked_weight_times_the_weight(base, arrays):
    next(each for each in base.layers if isinstance(each, keras.layers.Dropout)).rate = 0.0
    model = PiggybackModel(base, ALL, num_classes=3)
    x, y = arrays
    with tf.GradientTape() as tape:
        loss = LOSS(y, model(x, training=True))
    found = tape.gradient(loss, model.masks)
    layers = policy_layers(model.model)
    with tf.GradientTape() as tape:
        deltas = {path: layers[path].delta["kernel"] for path in ALL}
        tape.watch([delta.value for delta in deltas.values()])
        loss = LOSS(y, model(x))
    by_weight = tape.gradient(loss, deltas)
    for path in ALL:
        expected = by_weight[path] * layers[path].frozen["kernel"]
        np.testing.assert_allclose(found[f"{path}/kernel_mask"], expected, rtol=1e-4, atol=1e-7)


def test_a_pack_takes_a_bit_a_weight(base, trained, tmp_path):
    pack = trained.pack()
    sizes = {path: kernel.size for path, kernel in kernels(base).items()}
    for path, size in sizes.items():
        bits = pack.arrays[f"{path}/kernel_mask"]
        assert bits.dtype == np.uint8 and bits.shape == (-(-size // 8),)
    head = 4 * (8 * 3 + 3)
    assert pack.num_bytes == sum(-(-size // 8) for size in sizes.values()) + head
    assert not any(name.endswith("_delta") for name in pack.arrays)
    found = swr.summary(trained)
    assert found.owned_bytes == pack.num_bytes
    # In flash a masked kernel is one of the task's own, with a bias and a scale for each channel.
    assert found.flash_bytes == sum(sizes.values()) + 4 * (6 + 6 + 8) + 24 + 4 * 3
    library = swr.TaskLibrary(base)
    library.add("english", pack)
    library.save(tmp_path)
    again = swr.TaskLibrary.load(tmp_path)
    for path, kernel in kernels(trained.merge()).items():
        np.testing.assert_array_equal(kernels(again.merged("english"))[path], kernel)


def test_the_model_of_a_pack_goes_on_from_its_masks(base, trained, arrays):
    again = PiggybackModel.from_pack(base, trained.pack())
    np.testing.assert_array_equal(again(arrays[0]), trained(arrays[0]))
    again.compile(keras.optimizers.SGD(0.0), LOSS)
    again.fit(*arrays, verbose=0)
    np.testing.assert_array_equal(again(arrays[0]), trained(arrays[0]))
    as_deltas = swr.TaskModel.from_pack(base, trained.pack())
    np.testing.assert_array_equal(as_deltas(arrays[0]), trained(arrays[0]))


def test_bits_that_do_not_fit_are_refused(base, trained):
    pack = trained.pack()
    bits = pack.arrays["conv/kernel_mask"]
    for wrong in (bits[:-1], bits.astype("float32"), bits[None]):
        broken = dataclasses.replace(pack, arrays={**pack.arrays, "conv/kernel_mask": wrong})
        with pytest.raises(ValueError, match="mask of 54 weights must be uint8"):
            broken.on(base)
    more = dataclasses.replace(pack, arrays={**pack.arrays, "norm/gamma_mask": bits})
    with pytest.raises(ValueError, match="unknown arrays.*norm/gamma_mask"):
        more.on(base)
    fewer = {name: array for name, array in pack.arrays.items() if name != "conv/kernel_mask"}
    with pytest.raises(ValueError, match="missing arrays.*conv/kernel_delta"):
        dataclasses.replace(pack, arrays=fewer).on(base)
    deltas = swr.TaskModel(base, ALL, num_classes=3, batch_norm="frozen").pack()
    with pytest.raises(ValueError, match="no masks"):
        PiggybackModel.from_pack(base, deltas)


@pytest.mark.parametrize("dtype", ["bfloat16", "mixed_bfloat16"])
def test_other_precisions(dtype, arrays):
    keras.config.set_dtype_policy(dtype)
    try:
        base = keras.Sequential(
            [keras.Input((10, 8, 1)), keras.layers.SeparableConv2D(4, 3, name="conv")]
            + [keras.layers.GlobalAveragePooling2D(), keras.layers.Dense(3, name="head")]
        )
        model = PiggybackModel(base, ["conv"])
        model.compile(keras.optimizers.Adam(0.2), LOSS)
        model.fit(*arrays, epochs=3, verbose=0)
        pack = model.pack()
        np.testing.assert_array_equal(pack.on(base)(arrays[0]), model(arrays[0]))
        assert {name for name in pack.arrays if name.endswith("_mask")} == {
            "conv/depthwise_kernel_mask",
            "conv/pointwise_kernel_mask",
        }
    finally:
        keras.config.set_dtype_policy("float32")
