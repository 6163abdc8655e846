"""What a task doesn't change, up to the first layer that it does, is the base's in int8."""

import keras
import numpy as np
import pytest
from keras import layers

from swr_keras.export import LiteModel, convert_int8
from swr_keras.export.constants import is_constant
from swr_keras.export.flatbuffer import as_object, parse
from swr_keras.export.rescale import activation_scales, activations, take_over
from swr_keras.export.trunk import unchanged_operators

KINDS = ["plain", "tied", "fixed", "added", "normalized", "transposed"]


def network(kind, classes=3):
    """A network of which all before the layer "changed" is a trunk of some kind."""
    keras.utils.set_random_seed(0)
    x = inputs = keras.Input((8, 8, 2))
    x = layers.Conv2D(6, 3, padding="same", bias_initializer="random_normal")(x)
    if kind == "tied":
        x = layers.Reshape((4, 16, 6))(layers.MaxPooling2D(2, 1, "same")(x))
    elif kind == "fixed":
        x = layers.Multiply()([x, layers.Activation("sigmoid")(x)])
    elif kind == "added":
        x = layers.Add()([x, layers.DepthwiseConv2D(3, padding="same")(x)])
    elif kind == "normalized":
        x = layers.BatchNormalization(beta_initializer="random_normal")(layers.ReLU()(x))
    elif kind == "transposed":
        x = layers.Conv2DTranspose(6, 3, bias_initializer="ones")(x)
    x = layers.Conv2D(6, 3, activation="relu", name="changed")(x)
    x = layers.GlobalAveragePooling2D()(layers.Conv2D(8, 1, name="after")(x))
    return keras.Model(inputs, layers.Dense(classes, name="head")(x))


def task_of(kind, factor=1.3):
    task = network(kind, classes=4)
    changed = task.get_layer("changed")
    changed.set_weights([factor * each + 0.01 for each in changed.get_weights()])
    return task


def written(model, numbers):
    """Returns the numbers of activations that operators write."""
    tensors = {
        index for number in numbers for index in model.subgraphs[0].operators[number].outputs
    }
    return {number for number, index in enumerate(activations(model)) if index in tensors}


def constants(model, operators):
    graph = model.subgraphs[0]
    return [
        bytes(bytearray(model.buffers[graph.tensors[index].buffer].data))
        for number in operators
        for index in graph.operators[number].inputs
        if index >= 0 and is_constant(model, graph.tensors[index])
    ]


@pytest.mark.parametrize("kind", KINDS)
def test_the_trunk_is_the_bases_whatever_suits_the_rest(kind, toy_examples):
    base = as_object(convert_int8(network(kind), toy_examples).data)
    own = convert_int8(task_of(kind), 1.4 * toy_examples[::2]).data
    (data,) = take_over(own, convert_int8(network(kind), toy_examples).data, within=[0])
    task = as_object(data)
    trunk = unchanged_operators(as_object(own), base)
    graph = task.subgraphs[0]
    # All before the layer "changed", and no more: that, the two after it and the head's are left.
    assert trunk == list(range(len(trunk)))
    assert len(graph.operators) - len(trunk) in (4, 5)
    assert unchanged_operators(task, base) == trunk
    assert constants(task, trunk) == constants(base, trunk)
    numbers = {0} | written(task, trunk)
    known, found, before = map(activation_scales, (base, task, as_object(own)))
    inside = [key for key in known if numbers.issuperset(key)]
    assert inside
    assert all(found[key] == known[key] for key in inside)
    assert any(before[key] != known[key] for key in inside)
    assert all(found[key] == before[key] for key in found.keys() - set(inside))


@pytest.fixture(scope="module")
def base_int8(toy_examples):
    return convert_int8(network("plain"), toy_examples)


def errors(task, x, *models):
    expected = task.predict(x, verbose=0)
    return [np.square(LiteModel(each).predict(x) - expected).mean() for each in models]


def test_the_rest_keeps_scales_of_its_own_where_the_bases_would_ruin_it(base_int8, toy_examples):
    task = task_of("plain", factor=30)
    alone = convert_int8(task, toy_examples)
    int8 = convert_int8(task, toy_examples, like=base_int8)
    ruined = parse(next(take_over(alone.data, base_int8.data)))
    ours, shared, all_shared = errors(task, toy_examples, alone, int8, ruined)
    assert shared <= 2.6 * ours < 0.1 * all_shared
    scales = [activation_scales(as_object(each.data)) for each in (base_int8, int8)]
    assert scales[0][(0,)] == scales[1][(0,)]
    assert scales[0] != scales[1]


def test_a_trunk_that_costs_much_is_pointed_out(toy_examples):
    quiet = convert_int8(network("plain"), 0.05 * toy_examples)
    task = task_of("plain")
    with pytest.warns(UserWarning, match="times as large. Calibrate the base on examples of its"):
        int8 = convert_int8(task, toy_examples, like=quiet)
    scales = [activation_scales(as_object(each.data))[(0,)] for each in (quiet, int8)]
    assert scales[0] == scales[1]


def test_an_input_that_only_changed_operators_read_is_the_tasks(toy_examples):
    task, base = task_of("plain"), network("plain")
    first = base.layers[1]
    first.set_weights([2 * each + 0.1 for each in first.get_weights()])
    quiet = convert_int8(base, 0.05 * toy_examples)
    int8 = convert_int8(task, toy_examples, like=quiet)
    base, task = (as_object(each.data) for each in (quiet, int8))
    assert unchanged_operators(task, base) == []
    assert activation_scales(task)[(0,)].scale > 10 * activation_scales(base)[(0,)].scale
