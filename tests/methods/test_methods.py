"""What every method must keep, on a small base."""

import keras
import numpy as np
import pytest

import swr_keras as swr
from swr_keras.layers.conversion import layer_sizes
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


@every_method
def test_the_base_stays_and_only_what_a_task_owns_moves(method, base, task):
    weights = base.get_weights()
    start = swr.TaskModel(base, [], num_classes=3, batch_norm=method.batch_norm).model
    model = adapt(method, base, task)
    owned = {variable.path for variable in model.task_variables().values()}
    for before, after in zip(start.weights, model.model.weights, strict=True):
        if after.path not in owned and "seed" not in after.path and "gate" not in after.path:
            np.testing.assert_array_equal(np.asarray(before), np.asarray(after), after.path)
    for before, after in zip(weights, base.get_weights(), strict=True):
        np.testing.assert_array_equal(before, after)


@every_method
def test_what_is_trained_moves(method, base, task):
    arrays = adapt(method, base, task).pack().arrays
    deltas = [array for name, array in arrays.items() if name.endswith("_delta")]
    assert all(np.any(delta) for delta in deltas)
    assert np.any(arrays["head/kernel"])


@every_method
def test_a_cost_is_kept(method, base, task):
    policy = adapt(method, base, task).policy
    assert not method.needs_cost or policy.achieved_cost <= COST


@every_method
def test_the_merged_model_and_the_pack_give_the_same_outputs(method, base, task, arrays, tmp_path):
    model = adapt(method, base, task)
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


def test_draws_differ_and_depend_on_the_seed():
    sizes = {str(index): 10 for index in range(40)}

    def drawn(draw, seed):
        policy = RandomPolicy(draw=draw).choose(sizes, 0.3, seed=seed, policies=None)
        return policy.selected_layers

    assert len({drawn(draw, seed) for draw in range(3) for seed in range(3)}) == 9
    assert drawn(1, 2) == drawn(1, 2)


def test_last_layers_come_first(base):
    sizes = layer_sizes(base)
    assert list(sizes) == ["conv", "depthwise", "pointwise"]
    policy = LastLayersFirst().choose(sizes, 0.7, seed=0, policies=None)
    assert policy.selected_layers == ("depthwise", "pointwise")


def test_settings_are_values():
    assert SWR() == SWR()
    assert SWR(fit=Fit(epochs=3)) != SWR()
    assert hash(RandomPolicy(draw=2)) == hash(RandomPolicy(draw=2))
