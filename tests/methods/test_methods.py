"""What every method must keep, on a small base."""

import keras
import numpy as np
import pytest

import swr_keras as swr
from swr_keras.layers.units import policy_units
from swr_keras.methods import (
    SWR,
    ClassifierOnly,
    FineTuningAll,
    FixedPolicy,
    LastLayersFirst,
    PolicyLearning,
    RandomPolicy,
)
from swr_keras.training.fit import Fit, SearchFit
from swr_keras.training.given_data import GivenData

FIT = Fit(epochs=2, batch_size=32)
METHODS = [
    SWR(fit=FIT, learning=PolicyLearning(supernet=FIT, search=SearchFit(steps=20))),
    ClassifierOnly(fit=FIT),
    FineTuningAll(fit=FIT),
    FixedPolicy(fit=FIT, layers=("conv", "pointwise")),
    LastLayersFirst(fit=FIT),
    RandomPolicy(fit=FIT, draw=1),
]
COST = 0.7

every_method = pytest.mark.parametrize("method", METHODS, ids=lambda method: method.name)


@pytest.fixture
def task(base, arrays):
    return GivenData(base, *arrays, num_classes=3)


def adapt(method, base, task, **options):
    cost = COST if method.needs_cost else None
    return method.adapt(base, task, target_cost=cost, verbose=0, **options)


@pytest.fixture(scope="module")
def adapted(arrays, small_base):
    """Gives a base, its weights from before, and the model that a method made of it."""
    done = {}

    def give(method):
        if method not in done:
            base = small_base()
            before = base.get_weights()
            task = GivenData(base, *arrays, num_classes=3)
            done[method] = base, before, adapt(method, base, task)
        return done[method]

    return give


@every_method
def test_the_base_stays_and_only_what_a_task_owns_moves(method, adapted):
    base, before, model = adapted(method)
    start = swr.TaskModel(base, [], num_classes=3, batch_norm=method.batch_norm).model
    owned = {variable.path for variable in model.task_variables().values()}
    for old, new in zip(start.weights, model.model.weights, strict=True):
        if new.path not in owned and "seed" not in new.path and "gate" not in new.path:
            np.testing.assert_array_equal(np.asarray(old), np.asarray(new), new.path)
    for old, new in zip(before, base.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)


@every_method
def test_what_is_trained_moves(method, adapted):
    arrays = adapted(method)[2].pack().arrays
    deltas = [array for name, array in arrays.items() if name.endswith("_delta")]
    assert all(np.any(delta) for delta in deltas)
    assert np.any(arrays["head/kernel"])


@every_method
def test_a_cost_is_kept(method, adapted):
    policy = adapted(method)[2].policy
    assert not method.needs_cost or policy.achieved_cost <= COST


@every_method
def test_the_merged_model_and_the_pack_give_the_same_outputs(method, adapted, arrays, tmp_path):
    base, _, model = adapted(method)
    x = arrays[0][:8]
    merged = model.merge(check_on=x)
    assert merged.count_params() == base.count_params() - 9
    model.pack().save(tmp_path / "pack")
    again = swr.TaskPack.load(tmp_path / "pack").on(base)
    np.testing.assert_array_equal(again.predict(x, verbose=0), model.predict(x, verbose=0))


@every_method
def test_the_same_seed_gives_the_same_model(method, base, task):
    packs = []
    for _ in range(2):
        keras.utils.set_random_seed(3)
        packs.append(adapt(method, base, task, seed=3).pack())
    for name, array in packs[0].arrays.items():
        np.testing.assert_array_equal(array, packs[1].arrays[name], name)


class _Stop(keras.callbacks.Callback):
    def on_epoch_begin(self, epoch, logs=None):
        if epoch == 1:
            raise KeyboardInterrupt


@pytest.mark.parametrize("method", METHODS[1:], ids=lambda method: method.name)
def test_an_interrupted_training_ends_with_the_same_model(method, base, task, tmp_path):
    keras.utils.set_random_seed(0)
    whole = adapt(method, base, task).pack()
    for callbacks in ([_Stop()], []):
        keras.utils.set_random_seed(0)
        try:
            broken = adapt(
                method, base, task, state=tmp_path / "state.safetensors", callbacks=callbacks
            )
        except KeyboardInterrupt:
            assert callbacks
    for name, array in broken.pack().arrays.items():
        np.testing.assert_array_equal(array, whole.arrays[name], name)


def test_draws_differ_and_depend_on_the_seed(task):
    base = swr.backbones.bcresnet(1, input_shape=(20, 40, 1), num_classes=4)

    def drawn(draw, seed):
        policy = RandomPolicy(draw=draw).choose(base, task, target_cost=0.3, seed=seed)
        return policy.selected_layers

    assert len({drawn(draw, seed) for draw in range(3) for seed in range(3)}) == 9
    assert drawn(1, 2) == drawn(1, 2)


def test_last_layers_come_first(base, task):
    assert list(policy_units(base)) == ["conv", "depthwise", "pointwise"]
    policy = LastLayersFirst().choose(base, task, target_cost=0.7)
    assert policy.selected_layers == ("depthwise", "pointwise")


def test_settings_are_values():
    assert SWR() == SWR()
    assert SWR(fit=Fit(epochs=3)) != SWR()
    assert hash(RandomPolicy(draw=2)) == hash(RandomPolicy(draw=2))
