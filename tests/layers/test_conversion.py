import keras
import numpy as np
import pytest
from keras import layers

import swr_keras as swr
from swr_keras.layers.conversion import find_head, frozen_layers, policy_layers


def sequential():
    return keras.Sequential(
        [
            keras.Input((8, 8, 2)),
            layers.Conv2D(4, 3, name="conv"),
            layers.BatchNormalization(momentum=0.9, name="norm"),
            layers.ReLU(),
            layers.Dropout(0.2),
            layers.GlobalAveragePooling2D(),
            layers.Dense(3, name="head"),
        ],
        name="sequential",
    )


def nested():
    inner_input = keras.Input((6, 4))
    inner = keras.Model(inner_input, layers.Conv1D(4, 3, name="deep")(inner_input), name="inner")
    inputs = keras.Input((8, 2))
    x = layers.Conv1D(4, 3, name="first")(inputs)
    x = inner(x) + 1.0
    return keras.Model(inputs, layers.Dense(3, name="head")(x[:, 0]), name="nested")


def shared():
    inputs = keras.Input((4,))
    dense = layers.Dense(4, name="shared")
    x = dense(layers.Lambda(lambda t: 2.0 * t)(dense(inputs)))
    return keras.Model(inputs, layers.Dense(3, name="head")(x), name="shared_model")


def multi_input():
    a, b = keras.Input((4,), name="a"), keras.Input((4,), name="b")
    x = layers.Concatenate()([layers.Dense(3, name="left")(a), layers.Dense(3, name="right")(b)])
    return keras.Model([a, b], layers.Dense(3, name="head")(x), name="multi_input")


def unknown_layer():
    inputs = keras.Input((4,))
    x = layers.LayerNormalization(name="layer_norm")(layers.Dense(4, name="dense")(inputs))
    return keras.Model(inputs, layers.Dense(3, name="head")(x), name="unknown")


def adapted_by_lora():
    inputs = keras.Input((4,))
    dense = layers.Dense(4, name="dense", lora_rank=2)
    model = keras.Model(inputs, layers.Dense(3, name="head")(dense(inputs)), name="lora")
    dense.lora_kernel_b.assign(np.ones(dense.lora_kernel_b.shape))
    return model


BASES = [
    (sequential, ["conv", "head"]),
    (nested, ["first", "inner/deep", "head"]),
    (shared, ["shared", "head"]),
    (multi_input, ["left", "right", "head"]),
    (unknown_layer, ["dense", "head"]),
    (adapted_by_lora, ["dense", "head"]),
]
bases = pytest.mark.parametrize(("build", "paths"), BASES, ids=[b.__name__ for b, _ in BASES])


def inputs_of(model, seed=0):
    rng = np.random.default_rng(seed)
    arrays = [rng.normal(size=(5, *i.shape[1:])).astype("float32") for i in model.inputs]
    return arrays if len(arrays) > 1 else arrays[0]


def set_deltas(model):
    rng = np.random.default_rng(1)
    for layer in policy_layers(model).values():
        for delta in layer.delta.values():
            delta.assign(rng.normal(size=delta.shape))


@bases
def test_copy_gives_the_outputs_of_the_base_bit_for_bit(build, paths):
    base = build()
    weights, config = base.get_weights(), base.get_config()
    x = inputs_of(base)
    expected = np.asarray(base(x))
    model = swr.reparametrize(base)
    np.testing.assert_array_equal(model(x), expected)
    assert list(policy_layers(model)) == paths
    set_deltas(model)
    assert np.any(np.asarray(model(x)) != expected)
    np.testing.assert_array_equal(base(x), expected)
    assert base.get_config() == config
    for before, after in zip(weights, base.get_weights(), strict=True):
        np.testing.assert_array_equal(before, after)


@bases
def test_merged_model_is_plain_and_equal(build, paths):
    base = build()
    model = swr.reparametrize(base)
    set_deltas(model)
    x = inputs_of(base)
    merged = swr.merge(model, check_on=x)
    np.testing.assert_allclose(merged(x), model(x), rtol=1e-5, atol=1e-5)
    assert np.any(np.asarray(merged(x)) != np.asarray(base(x)))
    if build is not adapted_by_lora:
        assert [type(layer) for layer in merged.layers] == [type(layer) for layer in base.layers]
        assert merged.count_params() == base.count_params()


@bases
def test_new_head_is_plain_and_trainable(build, paths):
    base = build()
    model = swr.reparametrize(base, num_classes=7)
    assert model.output_shape[-1] == 7
    assert list(policy_layers(model)) == paths[:-1]
    head = model.get_layer("head")
    assert type(head) is layers.Dense
    assert all(v.trainable for v in head.weights)


def test_layers_of_other_classes_stay_frozen_and_are_listed(caplog):
    model = swr.reparametrize(unknown_layer())
    assert list(frozen_layers(model)) == ["layer_norm"]
    assert not frozen_layers(model)["layer_norm"].trainable
    assert "layer_norm" in caplog.text
    assert not frozen_layers(swr.reparametrize(sequential(), num_classes=2))


def test_subclasses_of_known_layers_are_listed_not_converted():
    class Scaled(layers.Dense):
        def call(self, inputs, training=None):
            return 2.0 * super().call(inputs, training=training)

    inputs = keras.Input((4,))
    outputs = layers.Dense(3, name="head")(Scaled(4, name="scaled")(inputs))
    model = swr.reparametrize(keras.Model(inputs, outputs))
    assert list(frozen_layers(model)) == ["scaled"]


def test_nothing_to_convert_is_an_error():
    inputs = keras.Input((4,))
    model = keras.Model(inputs, layers.LayerNormalization()(inputs), name="plain")
    with pytest.raises(ValueError, match="'plain' has no layer that can be reparametrized"):
        swr.reparametrize(model)


def test_subclassed_and_unbuilt_models_are_refused():
    class Subclassed(keras.Model):
        pass

    for model in (Subclassed(), keras.Sequential([layers.Dense(3)])):
        with pytest.raises(ValueError, match="Functional or Sequential model"):
            swr.reparametrize(model)


def test_reparametrizing_twice_is_refused():
    with pytest.raises(ValueError, match="reparametrized already.*merge"):
        swr.reparametrize(swr.reparametrize(sequential()))


def test_head_must_be_a_layer_with_outputs_for_classes():
    base = sequential()
    assert find_head(base) == "head"
    assert find_head(base, "conv") == "conv"
    with pytest.raises(ValueError, match="must name a layer.*'tail'"):
        find_head(base, "tail")
    with pytest.raises(ValueError, match="must be a Dense or convolution.*'norm'"):
        find_head(base, "norm")


def test_parity_check_catches_weights_that_are_not_finite():
    model = swr.reparametrize(sequential())
    model.get_layer("conv").delta["bias"].assign(np.full(4, np.nan))
    with pytest.raises(ValueError, match="differs"):
        swr.merge(model, check_on=inputs_of(model))


def test_batch_norm_mode_reaches_every_batch_norm():
    model = swr.reparametrize(sequential(), batch_norm="frozen")
    assert model.get_layer("norm").mode == "frozen"
    with pytest.raises(ValueError, match="batch norm mode"):
        swr.reparametrize(sequential(), batch_norm="moving")
