"""Methods that leave all before a layer to the base."""

import dataclasses

import keras
import numpy as np
import pytest

import swr_keras as swr
from swr_keras.methods import (
    SWR,
    DepthwiseFirst,
    GradientSelection,
    LastLayersFirst,
    PolicyLearning,
    RandomPolicy,
    SparseUpdate,
)
from swr_keras.training.fit import Fit, SearchFit
from swr_keras.training.given_data import GivenData

FIT = Fit(epochs=1, batch_size=32)
LEARNING = PolicyLearning(supernet=FIT, search=SearchFit(steps=20))
SEARCHED = SWR(fit=FIT, learning=LEARNING, tries=9)
METHODS = [
    SEARCHED,
    dataclasses.replace(SEARCHED, reading="budget"),
    *(RandomPolicy(fit=FIT, draw=draw) for draw in range(2)),
    LastLayersFirst(fit=FIT),
    DepthwiseFirst(fit=FIT),
    SparseUpdate(fit=FIT),
    GradientSelection(fit=FIT, head_fit=FIT),
]
COST = 0.7

every_method = pytest.mark.parametrize("method", METHODS, ids=lambda method: method.title)


def outputs_before(model, first_layer, x):
    """Computes what each layer gives that stands before one."""
    names = [layer.name for layer in model.layers]
    before = model.layers[1 : names.index(first_layer)]
    return keras.Model(model.input, [layer.output for layer in before]).predict(x, verbose=0)


@every_method
@pytest.mark.parametrize("first_layer", ["depthwise", "pointwise"])
def test_what_comes_before_is_the_base_bit_for_bit(method, first_layer, base, arrays, tmp_path):
    task = GivenData(base, *arrays, num_classes=3)
    method = dataclasses.replace(method, first_layer=first_layer)
    model = method.adapt(base, task, target_cost=COST, verbose=0)
    policy = model.policy
    start = policy.layers.index(first_layer)
    assert policy.first_layer == first_layer
    assert policy.selected_layers
    assert not any(policy.selected[:start])
    assert policy.achieved_cost <= COST
    x = arrays[0][:8]
    expected = outputs_before(base, first_layer, x)
    for theirs, ours in zip(expected, outputs_before(model.merge(), first_layer, x), strict=True):
        np.testing.assert_array_equal(ours, theirs)
    model.pack().save(tmp_path / "pack")
    assert swr.TaskPack.load(tmp_path / "pack").policy == policy


@pytest.mark.parametrize("batch_norm", ["owned", "frozen"])
@pytest.mark.parametrize("first_layer", ["stage1_block0_expand_conv", "stage3_block1_time_conv"])
def test_no_batch_norm_before_it_is_the_tasks(first_layer, batch_norm):
    keras.utils.set_random_seed(0)
    base = swr.backbones.bcresnet(1, input_shape=(20, 40, 1), num_classes=4)
    x = np.random.default_rng(0).normal(size=(16, 20, 40, 1)).astype("float32")
    base(x, training=True)
    method = RandomPolicy(first_layer=first_layer, batch_norm=batch_norm)
    policy = method.choose(base, None, target_cost=1.0)
    start = policy.layers.index(first_layer)
    assert policy.selected == (False,) * start + (True,) * (len(policy.layers) - start)
    model = swr.TaskModel(base, policy, num_classes=3, batch_norm=batch_norm)
    for variable in model.task_variables().values():
        variable.assign(variable + keras.random.uniform(variable.shape, 0.1, 0.5))
    merged = model.merge()
    for theirs, ours in zip(
        outputs_before(base, first_layer, x), outputs_before(merged, first_layer, x), strict=True
    ):
        np.testing.assert_array_equal(ours, theirs)


@every_method
def test_without_it_nothing_changes(method, base, arrays):
    task = GivenData(base, *arrays, num_classes=3)
    chosen = []
    for first in (None, "conv"):
        keras.utils.set_random_seed(0)
        starting = dataclasses.replace(method, first_layer=first)
        chosen.append(starting.choose(base, task, target_cost=COST, verbose=0))
    assert chosen[0].selected == chosen[1].selected
    assert chosen[0].first_layer is None


@every_method
@pytest.mark.parametrize(
    ("first_layer", "cost", "message"),
    [
        ("depthwize", 0.7, r"'depthwize'. Of 3 layers, see \['depthwise'\]"),
        ("head", 0.7, "the head is none. Received: 'head'"),
        ("norm", 0.7, "path of a policy layer"),
        ("", 0.7, r"see \['conv', 'depthwise', 'pointwise'\]"),
        (3, 0.7, "Received: 3"),
        ("pointwise", 0.2, "no layer fits a target cost of 0.2: the smallest takes 0.339"),
    ],
)
def test_what_can_not_be_is_refused_before_training(
    method, first_layer, cost, message, base, arrays
):
    class NoData(GivenData):
        def training(self, *arguments):
            raise AssertionError("training has begun")

    method = dataclasses.replace(method, first_layer=first_layer)
    with pytest.raises(ValueError, match=message):
        method.adapt(base, NoData(base, *arrays, num_classes=3), target_cost=cost, verbose=0)


@every_method
@pytest.mark.parametrize("batch_norm", ["statistics", "affine"])
def test_batch_norm_of_the_task_is_refused(method, batch_norm):
    with pytest.raises(ValueError, match=f"'owned', 'frozen'.*'conv'.*{batch_norm!r}"):
        dataclasses.replace(method, first_layer="conv", batch_norm=batch_norm)


def test_a_cost_of_zero_leaves_all_to_the_base(base, arrays):
    task = GivenData(base, *arrays, num_classes=3)
    policy = RandomPolicy(first_layer="pointwise").choose(base, task, target_cost=0.0)
    assert not policy.selected_layers
