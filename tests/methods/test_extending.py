"""Methods that add layers to a base, on bases with blocks of several kinds."""

import dataclasses

import keras
import numpy as np
import pytest

import swr_keras as swr
from swr_keras.layers.routed_blocks import RoutedBlocks, usual_width
from swr_keras.layers.side_modules import SideModules
from swr_keras.methods import RepNet, ResidualAdapter, SpotTune
from swr_keras.training.fit import Fit
from swr_keras.training.given_data import GivenData

FIT = Fit(epochs=3, batch_size=16)
METHODS = [
    ResidualAdapter(fit=FIT),
    RepNet(fit=FIT),
    RepNet(fit=FIT, batch_norm="statistics", extension=SideModules(expand=1.0)),
    SpotTune(fit=FIT),
]
BACKBONES = {
    "bcresnet": lambda: swr.backbones.bcresnet(1, num_classes=4, input_shape=(10, 40, 1)),
    "res15-narrow": lambda: swr.backbones.res15(19, num_classes=4, input_shape=(10, 8, 1)),
}
CASES = [("blocked", method) for method in METHODS] + [
    pytest.param(name, method, marks=[pytest.mark.slow] if name == "bcresnet" else [])
    for name in BACKBONES
    for method in METHODS
    if method.batch_norm != "statistics"
]

every_method = pytest.mark.parametrize("method", METHODS, ids=lambda m: f"{m.name}-{m.batch_norm}")
every_case = pytest.mark.parametrize(("name", "method"), CASES, ids=lambda v: getattr(v, "name", v))


def data(base, count=48):
    rng, labels = np.random.default_rng(0), np.arange(count) % 3
    x = rng.normal(size=(count, *base.input_shape[1:])).astype("float32")
    for index, label in enumerate(labels):
        x[index, 3 * label : 3 * label + 3] += 1.5
    return x, labels


def adapt(method, base, seed=0, **options):
    keras.utils.set_random_seed(seed)
    task = GivenData(base, *data(base), num_classes=3)
    return method.adapt(base, task, seed=seed, verbose=0, **options)


class Start(keras.callbacks.Callback):
    """Keeps the weights from before the training."""

    def on_train_begin(self, logs=None):
        self.before = {v.path: v.numpy() for v in self.model.model.variables}


@pytest.fixture(scope="module")
def adapted(blocked_base):
    """Gives a base, its weights, the trained model and what its weights were at the start."""
    done = {}

    def give(name, method):
        if (name, method) not in done:
            keras.utils.set_random_seed(1)
            base = BACKBONES[name]() if name in BACKBONES else blocked_base()
            before, start = base.get_weights(), Start()
            done[name, method] = base, before, adapt(method, base, callbacks=[start]), start.before
        return done[name, method]

    return give


@every_case
def test_the_base_stays_and_what_is_owned_moves_alone(name, method, adapted):
    base, before, model, start = adapted(name, method)
    owned = {variable.path for variable in model.task_variables().values()}
    moved = {
        variable.path
        for variable in model.model.variables
        if np.any(np.asarray(variable) != start[variable.path]) and "seed" not in variable.path
    }
    assert moved == owned
    for old, new in zip(before, base.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)


@every_case
def test_merged_model_and_pack_give_the_same_outputs(name, method, adapted, tmp_path):
    base, _, model, _ = adapted(name, method)
    x = data(base)[0]
    merged = model.merge(check_on=x)
    merged.save(tmp_path / "merged.keras")
    again = keras.saving.load_model(tmp_path / "merged.keras")
    np.testing.assert_array_equal(again.predict(x, verbose=0), merged.predict(x, verbose=0))
    model.pack().save(tmp_path / "task.swr.safetensors")
    pack = swr.TaskPack.load(tmp_path / "task.swr.safetensors")
    assert pack.extension == model.extension
    for restored in (pack.on(base), swr.TaskModel.from_pack(base, pack)):
        np.testing.assert_array_equal(restored.predict(x, verbose=0), model.predict(x, verbose=0))


@every_case
def test_what_a_task_owns_is_counted_alike_everywhere(name, method, adapted):
    base, _, model, _ = adapted(name, method)
    pack, found = model.pack(), swr.summary(model)
    assert found.owned_bytes == pack.num_bytes
    assert dataclasses.replace(swr.summary(pack.on(base)), name="") == dataclasses.replace(
        found, name=""
    )
    assert swr.summary(model.merge()).multiplies == found.multiplies
    assert found.multiplies > swr.summary(base).multiplies


@every_method
def test_the_same_seed_gives_the_same_model(method, blocked_base):
    packs = [adapt(method, blocked_base(), seed).pack() for seed in (3, 3, 4)]
    for name, array in packs[0].arrays.items():
        np.testing.assert_array_equal(array, packs[1].arrays[name], name)
    assert np.any(packs[0].arrays["head/kernel"] != packs[2].arrays["head/kernel"])


class Stop(keras.callbacks.Callback):
    def on_epoch_begin(self, epoch, logs=None):
        if epoch == 1:
            raise KeyboardInterrupt


@every_method
def test_an_interrupted_training_ends_with_the_same_model(method, blocked_base, tmp_path):
    base, state = blocked_base(), tmp_path / "state.safetensors"
    whole = adapt(method, base).pack()
    with pytest.raises(KeyboardInterrupt):
        adapt(method, base, state=state, callbacks=[Stop()])
    broken = adapt(method, base, state=state).pack()
    for name, array in broken.arrays.items():
        np.testing.assert_array_equal(array, whole.arrays[name], name)


def test_what_each_method_leaves_to_the_base(adapted):
    def owned(method):
        names = adapted("blocked", method)[2].task_variables()
        return {name for name in names if "side" not in name and "adapter" not in name}

    adapter, rep_net, without_shift, spot_tune = map(owned, METHODS)
    head, norms = {"head/kernel", "head/bias"}, ("stem_norm", "block0_norm", "block1_norm")
    statistics = {f"{norm}/moving_{of}" for norm in norms for of in ("mean", "variance")}
    shifts, scales = ({f"{norm}/{of}" for norm in norms} for of in ("beta", "gamma"))
    assert without_shift == head | statistics
    assert rep_net == head | statistics | shifts
    assert adapter == head | statistics | shifts | scales
    own = {name for name in spot_tune if not name.startswith("agent_") and "_tuned/" not in name}
    assert own == adapter | {"stem_conv/kernel_delta"}
    assert {name.split("/")[0] for name in spot_tune if "_tuned/" in name} == {
        *("block0_expand_tuned", "block0_norm_tuned", "block1_conv_tuned", "block1_norm_tuned")
    }


def test_steps_of_the_agent_are_shorter(blocked_base):
    moves = {}
    for rate in (1.0, 0.25):
        method = SpotTune(
            fit=Fit(epochs=1, batch_size=48, learning_rate=1e-3),
            extension=RoutedBlocks(width=2),
            agent_rate=rate,
        )
        start = Start()
        model = adapt(method, blocked_base(), callbacks=[start])
        for path in ("agent_logits/kernel", "head/kernel"):
            (variable,) = [v for v in model.model.variables if v.path == path]
            moves[path, rate] = np.asarray(variable) - start.before[path]
    whole, part = (moves["agent_logits/kernel", rate] for rate in (1.0, 0.25))
    assert np.any(whole)
    np.testing.assert_allclose(part, 0.25 * whole, rtol=1e-2, atol=1e-9)
    np.testing.assert_array_equal(moves["head/kernel", 0.25], moves["head/kernel", 1.0])


@pytest.mark.parametrize("rate", [0.0, 1.5, float("nan")])
def test_an_agent_rate_out_of_range_is_refused(rate):
    with pytest.raises(ValueError, match="`agent_rate`.*Received"):
        SpotTune(agent_rate=rate)


@pytest.mark.parametrize("method", [RepNet(), SpotTune()], ids=lambda method: method.name)
def test_a_base_without_blocks_is_refused(method, base, arrays):
    with pytest.raises(ValueError, match="no blocks"):
        method.adapt(base, GivenData(base, *arrays, num_classes=3), verbose=0)


def test_side_modules_of_a_base_of_two_inputs_are_refused():
    inputs = [keras.Input((8, 8, 3)), keras.Input((8, 8, 3))]
    x = keras.layers.Conv2D(4, 3, padding="same")(keras.layers.Concatenate()(inputs))
    x = keras.layers.Add()([x, keras.layers.Conv2D(4, 3, padding="same")(x)])
    x = keras.layers.GlobalAveragePooling2D()(x)
    base = keras.Model(inputs, keras.layers.Dense(3)(x), name="two")
    with pytest.raises(ValueError, match="one input. Received: 'two'"):
        SideModules().extend(base)


@pytest.mark.parametrize("method", [ResidualAdapter(), RepNet(), SpotTune()], ids=lambda m: m.name)
def test_settings_are_values(method):
    again = type(method)()
    assert method == again and hash(method) == hash(again)
    assert dataclasses.replace(method, fit=FIT) != method


@pytest.mark.parametrize(
    ("build", "width"),
    [
        (lambda: swr.backbones.bcresnet(8), 12),
        (lambda: swr.backbones.bcresnet(1), 2),
        (lambda: swr.backbones.res15(), 10),
    ],
)
def test_the_usual_agent_has_half_of_the_base(build, width):
    assert usual_width(build()) == width


def test_adapters_of_one_input_channel_train_in_whole_batches():
    """A strided 1x1 convolution of these shapes once ended the process."""
    inputs = keras.Input((101, 40, 1))
    x = keras.layers.Conv2D(16, 5, (1, 2), padding="same", name="conv")(inputs)
    x = keras.layers.GlobalAveragePooling2D()(x)
    base = keras.Model(inputs, keras.layers.Dense(3, name="head")(x))
    x, y = (
        np.random.default_rng(0).normal(size=(64, 101, 40, 1)).astype("float32"),
        np.arange(64) % 3,
    )
    task = GivenData(base, x, y, num_classes=3)
    model = ResidualAdapter(fit=Fit(epochs=1, batch_size=64)).adapt(base, task, verbose=0)
    assert all(np.isfinite(each).all() for each in model.get_weights())
