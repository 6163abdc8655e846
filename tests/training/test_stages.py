import h5py
import keras
import numpy as np
import pytest

import swr_keras as swr
from swr_keras.layers.reparametrized_model import gates

LOSS = keras.losses.SparseCategoricalCrossentropy(from_logits=True)


def snapshot(model):
    return {variable.path: variable.numpy() for variable in model.variables}


def changed(before, model):
    after = snapshot(model)
    assert before.keys() == after.keys()
    return {path for path in before if np.any(before[path] != after[path])}


def fit(model, arrays, epochs=2, **kwargs):
    model.compile(keras.optimizers.Adam(1e-2), LOSS, metrics=["accuracy"])
    return model.fit(*arrays, batch_size=32, epochs=epochs, verbose=0, **kwargs)


def is_owned(path, layers, mode):
    names = {f"{layer}/{weight}_delta" for layer in layers for weight in ("kernel", "bias")}
    names |= {"head/kernel", "head/bias"}
    if mode != "frozen":
        names |= {"norm/moving_mean", "norm/moving_variance"}
    names |= {"affine": {"norm/gamma", "norm/beta"}, "shift": {"norm/beta"}}.get(mode, set())
    return path in names or "seed_generator" in path


ALL = ("conv", "depthwise", "pointwise")


@pytest.mark.parametrize("mode", ["statistics", "affine", "shift", "frozen"])
@pytest.mark.parametrize("chosen", [(), ("depthwise",), ("conv", "pointwise"), ALL])
def test_training_moves_only_what_a_task_owns(base, arrays, chosen, mode):
    weights = base.get_weights()
    task = swr.TaskModel(base, chosen, num_classes=3, batch_norm=mode)
    before = snapshot(task.model)
    fit(task, arrays)
    moved = changed(before, task.model)
    assert {path for path in moved if not is_owned(path, chosen, mode)} == set()
    for layer in chosen:
        assert f"{layer}/kernel_delta" in moved
    assert "head/kernel" in moved
    for old, new in zip(weights, base.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)


def test_a_frozen_base_is_trained_alike(base, arrays):
    base.trainable = False
    task = swr.TaskModel(base, ("conv",), num_classes=3, batch_norm="affine")
    assert len(task.owned_variables) == 5
    before = snapshot(task.model)
    fit(task, arrays)
    names = ("norm/gamma", "norm/moving_mean", "head/kernel", "conv/kernel_delta")
    assert set(names) <= changed(before, task.model)
    assert not base.trainable


@pytest.mark.parametrize("trainable", [False, True])
def test_trainable_changes_nothing_of_what_is_trained(base, arrays, trainable):
    task = swr.TaskModel(base, ("conv",), num_classes=3)
    task.trainable = False
    task.trainable = trainable
    before = snapshot(task.model)
    fit(task, arrays)
    assert {"conv/kernel_delta", "head/kernel"} <= changed(before, task.model)
    assert not {p for p in changed(before, task.model) if not is_owned(p, ("conv",), "statistics")}


def test_all_open_supernet_trains_every_layer_and_learns(base, arrays):
    supernet = swr.SuperNet(base, num_classes=3, sample_gates=False)
    assert list(supernet.units) == list(ALL)
    history = fit(supernet, arrays, epochs=15, validation_data=arrays)
    assert history.history["accuracy"][-1] > 0.8
    assert {"loss", "val_loss", "val_accuracy"} <= history.history.keys()
    assert history.history["loss"][-1] < history.history["loss"][0]
    assert supernet.evaluate(*arrays, verbose=0)[1] == pytest.approx(
        history.history["val_accuracy"][-1]
    )


def test_supernet_of_sampled_gates_works_with_few_layers_changed(base, arrays):
    losses = {}
    for sample_gates in (False, True):
        keras.utils.set_random_seed(0)
        supernet = swr.SuperNet(base, num_classes=3, sample_gates=sample_gates)
        before = snapshot(supernet.model)
        fit(supernet, arrays, epochs=30)
        moved = changed(before, supernet.model)
        assert {path for path in moved if not is_owned(path, ALL, "statistics")} == set()
        assert {f"{layer}/kernel_delta" for layer in ALL} <= moved
        assert "norm/moving_mean" in moved
        losses[sample_gates] = [
            float(LOSS(arrays[1], supernet(arrays[0], gates=gates)))
            for gates in np.eye(3, dtype="float32")
        ]
    assert np.mean(losses[True]) < 0.95 * np.mean(losses[False])


def test_validation_of_the_supernet_samples_gates_and_changes_nothing(base, arrays):
    supernet = swr.SuperNet(base, num_classes=3)
    fit(supernet, arrays, epochs=10)
    before = snapshot(supernet.model)
    losses = {supernet.evaluate(*arrays, batch_size=96, verbose=0)[0] for _ in range(4)}
    assert len(losses) > 1 and max(losses) < 2.0
    assert all("seed_generator" in path for path in changed(before, supernet.model))
    assert all(float(gate) == 1.0 for gate in gates(supernet.model).values())


def test_activity_regularizers_count_in_the_supernet_and_the_search(arrays):
    regularized = keras.layers.Conv2D(4, 3, activity_regularizer="l1", name="conv")
    head = [keras.layers.GlobalAveragePooling2D(), keras.layers.Dense(3, name="head")]
    base = keras.Sequential([keras.Input((10, 8, 1)), regularized, *head])
    supernet = swr.SuperNet(base)
    supernet.compile(keras.optimizers.SGD(0.0), LOSS)
    logs = supernet.fit(*arrays, batch_size=96, validation_data=arrays, verbose=0).history
    added = 0.01 * np.sum(np.abs(base.get_layer("conv")(arrays[0]))) / 96
    assert added > 0.5
    expected = float(LOSS(arrays[1], supernet(arrays[0]))) + added
    assert logs["loss"][0] == pytest.approx(expected, rel=1e-3)
    assert supernet.evaluate(*arrays, batch_size=96, verbose=0) == pytest.approx(expected, rel=1e-3)
    search = swr.PolicySearch(supernet)
    search.compile(keras.optimizers.SGD(0.0), LOSS)
    logs = search.fit(*arrays, batch_size=96, validation_data=arrays, epochs=2, verbose=0).history
    assert logs["task_loss"] == pytest.approx([expected, expected], rel=1e-3)


@pytest.mark.parametrize("make", [lambda base, **k: swr.TaskModel(base, (), **k), swr.SuperNet])
def test_loss_shown_is_the_loss(base, arrays, make):
    next(each for each in base.layers if isinstance(each, keras.layers.Dropout)).rate = 0.0
    model = make(base, num_classes=3, batch_norm="frozen")
    model.compile(keras.optimizers.SGD(0.0), LOSS)
    # The last batch is a smaller one.
    shown = model.fit(*arrays, batch_size=64, shuffle=False, verbose=0).history["loss"][0]
    expected = float(LOSS(arrays[1], model(arrays[0])))
    assert shown == pytest.approx(expected, rel=1e-5)
    assert model.evaluate(*arrays, batch_size=64, verbose=0) == pytest.approx(expected, rel=1e-5)


def test_sample_weights_and_callbacks_work(base, arrays, tmp_path):
    task = swr.TaskModel(base, ALL, num_classes=3)
    before = snapshot(task.model)
    callbacks = [
        keras.callbacks.CSVLogger(tmp_path / "log.csv"),
        keras.callbacks.ModelCheckpoint(tmp_path / "a.weights.h5", save_weights_only=True),
        keras.callbacks.EarlyStopping("loss", patience=1),
    ]
    task.compile("adam", LOSS, weighted_metrics=["accuracy"])
    task.fit(
        *arrays, sample_weight=np.zeros(96), batch_size=32, epochs=5, verbose=0, callbacks=callbacks
    )
    assert not any("delta" in path for path in changed(before, task.model))
    assert (tmp_path / "log.csv").read_text().startswith("epoch,accuracy,loss")
    task.load_weights(tmp_path / "a.weights.h5")


def saved_values(path):
    sizes = []
    with h5py.File(path) as file:
        file.visititems(lambda _, each: sizes.append(getattr(each, "size", 0)))
    return sum(sizes)


def test_weights_are_saved_once(base, tmp_path):
    task = swr.TaskModel(base, ("conv",), num_classes=3)
    search = swr.PolicySearch(swr.SuperNet(base, num_classes=3))
    for model in (task, search.supernet, search):
        model.save_weights(tmp_path / "a.weights.h5")
        values = sum(variable.numpy().size for variable in model.variables)
        assert saved_values(tmp_path / "a.weights.h5") <= values


def test_weights_of_another_policy_are_refused(base, arrays, tmp_path):
    saved, same, other = (
        swr.TaskModel(base, (name,), num_classes=3) for name in ("conv", "conv", "pointwise")
    )
    fit(saved, arrays)
    saved.save_weights(tmp_path / "a.weights.h5")
    same.load_weights(tmp_path / "a.weights.h5")
    np.testing.assert_array_equal(same(arrays[0]), saved(arrays[0]))
    before = snapshot(other.model)
    with pytest.raises(ValueError, match=r"saved with another policy.*\['conv', 'pointwise'\]"):
        other.load_weights(tmp_path / "a.weights.h5")
    assert not changed(before, other.model)


def test_saving_a_stage_whole_says_what_to_save(base, tmp_path):
    supernet = swr.SuperNet(base, num_classes=3)
    for stage, advice in ((supernet, "pack"), (swr.PolicySearch(supernet), "network.save")):
        with pytest.raises(NotImplementedError, match=f"can't be saved whole(.|\n)*{advice}"):
            stage.save(tmp_path / "stage.keras")


def test_same_seed_same_weights(base, arrays):
    runs = []
    for _ in range(2):
        keras.utils.set_random_seed(5)
        task = swr.TaskModel(base, ("conv",), num_classes=3)
        fit(task, arrays)
        runs.append(task.model.get_weights())
    for first, second in zip(*runs, strict=True):
        np.testing.assert_array_equal(first, second)


def test_merged_model_is_plain_and_has_the_cost_of_the_base(base, arrays):
    task = swr.TaskModel(base, ("conv",), num_classes=4)
    fit(task, arrays)
    merged = task.merge(check_on=arrays[0])
    np.testing.assert_allclose(merged(arrays[0]), task(arrays[0]), rtol=1e-4, atol=1e-5)
    assert merged.count_params() == base.count_params()
    assert [type(layer) for layer in merged.layers] == [type(layer) for layer in base.layers]
    np.testing.assert_array_equal(
        merged.get_layer("depthwise").get_weights()[0], base.get_layer("depthwise").get_weights()[0]
    )


def test_policy_of_another_base_is_refused(base):
    other = keras.Sequential(
        [keras.Input((4,)), keras.layers.Dense(2, name="a"), keras.layers.Dense(2, name="head")]
    )
    policy = swr.Policy.from_probabilities(["a"], [10], [1.0], 1.0)
    swr.TaskModel(other, policy)
    with pytest.raises(ValueError, match="other layers than those of 'base'"):
        swr.TaskModel(base, policy)


def test_tensorboard_writes_the_metrics(base, arrays, tmp_path):
    task = swr.TaskModel(base, ALL, num_classes=3)
    fit(task, arrays, callbacks=[keras.callbacks.TensorBoard(tmp_path)])
    (events,) = (tmp_path / "train").iterdir()
    assert b"epoch_accuracy" in events.read_bytes()


def test_a_policy_that_opens_nothing_is_pointed_out(base, recwarn):
    swr.TaskModel(base, [])
    assert not [w for w in recwarn if "target cost" in str(w.message)]
    layers = swr.SuperNet(base).units
    sizes = [unit.parameters for unit in layers.values()]
    smallest = min(sizes) / sum(sizes)

    def policy(cost):
        return swr.Policy.from_probabilities(list(layers), sizes, [0.9] * len(sizes), cost)

    message = f"target cost of 0.1 changes no layer.*smallest.* is {smallest:.3g}"
    with pytest.warns(UserWarning, match=message):
        swr.TaskModel(base, policy(0.1))
    assert policy(0.1).smallest_cost == smallest
    assert len(policy(smallest).selected_layers) == 1


def test_layers_chosen_by_hand_must_exist(base):
    policy = swr.TaskModel(base, ["conv"]).policy
    assert policy.selected_layers == ("conv",)
    assert policy.target_cost == policy.achieved_cost
    with pytest.raises(ValueError, match="Received: .'norm'."):
        swr.TaskModel(base, ["norm"])
    with pytest.raises(ValueError, match="Expected paths"):
        swr.TaskModel(base, "conv")
