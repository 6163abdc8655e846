"""A replayed model is the model, until something is put between its calls."""

import keras
import numpy as np
import pytest
from keras import layers

import swr_keras as swr
from swr_keras.graph import walk
from swr_keras.splice import Replay


def sequential():
    return keras.Sequential([keras.Input((6,)), layers.Dense(5, name="a"), layers.Dense(3)])


def shared_and_operations():
    shared = layers.Dense(6, name="shared")
    inputs = keras.Input((6,))
    x = keras.ops.relu(shared(shared(inputs)) + 1.0) * inputs
    return keras.Model(inputs, layers.Dense(3)(x))


def several_inputs():
    inputs = {"a": keras.Input((6,), name="a"), "b": keras.Input((6,), name="b")}
    x = layers.Concatenate()([inputs["a"], inputs["b"]])
    return keras.Model(inputs, {"first": layers.Dense(3)(x), "second": layers.Dense(2)(x)})


BASES = {
    "sequential": sequential,
    "shared": shared_and_operations,
    "several": several_inputs,
    "bcresnet": lambda: swr.backbones.bcresnet(1, input_shape=(8, 40, 1)),
    "res15": lambda: swr.backbones.res15(4, input_shape=(8, 6, 1)),
}


def examples(model):
    rng = np.random.default_rng(0)
    given = [rng.normal(size=(2, *tensor.shape[1:])).astype("float32") for tensor in model.inputs]
    if isinstance(model, keras.Sequential):
        return given[0]
    return keras.tree.pack_sequence_as(model.input, given)


@pytest.mark.parametrize("name", BASES)
def test_it_computes_the_same_with_layers_of_the_same_names(name):
    base = BASES[name]()
    replay = Replay(base)
    for call in replay.graph.calls:
        replay.run(call)
    model = replay.model()
    x = examples(base)
    pairs = zip(keras.tree.flatten(base(x)), keras.tree.flatten(model(x)), strict=True)
    for expected, found in pairs:
        np.testing.assert_array_equal(expected, found)
    weighted = [path for path, layer in walk(base) if layer.weights]
    assert sorted(path for path, layer in walk(model) if layer.weights) == sorted(weighted)
    assert not {id(layer) for _, layer in walk(base)} & {id(layer) for _, layer in walk(model)}


def test_what_stands_for_a_tensor_is_what_later_calls_take():
    base = sequential()
    replay = Replay(base)
    for call in replay.graph.calls:
        output = replay.run(call)
        if call.path == "a":
            twice = layers.Add(name="twice")([output, replay.again([call], "_again")])
            replay.values[id(call.output)] = twice
    model = replay.model()
    x = np.random.default_rng(0).normal(size=(2, 6)).astype("float32")
    first, second = base.layers
    np.testing.assert_allclose(model(x), second(2.0 * first(x)), rtol=1e-5)
    copy = model.get_layer("a_again")
    np.testing.assert_array_equal(copy.kernel, first.kernel)
    assert copy.kernel is not model.get_layer("a").kernel


def test_models_in_a_model_are_refused():
    inputs = keras.Input((6,))
    nested = keras.Model(inputs, layers.Dense(2)(sequential()(inputs)), name="outer")
    with pytest.raises(ValueError, match="'outer' with the models .*sequential.*Rebuild it"):
        Replay(nested)
