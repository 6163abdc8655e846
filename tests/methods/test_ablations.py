"""SWR without one of its parts, or with one more, on a small base."""

import dataclasses

import keras
import numpy as np
import pytest

import swr_keras as swr
from swr_keras.methods import SWR, PolicyLearning, ablations
from swr_keras.training.fit import Fit, SearchFit
from swr_keras.training.given_data import GivenData

FIT = Fit(epochs=2, batch_size=32)
LEARNING = PolicyLearning(supernet=FIT, search=SearchFit(steps=20))
METHOD = SWR(fit=FIT, learning=LEARNING, tries=9)
ABLATIONS = ablations(METHOD)
NOT_STAGED = ABLATIONS["not-staged"]
COST = 0.7

every_ablation = pytest.mark.parametrize("name", ABLATIONS)
pytestmark = pytest.mark.filterwarnings("ignore:The policy doesn't follow")


@pytest.fixture
def task(base, arrays):
    return GivenData(base, *arrays, num_classes=3)


def train(method, base, task, **options):
    keras.utils.set_random_seed(3)
    return method.train(base, task, target_cost=COST, seed=3, verbose=0, **options)


@pytest.mark.parametrize(
    ("name", "row"),
    [
        ("not-staged", "SWR, not staged"),
        ("batch-norm-affine", "SWR + BN affine"),
        ("supernet-weight", "SWR + super-net weight"),
        ("without-supernet", "SWR, without super-net"),
        ("without-layer-weights", "SWR, without w_l"),
        ("all-gates-open", "SWR, all gates open"),
    ],
)
def test_each_has_a_row_of_its_own(name, row):
    assert ABLATIONS[name].row == ABLATIONS[name].title == row
    assert METHOD.row == METHOD.title == "SWR"


@every_ablation
def test_one_thing_differs(name):
    flat = [flattened(dataclasses.asdict(method)) for method in (METHOD, ABLATIONS[name])]
    differing = {key for key in flat[0] if flat[0][key] != flat[1][key]} - {"variant"}
    # A policy that is trained at once can't be refined.
    assert len(differing - {"reading"}) == 1
    assert ("reading" in differing) == (name == "not-staged")


def flattened(values, prefix=""):
    found = {}
    for name, value in values.items():
        if isinstance(value, dict):
            found |= flattened(value, f"{prefix}{name}.")
        else:
            found[prefix + name] = value
    return found


class _Stop(keras.callbacks.Callback):
    def on_epoch_begin(self, epoch, logs=None):
        if epoch == 1:
            raise KeyboardInterrupt


def test_a_joint_search_goes_on_where_it_was_stopped(base, task, tmp_path):
    learning = ABLATIONS["without-supernet"].learning
    states = (tmp_path / "unused", tmp_path / "search.safetensors")
    options = {"batch_norm": "owned", "cost": "flash", "verbose": 0}

    def learn(**more):
        keras.utils.set_random_seed(3)
        return learning.run(base, task, **options, **more)

    whole, _ = learn()
    with pytest.raises(KeyboardInterrupt):
        learn(states=states, callbacks=[_Stop()])
    search, logs = learn(states=states)
    for old, new in zip(whole.get_weights(), search.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)
    assert not states[0].exists()
    # 2 epochs of the super-net, and 4 of 3 batches for the 20 steps of 16 examples.
    epochs, examples = learning.plan(task)["policy search"]
    assert (epochs, examples, len(logs["policy search"])) == (6, 6 * 96, 6)


@pytest.mark.parametrize("batch_norm", ["owned", "affine"])
def test_the_model_starts_from_all_that_the_supernet_has(batch_norm, base, task):
    supernet = swr.SuperNet(base, num_classes=3, batch_norm=batch_norm)
    for variable in supernet.task_variables().values():
        variable.assign(variable + 0.25)
    policy = swr.PolicySearch(supernet, cost="flash").policy(COST)
    still = Fit(epochs=1, learning_rate=0.0, batch_size=32)
    method = SWR(fit=still, start="supernet", batch_norm=batch_norm, learning=LEARNING)
    model, _ = train(method, base, task, policy=policy, supernet=supernet)
    theirs = supernet.task_variables()
    assert len(model.owned_variables) > 2
    for name, variable in model.task_variables().items():
        if "moving" not in name:
            np.testing.assert_array_equal(variable.numpy(), theirs[name].numpy(), name)
    with pytest.raises(ValueError, match="none came with the policy. Pass `supernet=`"):
        train(method, base, task, policy=policy)


def test_a_start_that_lacks_something_is_refused(base):
    model = swr.TaskModel(base, ["conv"], num_classes=3)
    before = model.get_weights()
    other = swr.TaskModel(base, ["pointwise"], num_classes=3)
    with pytest.raises(ValueError, match=r"Missing: \['conv/kernel_delta'\]"):
        model.start_from(other.task_variables())
    for old, new in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)


def test_one_training_is_of_the_length_that_fit_says(base, task):
    model, logs = train(NOT_STAGED, base, task)
    assert len(logs) == FIT.epochs
    assert model.policy.target_cost == COST
    assert {"task_loss", "cost_loss", "accuracy"} <= logs[0].keys()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"staged": False}, "staged=False leaves out. Received: reading='refined'"),
        (
            {"staged": False, "reading": "budget", "start": "supernet"},
            "one training.*start='supernet'",
        ),
        (
            {"staged": False, "reading": "budget", "first_layer": "conv"},
            "one training.*first_layer='conv'",
        ),
        (
            {"staged": False, "reading": "budget", "learning": PolicyLearning(joint=True)},
            "one training.*learning.joint=True",
        ),
        ({"start": "super-net"}, r"one of \('zero', 'supernet'\). Received: 'super-net'"),
    ],
)
def test_settings_that_make_no_sense_are_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        SWR(**changes)


def test_a_joint_training_has_no_gates_of_its_own():
    with pytest.raises(ValueError, match="Received: joint=True, sample_gates=False"):
        PolicyLearning(joint=True, sample_gates=False)


def test_one_training_takes_no_policy(base, task):
    policy = swr.TaskModel(base, ["conv"], num_classes=3).policy
    with pytest.raises(ValueError, match="Leave `policy` out"):
        train(NOT_STAGED, base, task, policy=policy)
    with pytest.raises(ValueError, match="from 0 to 1. Received: None"):
        NOT_STAGED.train(base, task)
