"""Weight decay pulls what a task owns towards the base, and leaves what is frozen alone."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

import swr_keras as swr
from swr_keras.layers.normalization import STATISTICS
from swr_keras.layers.routed_blocks import AGENT
from swr_keras.methods import TAPS, FineTuningAll, Piggyback, RepNet, ResidualAdapter, SpotTune
from swr_keras.training.fit import Fit
from swr_keras.training.optimizers import AnchoredAdam, AnchoredSGD

RATE, DECAY, STEPS = 0.5, 0.2, 3
SGD = Fit(1, RATE, optimizer="sgd", weight_decay=DECAY)
ADAM = Fit(1, RATE, weight_decay=DECAY)


def sgd_factor():
    """What is left of a distance after the steps: L2 in the gradient, and a momentum of 0.9."""
    distance, velocity = 1.0, 0.0
    for _ in range(STEPS):
        velocity = 0.9 * velocity - RATE * DECAY * distance
        distance += velocity
    return distance


FACTORS = [
    pytest.param(SGD, sgd_factor(), id="sgd"),
    pytest.param(ADAM, (1 - RATE * DECAY) ** STEPS, id="adam"),
]


def decay(model, fit, variables):
    """Steps of an optimizer whose gradients are zero."""
    optimizer = fit.optimizer_for(model)
    optimizer.build(variables)
    for _ in range(STEPS):
        optimizer.apply([tf.zeros(each.shape) for each in variables], variables)


def moved_away(model):
    """Moves all that is trained away from where it began, and returns what it was."""
    before = {id(variable): variable.numpy() for variable in model.variables}
    for variable in model.owned_variables:
        variable.assign(variable + 0.5)
    return before


def convolution():
    return [layers.Conv2D(3, 3, name="own"), layers.GlobalAveragePooling2D()]


KINDS = {
    "dense": lambda: [layers.Flatten(), layers.Dense(3, name="own")],
    "conv1d": lambda: [layers.Reshape((8, 6)), layers.Conv1D(3, 3, name="own"), layers.Flatten()],
    "conv2d": convolution,
    "conv2d_transpose": lambda: [layers.Conv2DTranspose(3, 3, name="own"), layers.Flatten()],
    "depthwise": lambda: [layers.DepthwiseConv2D(3, name="own"), layers.Flatten()],
    "separable": lambda: [layers.SeparableConv2D(3, 3, name="own"), layers.Flatten()],
}


@pytest.mark.parametrize(("fit", "factor"), FACTORS)
@pytest.mark.parametrize("kind", KINDS)
def test_weights_of_every_kind_of_layer_decay_to_those_of_the_base(kind, fit, factor):
    last = layers.Dense(2, name="head")
    base = keras.Sequential([keras.Input((8, 6, 1)), *KINDS[kind](), last])
    model = swr.TaskModel(base, ["own"])
    moved_away(model)
    head = [weight.numpy() for weight in model.model.get_layer("head").weights]
    decay(model, fit, model.owned_variables)
    merged = model.merge()
    pairs = zip(merged.get_layer("own").weights, base.get_layer("own").weights, strict=True)
    for found, of_base in pairs:
        np.testing.assert_allclose(found - of_base, np.full(found.shape, 0.5 * factor), rtol=1e-4)
    for found, start in zip(merged.get_layer("head").weights, head, strict=True):
        np.testing.assert_allclose(found, factor * start, rtol=1e-4, atol=1e-7)


METHODS = [
    *(FineTuningAll(batch_norm=mode) for mode in ("statistics", "affine", "shift", "owned")),
    Piggyback(),
    RepNet(),
    ResidualAdapter(),
    SpotTune(),
    TAPS(),
]


@pytest.mark.parametrize(("fit", "factor"), FACTORS)
@pytest.mark.parametrize("method", METHODS, ids=lambda each: f"{each.name}-{each.batch_norm}")
def test_all_that_a_method_trains_decays_to_the_base_and_nothing_else_moves(
    method, fit, factor, blocked_base
):
    base = blocked_base()
    policy = method.choose(base, None, target_cost=None)
    model = method.build(base, policy, num_classes=3)
    start = moved_away(model)
    before = {id(variable): variable.numpy() for variable in model.variables}
    owned = model.owned_variables
    names = {id(variable): name for name, variable in model.task_variables().items()}
    decay(model, fit, owned)
    for variable in model.variables:
        old, new = before[id(variable)], variable.numpy()
        if not any(variable is each for each in owned):
            np.testing.assert_array_equal(new, old, variable.path)
            continue
        name = names.get(id(variable), variable.path)
        goal = start[id(variable)] if keeps_first_value(name) else 0.0
        np.testing.assert_allclose(new, goal + factor * (old - goal), rtol=1e-4, atol=1e-6)


def keeps_first_value(name):
    """Whether a variable is the base's at its first value, instead of zero; or is a new gamma."""
    is_copy = "_tuned/" in name and not name.startswith(AGENT)
    assert not name.endswith(STATISTICS)
    return is_copy or name.split("/")[-1] in ("gamma", "beta") or name.endswith("_mask")


def test_a_model_that_starts_from_a_supernet_decays_to_the_base(blocked_base):
    base = blocked_base()
    supernet = swr.SuperNet(base, batch_norm="affine")
    for variable in supernet.owned_variables:
        variable.assign(variable + 0.5)
    model = swr.TaskModel(base, list(supernet.units), batch_norm="affine")
    model.start_from(supernet.task_variables())
    decay(model, SGD, model.owned_variables)
    found, of_base = model.merge().get_layer("stem_norm"), base.get_layer("stem_norm")
    for name in ("gamma", "beta"):
        distance = getattr(found, name) - getattr(of_base, name)
        np.testing.assert_allclose(distance, 0.5 * sgd_factor() * np.ones(6), rtol=1e-4)


@pytest.mark.parametrize(("fit", "factor"), FACTORS)
def test_all_weights_of_a_base_decay_to_zero(fit, factor, blocked_base):
    base = blocked_base()
    before = [variable.numpy() for variable in base.trainable_variables]
    decay(base, fit, base.trainable_variables)
    for old, variable in zip(before, base.trainable_variables, strict=True):
        np.testing.assert_allclose(variable, factor * old, rtol=1e-4, atol=1e-7)


def test_variables_without_gradient_stay():
    for optimizer in (AnchoredSGD(1.0, weight_decay=0.1), AnchoredAdam(1.0, weight_decay=0.1)):
        without, decayed = keras.Variable([1.0]), keras.Variable([1.0])
        optimizer.build([without, decayed])
        with pytest.warns(UserWarning, match="Gradients do not exist"):
            optimizer.apply([None, tf.zeros(1)], [without, decayed])
        np.testing.assert_array_equal(without, [1.0])
        np.testing.assert_allclose(decayed, [0.9], rtol=1e-6)


@pytest.mark.parametrize("kind", [AnchoredSGD, AnchoredAdam])
def test_optimizers_come_back_from_their_configuration(kind):
    optimizer = kind(0.1, weight_decay=0.3)
    again = keras.optimizers.deserialize(keras.optimizers.serialize(optimizer))
    assert type(again) is kind
    assert again.get_config() == optimizer.get_config()
    assert again.get_config()["weight_decay"] == 0.3


def test_without_decay_the_optimizers_are_those_of_keras(blocked_base):
    base = blocked_base()
    assert type(Fit(1, 0.1).optimizer_for(base)) is keras.optimizers.Adam
    optimizer = Fit(1, 0.1, optimizer="sgd").optimizer_for(base)
    assert type(optimizer) is keras.optimizers.SGD
    assert optimizer.momentum == 0.9
