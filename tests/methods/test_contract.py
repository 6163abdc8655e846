"""What every method must keep, on small bases of several kinds."""

import dataclasses
from typing import Any

import keras
import numpy as np
import pytest

import swr_keras as swr
from swr_keras.graph import walk
from swr_keras.layers.layer_kinds import is_batch_norm
from swr_keras.layers.units import channel_bytes, kernel_bytes
from swr_keras.methods import (
    SWR,
    TAPS,
    ClassifierAndBatchNorm,
    ClassifierOnly,
    DepthwiseFirst,
    FineTuningAll,
    FixedPolicy,
    GradientSelection,
    LastLayersFirst,
    Piggyback,
    PolicyLearning,
    RandomPolicy,
    RepNet,
    ResidualAdapter,
    SparseUpdate,
    SpotTune,
    ablations,
)
from swr_keras.training.fit import Fit, SearchFit
from swr_keras.training.given_data import GivenData

FIT = Fit(epochs=3, batch_size=32)
METHODS = [
    SWR(fit=FIT, learning=PolicyLearning(supernet=FIT, search=SearchFit(steps=20)), tries=9),
    ClassifierOnly(fit=FIT),
    ClassifierAndBatchNorm(fit=FIT),
    DepthwiseFirst(fit=FIT),
    FineTuningAll(fit=FIT),
    FixedPolicy(fit=FIT, layers=()),
    GradientSelection(fit=FIT, head_fit=FIT),
    LastLayersFirst(fit=FIT),
    Piggyback(fit=dataclasses.replace(FIT, learning_rate=0.1)),  # Drops some weights.
    RandomPolicy(fit=FIT, draw=1),
    RepNet(fit=FIT),
    ResidualAdapter(fit=FIT),
    SparseUpdate(fit=FIT),
    SpotTune(fit=FIT),
    TAPS(fit=dataclasses.replace(FIT, learning_rate=3e-2), warm_up=1),  # Closes a gate of `tiny`.
]
COST = 0.7


def tiny():
    """Convolution, depthwise and pointwise convolution, two of them with batch norm."""
    inputs = keras.Input((20, 40, 1))
    x = keras.layers.Conv2D(4, 3, (2, 4), use_bias=False, name="conv")(inputs)
    x = keras.layers.BatchNormalization(momentum=0.9, name="norm")(x)
    x = keras.layers.ReLU()(x)
    x = keras.layers.DepthwiseConv2D(3, name="block0_depthwise")(x)
    x = keras.layers.ReLU(name="block0_relu")(x)
    x = keras.layers.BatchNormalization(momentum=0.9, name="block0_norm")(x)
    x = keras.layers.Dropout(0.1, name="block0_dropout")(x)
    x = keras.layers.Conv2D(6, 1, activation="relu", name="block0_pointwise")(x)
    x = keras.layers.GlobalAveragePooling2D()(x)
    return keras.Model(inputs, keras.layers.Dense(4, name="head")(x), name="tiny")


BASES = {
    "tiny": tiny,
    "bcresnet": lambda: swr.backbones.bcresnet(1, input_shape=(20, 40, 1), num_classes=4),
    "res15": lambda: swr.backbones.res15(19, input_shape=(20, 40, 1), num_classes=4),
}
SLOW = ("bcresnet", "res15")
# These differ from a fixed policy in their rule for layers alone, so one network tells all.
BY_RULE = (ClassifierOnly, DepthwiseFirst, LastLayersFirst, RandomPolicy)

ABLATIONS = ablations(METHODS[0])
NAMED = {**{method.name: method for method in METHODS}, **ABLATIONS}
every_method = pytest.mark.parametrize("method", NAMED.values(), ids=NAMED)
every_case = pytest.mark.parametrize(
    ("method", "kind"),
    [
        pytest.param(
            method, kind, id=f"{name}-{kind}", marks=pytest.mark.slow if kind in SLOW else ()
        )
        for name, method in NAMED.items()
        for kind in (("tiny",) if name in ABLATIONS or isinstance(method, BY_RULE) else BASES)
    ],
)


@dataclasses.dataclass
class Adapted:
    """A base before and after, and what a method made of it."""

    base: keras.Model
    base_weights: list[np.ndarray]
    start: dict[str, np.ndarray]
    model: Any
    x: np.ndarray


class _Start(keras.callbacks.Callback):
    """Keeps the weights that the last training of a method began with."""

    def on_train_begin(self, logs=None):
        self.weights = snapshot(self.model)


class _Kill(keras.callbacks.Callback):
    """Ends the training of a state after its first epoch."""

    def __init__(self, state):
        super().__init__()
        self.state = state

    def on_epoch_begin(self, epoch, logs=None):
        if epoch == 1 and self.state.exists():
            raise KeyboardInterrupt


def snapshot(model):
    return {f"{id(each)}": each.numpy().copy() for each in model.variables}


def examples():
    """96 examples of 3 classes that differ in where they are bright."""
    labels = np.arange(96) % 3
    x = np.random.default_rng(0).normal(size=(96, 20, 40, 1)).astype("float32")
    for index, label in enumerate(labels):
        x[index, 6 * label : 6 * label + 6] += 1.5
    return x, labels


def make_base(kind):
    keras.utils.set_random_seed(0)
    base = BASES[kind]()
    for _ in range(3):
        base(examples()[0], training=True)
    return base


def adapt(method, base, **options):
    """Adapts a base to the examples, always in the same way."""
    task = GivenData(base, *examples(), num_classes=3)
    keras.utils.set_random_seed(3)
    cost = COST if method.needs_cost else None
    return method.adapt(base, task, target_cost=cost, seed=3, verbose=0, **options)


@pytest.fixture(scope="module")
def adapted():
    """Gives what a method made of a kind of base."""
    done = {}

    def give(method, kind):
        if (method, kind) not in done:
            base, begun = make_base(kind), _Start()
            before = base.get_weights()
            model = adapt(method, base, callbacks=[begun])
            start = begun.weights if begun.model is model else untrained(method, base, model)
            done[method, kind] = Adapted(base, before, start, model, examples()[0][:8])
        return done[method, kind]

    return give


def untrained(method, base, model):
    """What a model began with that was made of another one, which was trained."""
    fresh = method.build(base, model.policy, num_classes=3)
    pairs = zip(model.variables, fresh.variables, strict=True)
    return {f"{id(own)}": each.numpy() for own, each in pairs}


@every_case
def test_the_base_stays_and_only_what_a_task_owns_moves(method, kind, adapted):
    found = adapted(method, kind)
    model = found.model
    for old, new in zip(found.base_weights, found.base.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)
    # What was trained and isn't owned at the end is of no effect, as the round trip shows.
    own = [*model.task_variables().values(), *model.owned_variables]
    owned = {id(each) for each in own} | {id(each) for each in derived(model)}
    for variable in model.variables:
        if id(variable) not in owned and "seed" not in variable.path:
            np.testing.assert_array_equal(
                variable.numpy(), found.start[f"{id(variable)}"], variable.path
            )


def derived(model):
    """Variables that follow from others: gates of scores and deltas of masks."""
    names = ("gate", "penalty") if hasattr(model, "scores") else ()
    names = ("kernel_delta",) if hasattr(model, "masks") else names
    return [each for each in model.variables if each.path.endswith(names)] if names else []


@every_case
def test_gradients_reach_everything_that_is_trained(method, kind, adapted):
    found = adapted(method, kind)
    own = found.model.task_variables()
    names = {id(variable): name for name, variable in own.items()}
    for variable in [*own.values(), *found.model.owned_variables]:
        moved = variable.numpy() != found.start[f"{id(variable)}"]
        assert np.any(moved), names.get(id(variable), variable.path)


@every_case
def test_a_cost_is_kept(method, kind, adapted):
    policy = adapted(method, kind).model.policy
    if method.needs_cost:
        assert 0 < policy.achieved_cost <= COST
    assert policy.cost == method.cost


@every_case
def test_the_merged_model_has_the_outputs_of_the_task_and_the_shape_of_the_base_if_it_adds_nothing(
    method, kind, adapted
):
    found = adapted(method, kind)
    merged = found.model.merge(check_on=found.x)
    if found.model.extension is not None:
        assert swr.summary(merged).multiplies > swr.summary(found.base).multiplies
        return
    head = found.base.get_layer("head")  # Of 4 outputs, where the task has 3.
    assert merged.count_params() == found.base.count_params() - head.count_params() // 4
    assert swr.summary(merged).multiplies < swr.summary(found.base).multiplies


@every_case
def test_the_pack_gives_the_same_outputs(method, kind, adapted, tmp_path):
    found = adapted(method, kind)
    outputs = found.model.predict(found.x, verbose=0)
    found.model.pack().save(tmp_path / "pack")
    pack = swr.TaskPack.load(tmp_path / "pack")
    assert pack.policy == found.model.policy
    for again in (pack.on(found.base), type(found.model).from_pack(found.base, pack)):
        np.testing.assert_array_equal(again.predict(found.x, verbose=0), outputs)
    restored = type(found.model).from_pack(found.base, pack).pack()
    assert restored.policy == pack.policy
    for name, array in pack.arrays.items():
        np.testing.assert_array_equal(restored.arrays[name], array)


@every_case
def test_what_is_counted_is_what_the_pack_holds(method, kind, adapted):
    model = adapted(method, kind).model
    found = swr.summary(model)
    assert found.owned_bytes == model.pack().num_bytes
    if model.extension is not None:
        return
    # In flash a policy says what kernels take, with channels of batch norm that isn't the task's.
    norms = [layer for _, layer in walk(model.model) if is_batch_norm(layer)]
    is_private = method.batch_norm in ("statistics", "affine")
    expected = sum(map(channel_bytes, norms)) if is_private else 0
    head = model.model.get_layer("head")
    expected += kernel_bytes(head) + channel_bytes(head)
    assert found.flash_bytes == expected + model.policy.owned_size


@every_method
def test_killed_and_resumed_it_ends_as_undisturbed_at_the_same_seed(method, adapted, tmp_path):
    kind = "tiny"
    found = adapted(method, kind)
    state = tmp_path / "state.safetensors"
    with pytest.raises(KeyboardInterrupt):
        adapt(method, make_base(kind), state=state, callbacks=[_Kill(state)])
    resumed = adapt(method, make_base(kind), state=state).pack()
    whole = found.model.pack()
    assert resumed.policy == whole.policy
    assert resumed.arrays.keys() == whole.arrays.keys()
    for name, array in resumed.arrays.items():
        np.testing.assert_array_equal(array, whole.arrays[name], name)
