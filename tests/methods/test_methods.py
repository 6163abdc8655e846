"""What each method chooses."""

import keras
import pytest
import tensorflow as tf

import swr_keras as swr
from swr_keras.layers.units import policy_units
from swr_keras.methods import (
    SWR,
    TAPS,
    DepthwiseFirst,
    FixedPolicy,
    GradientSelection,
    LastLayersFirst,
    RandomPolicy,
    SparseUpdate,
)
from swr_keras.training.fisher import fisher_information
from swr_keras.training.fit import Fit
from swr_keras.training.given_data import GivenData

LOSS = keras.losses.SparseCategoricalCrossentropy(from_logits=True)


@pytest.fixture
def task(base, arrays):
    return GivenData(base, *arrays, num_classes=3)


@pytest.fixture(scope="module")
def bcresnet():
    return swr.backbones.bcresnet(1, input_shape=(20, 40, 1), num_classes=4)


def test_draws_differ_and_depend_on_the_seed(bcresnet):
    def drawn(draw, seed):
        policy = RandomPolicy(draw=draw).choose(bcresnet, None, target_cost=0.3, seed=seed)
        return policy.selected_layers

    assert len({drawn(draw, seed) for draw in range(3) for seed in range(3)}) == 9
    assert drawn(1, 2) == drawn(1, 2)


@pytest.mark.parametrize("draw", [-1, 1000])
def test_draws_of_other_seeds_are_refused(draw):
    with pytest.raises(ValueError, match="`draw` must be from 0 to 999. Received"):
        RandomPolicy(draw=draw)


def test_last_layers_come_first(base, task):
    assert list(policy_units(base)) == ["conv", "depthwise", "pointwise"]
    policy = LastLayersFirst().choose(base, task, target_cost=0.7)
    assert policy.selected_layers == ("depthwise", "pointwise")


def test_layers_by_hand_are_those_that_change(base, task):
    policy = FixedPolicy(layers=("conv", "pointwise")).choose(base, task, target_cost=None)
    assert policy.selected_layers == ("conv", "pointwise")
    assert policy.target_cost == policy.achieved_cost


@pytest.mark.parametrize("cost", [0.05, 0.1, 0.2, 0.9])
def test_depthwise_convolutions_come_first_and_in_order(cost, bcresnet):
    method = DepthwiseFirst()
    units = method.units(bcresnet, None)
    policy = method.choose(bcresnet, None, target_cost=cost)
    total = sum(unit.flash_bytes for unit in units.values())
    depthwise = [path for path, unit in units.items() if unit.kind == "depthwise"]
    chosen = [path for path in policy.selected_layers if path in depthwise]
    # Another layer is chosen only where no depthwise convolution that is left out still fits.
    smallest = min((units[path].flash_bytes for path in set(depthwise) - {*chosen}), default=0)
    spent = sum(units[path].flash_bytes for path in chosen)
    assert chosen[0] == depthwise[0]
    assert set(chosen) == {*depthwise} or (spent + smallest) / total > cost
    assert (len(chosen) < len(policy.selected_layers)) == (cost > 0.1) or set(chosen) < {*depthwise}


def test_a_sparse_update_takes_late_batch_norm_then_late_pointwise_kernels(bcresnet):
    method = SparseUpdate()
    units = method.units(bcresnet, None)
    late = list(units)[len(units) // 2 :]
    norms = [path for path in late if units[path].kind == "normalization"]
    pointwise = [path for path in late if units[path].kind == "pointwise"]
    total = sum(unit.flash_bytes for unit in units.values())

    def chosen(cost):
        return method.choose(bcresnet, None, target_cost=cost).selected_layers

    def share(paths):
        return sum(units[path].flash_bytes for path in paths) / total

    assert norms and pointwise
    assert chosen(share(norms)) == tuple(norms)
    assert chosen(share(norms[-2:])) == tuple(norms[-2:])
    with_last = [*norms, pointwise[-1]]
    assert set(chosen(share(with_last))) == set(with_last)
    assert set(chosen(share(norms + pointwise))) == {*norms, *pointwise}


def test_a_sparse_update_of_a_base_without_pointwise_convolutions_takes_the_last_ones():
    base = swr.backbones.res15(4, input_shape=(20, 40, 1), num_classes=4)
    policy = SparseUpdate().choose(base, None, target_cost=0.3)
    kernels = [path for path in policy.selected_layers if path.startswith("conv")]
    assert kernels == [f"conv{index}" for index in range(14 - len(kernels), 14)]
    assert 0.2 < policy.achieved_cost <= 0.3


def test_information_is_the_mean_squared_gradient_of_single_examples(base, arrays):
    x, y = arrays
    model = swr.TaskModel(
        base, list(policy_units(base, batch_norm="owned")), num_classes=3, batch_norm="owned"
    )
    found = fisher_information(model, GivenData(base, x[:10], y[:10], num_classes=3), 10)
    layers = {layer.name: layer for layer in model.model.layers}
    variables = {
        "conv": [layers["conv"].delta["kernel"], layers["norm"].gamma, layers["norm"].beta],
        "depthwise": list(layers["depthwise"].delta.values()),
        "pointwise": list(layers["pointwise"].delta.values()),
    }
    assert found.keys() == variables.keys()
    for path, own in variables.items():
        total = 0.0
        for index in range(10):
            with tf.GradientTape() as tape:
                loss = LOSS(y[index : index + 1], model(x[index : index + 1]))
            total += sum(float(tf.reduce_sum(g**2)) for g in tape.gradient(loss, own))
        assert found[path] == pytest.approx(total / 10, rel=1e-3)


def test_gradients_choose_by_information_a_byte(base, task, monkeypatch):
    method = GradientSelection(head_fit=Fit(epochs=1))
    sizes = method.sizes(base, None)
    given = dict(zip(sizes, (3.0, 1.0, 2.0), strict=True))
    monkeypatch.setattr(
        "swr_keras.methods.gradient_selection.fisher_information",
        lambda *arguments: {path: given[path] * sizes[path] for path in sizes},
    )
    total, chosen = sum(sizes.values()), []
    for path in ("conv", "pointwise", "depthwise"):
        chosen.append(path)
        cost = sum(sizes[each] for each in chosen) / total
        policy = method.choose(base, task, target_cost=cost, verbose=0)
        assert set(policy.selected_layers) == set(chosen)


def test_gradients_find_the_layer_that_counts(arrays):
    """Of two branches of one size, one is multiplied by zero."""
    inputs = keras.Input((10, 8, 1))
    branches = [
        keras.layers.Rescaling(scale)(keras.layers.Conv2D(4, 3, name=name)(inputs))
        for name, scale in (("lost", 0.0), ("used", 1.0))
    ]
    x = keras.layers.GlobalAveragePooling2D()(keras.layers.Add()(branches))
    base = keras.Model(inputs, keras.layers.Dense(3, name="head")(x))
    task = GivenData(base, *arrays, num_classes=3)
    policy = GradientSelection().choose(base, task, target_cost=0.5, verbose=0)
    assert policy.selected_layers == ("used",)
    assert policy.probabilities == (0.0, 1.0)


def test_taps_of_different_sparsity_have_different_titles():
    assert TAPS().title != TAPS(sparsity=0.3).title


def test_settings_are_values():
    assert SWR() == SWR()
    assert SWR(fit=Fit(epochs=3)) != SWR()
    assert hash(RandomPolicy(draw=2)) == hash(RandomPolicy(draw=2))
