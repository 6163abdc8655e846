import keras
import numpy as np
import pytest
from keras import layers

import swr_keras as swr
from swr_keras.layers.head import find_head
from swr_keras.layers.reparametrized_model import frozen_layers, policy_layers


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


def adapted():
    inputs = keras.Input((3, 4))
    values = np.random.default_rng(2).normal(5.0, 3.0, (20, 3, 4))
    norm, wrapped = layers.Normalization(), layers.Normalization()
    bins = layers.Discretization(num_bins=3)
    for layer, examples in ((norm, values), (wrapped, values[:, 0] + 1.0), (bins, values)):
        layer.adapt(examples)
    x = layers.TimeDistributed(wrapped)(norm(inputs))
    x = layers.Add()([x, layers.Rescaling(1.0)(bins(inputs))])
    x = layers.Dense(4, name="dense")(layers.Flatten()(x))
    return keras.Model(inputs, layers.Dense(3, name="head")(x), name="adapted")


def functions():
    inputs = keras.Input((4,))
    x = layers.Dense(4, name="dense")(inputs)
    x = layers.Lambda(lambda t: 2.0 * t, output_shape=lambda shape: shape, name="double")(x)
    x = keras.ops.reshape(x, (-1, 2, 2))
    x = keras.ops.mean(x, axis=(1,), keepdims=False)
    return keras.Model(inputs, layers.Dense(3, name="head")(x), name="functions")


def compiled():
    def loss_of_mine(y, y_pred):
        return keras.ops.mean(keras.ops.square(y - y_pred))

    inner = keras.Sequential([keras.Input((4,)), layers.Dense(4, name="deep")], name="inner")
    inputs = keras.Input((4,))
    base = keras.Model(inputs, layers.Dense(3, name="head")(inner(inputs)), name="compiled")
    for model in (inner, base):
        model.compile("adam", loss_of_mine)
    return base


def frozen():
    base = sequential()
    base.trainable = False
    return base


BASES = [
    (sequential, ["conv", "head"]),
    (nested, ["first", "inner/deep", "head"]),
    (shared, ["shared", "head"]),
    (multi_input, ["left", "right", "head"]),
    (unknown_layer, ["dense", "head"]),
    (adapted_by_lora, ["dense", "head"]),
    (adapted, ["dense", "head"]),
    (functions, ["dense", "head"]),
    (compiled, ["inner/deep", "head"]),
    (frozen, ["conv", "head"]),
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
    assert not merged.compiled
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


@pytest.mark.parametrize("mode", ["statistics", "affine", "shift", "frozen"])
def test_a_frozen_base_leaves_the_same_to_train(mode):
    base = frozen()
    models = [swr.reparametrize(b, num_classes=2, batch_norm=mode) for b in (base, sequential())]
    names, expected = ([v.path for v in model.trainable_variables] for model in models)
    assert names == expected and "sequential/head/kernel" in names
    assert models[0].get_layer("norm").trainable
    assert not base.trainable and not base.get_layer("head").trainable


def test_a_merged_model_can_be_saved_and_loaded(tmp_path):
    inputs = keras.Input((4,))
    x = layers.Lambda(lambda t: 2.0 * t, output_shape=lambda shape: shape)(inputs)
    base = keras.Model(inputs, layers.Dense(3)(x))
    swr.merge(swr.reparametrize(base)).save(tmp_path / "merged.keras")
    restored = keras.saving.load_model(tmp_path / "merged.keras", safe_mode=False)
    np.testing.assert_array_equal(restored(np.ones((2, 4))), base(np.ones((2, 4))))


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


class Subclassed(keras.Model):
    pass


@pytest.mark.parametrize("take", [swr.reparametrize, swr.SuperNet, find_head])
@pytest.mark.parametrize(
    ("build", "message"),
    [
        (Subclassed, "Functional or Sequential model"),
        (lambda: keras.Sequential([layers.Dense(3)]), "Functional or Sequential model"),
        (lambda: swr.reparametrize(sequential()), "reparametrized already.*merge"),
    ],
    ids=["subclassed", "unbuilt", "reparametrized"],
)
def test_models_that_are_no_base_are_refused(build, message, take):
    with pytest.raises(ValueError, match=message):
        take(build())


def test_a_layer_that_changes_frozen_weights_is_refused():
    wrapped = layers.SpectralNormalization(layers.Dense(4), name="spectral")
    base = keras.Sequential([keras.Input((4,)), wrapped, layers.Dense(3)])
    with pytest.raises(ValueError, match="'spectral' is a SpectralNormalization.*Rebuild"):
        swr.reparametrize(base)


@pytest.mark.parametrize("take", [swr.reparametrize, swr.SuperNet])
@pytest.mark.parametrize("num_classes", [0, -1, 2.0, "3"])
def test_impossible_numbers_of_classes(num_classes, take):
    with pytest.raises(ValueError, match="`num_classes` must be a whole number.*Received"):
        take(sequential(), num_classes=num_classes)


def test_head_must_be_a_layer_with_outputs_for_classes():
    base = sequential()
    assert find_head(base) == "head"
    assert find_head(base, "conv") == "conv"
    with pytest.raises(ValueError, match="must name a layer.*'tail'"):
        find_head(base, "tail")
    with pytest.raises(ValueError, match="must be a Dense or convolution.*'norm'"):
        find_head(base, "norm")
    with pytest.raises(ValueError, match="must name a layer"):
        find_head(keras.Sequential([keras.Input((4,)), layers.ReLU()]))


def with_last(*last):
    return keras.Sequential(
        [
            keras.Input((6, 4)),
            layers.Conv1D(4, 3, name="conv"),
            layers.GlobalAveragePooling1D(keepdims=True),
            *last,
        ]
    )


def not_last_in_order():
    inputs = keras.Input((4,))
    x = layers.Dense(3, name="conv")(inputs)
    gate = layers.Dense(4, activation="sigmoid", name="gate")
    head = layers.Dense(5, name="head")
    x = head(layers.Multiply()([gate(x), layers.Dense(4)(x)]))
    model = keras.Model(inputs, layers.Softmax()(x))
    assert model.layers[-1].name != "head"
    return model


HEADS = {
    "activation": lambda: with_last(layers.Flatten(), layers.Dense(5, name="head"), layers.ReLU()),
    "convolution": lambda: with_last(
        layers.Conv1D(5, 1, name="head"), layers.GlobalMaxPooling1D(), layers.Softmax()
    ),
    "open_reshape": lambda: with_last(layers.Conv1D(5, 1, name="head"), layers.Reshape((-1,))),
    "inner": lambda: with_last(
        keras.Sequential([keras.Input((1, 4)), layers.Flatten(), layers.Dense(5, name="head")])
    ),
    "order": not_last_in_order,
}


@pytest.mark.parametrize("build", HEADS.values(), ids=HEADS)
def test_heads_are_found_from_the_output_back(build):
    base = build()
    assert find_head(base).split("/")[-1] == "head"
    assert swr.reparametrize(base, num_classes=7).output_shape == (None, 7)


SIZED = {
    "fixed_reshape": (layers.Reshape((5,), name="fixed"), "'fixed' .Reshape"),
    "batch_norm": (layers.BatchNormalization(name="fixed"), "'fixed' .BatchNormalization"),
}


@pytest.mark.parametrize(("last", "message"), SIZED.values(), ids=SIZED)
def test_layers_that_fix_the_number_of_classes(last, message):
    base = with_last(layers.Conv1D(5, 1, name="head"), type(last).from_config(last.get_config()))
    assert find_head(base) == "head"
    for num_classes in (None, 5):
        task = swr.TaskModel(base, ["conv"], num_classes=num_classes)
        assert task.merge().output_shape == base.output_shape
    with pytest.raises(ValueError, match=f"7 outputs does not fit.*{message}.*`head=`"):
        swr.TaskModel(base, ["conv"], num_classes=7)


def test_a_mean_of_two_heads_has_no_head():
    inputs = keras.Input((4,))
    x = layers.Dense(4, name="conv")(inputs)
    heads = [layers.Dense(5, name=name)(x) for name in ("one", "two")]
    base = keras.Model(inputs, layers.Average(name="mean")(heads))
    with pytest.raises(ValueError, match="from one head.*'one'.*`head=`"):
        swr.SuperNet(base)
    assert swr.SuperNet(base, head="one").num_classes == 5
    with pytest.raises(ValueError, match="7 outputs does not fit.*'mean' .Average"):
        swr.SuperNet(base, head="one", num_classes=7)


def two_outputs():
    inputs = keras.Input((4,))
    x = layers.Dense(4, name="conv")(inputs)
    return keras.Model(inputs, {"wide": layers.Dense(3)(x), "narrow": layers.Dense(1)(x)})


@pytest.mark.parametrize("build", [sequential, two_outputs])
def test_parity_check_catches_weights_that_are_not_finite(build):
    model = swr.reparametrize(build())
    swr.merge(model, check_on=inputs_of(model))
    model.get_layer("conv").delta["bias"].assign(np.full(4, np.nan))
    with pytest.raises(ValueError, match="differs"):
        swr.merge(model, check_on=inputs_of(model))


def test_a_base_with_several_outputs_is_no_classifier():
    with pytest.raises(ValueError, match="one output.*2 outputs"):
        swr.SuperNet(two_outputs())


def test_batch_norm_mode_reaches_every_batch_norm():
    model = swr.reparametrize(sequential(), batch_norm="frozen")
    assert model.get_layer("norm").mode == "frozen"
    with pytest.raises(ValueError, match="batch norm mode"):
        swr.reparametrize(sequential(), batch_norm="moving")
