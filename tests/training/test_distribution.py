import json
import pathlib
import subprocess
import sys

import pytest
import tensorflow as tf

from swr_keras.training.distribution import share_out, strategy_scope

METHODS = (
    *("SWR", "TAPS", "Piggyback", "Rep-Net", "SpotTune", "residual adapter", "sparse update"),
    *("classifier-only", "classifier + batch norm", "fine-tuning all", "fixed policy"),
    *("gradient selection", "depthwise first", "last layers first", "random policy"),
)
TRAINED = (*METHODS, "base", "joint base", "regularized", "resumed")

SCRIPT = """
import tensorflow as tf
cpu = tf.config.list_physical_devices("CPU")[0]
tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
import keras, numpy as np, swr_keras as swr
loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
x, y = np.random.default_rng(0).normal(size=(32, 6)).astype("float32"), np.arange(32) % 3
strategy = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
assert strategy.num_replicas_in_sync == 2
with strategy.scope():
    layers = [keras.layers.Dense(5, name=name) for name in ("a", "b", "head")]
    base = keras.Sequential([keras.Input((6,)), *layers])
    supernet = swr.SuperNet(base, num_classes=3)
    supernet.compile(keras.optimizers.SGD(0.0), loss)
    search = swr.PolicySearch(supernet)
    search.compile(keras.optimizers.Adam(1e-2), loss)
shown = supernet.fit(x, y, batch_size=32, verbose=0).history["loss"][0]
expected = float(loss(y, supernet(x)))
assert abs(shown - expected) < 1e-3, (shown, expected)
logs = search.fit(x, y, batch_size=8, epochs=30, verbose=0).history
assert logs["tracking_error"][-1] < 0.03, logs["tracking_error"]
assert abs(logs["loss"][-1] - logs["task_loss"][-1] - 3 * logs["cost_loss"][-1]) < 1e-3
with strategy.scope():
    task = swr.TaskModel(base, search.policy(0.5), num_classes=3)
    task.compile("adam", loss)
task.fit(x, y, batch_size=16, verbose=0)
task.merge(check_on=x)
task.pack()
print("done")
"""


@pytest.mark.slow
def test_all_stages_run_on_two_replicas():
    done = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True)
    assert done.stdout.endswith("done\n"), done.stderr[-3000:]


@pytest.fixture(scope="module")
def outcomes():
    """What `two_replicas.py` found, by what it tried."""
    script = pathlib.Path(__file__).with_name("two_replicas.py")
    done = subprocess.run([sys.executable, script], capture_output=True, text=True)
    lines = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    assert done.returncode == 0, done.stderr[-3000:]
    return {name: found for line in lines for name, found in line.items()}


@pytest.mark.slow
@pytest.mark.parametrize("name", TRAINED)
def test_two_replicas_train_as_one_device_does(name, outcomes):
    found = outcomes[name]
    assert found.pop("apart") == 0.0
    assert {"values", "logs"} <= found.keys()
    for part, difference in found.items():
        assert difference < 2e-4, part


@pytest.mark.slow
def test_every_method_was_tried(outcomes):
    assert outcomes.keys() == {*TRAINED, "weights", "refused"}


@pytest.mark.slow
def test_each_example_counts_once_whatever_the_size_of_the_batch(outcomes):
    for size, counts in outcomes["weights"].items():
        once = {str(each + start): 1 / int(size) for each in range(int(size)) for start in (0, 100)}
        assert counts == pytest.approx(once)


@pytest.mark.slow
def test_batch_norm_that_replicas_would_train_by_themselves_is_refused(outcomes):
    assert "Batch norm 'norm'" in outcomes["refused"]
    assert "synchronized=True" in outcomes["refused"]


def test_one_device_takes_data_as_they_are():
    dataset = tf.data.Dataset.range(3)
    with strategy_scope("none"):
        assert share_out(dataset, tf.distribute.get_strategy()) is dataset


@pytest.mark.parametrize(
    ("name", "config", "message"),
    [
        ("multi", "", "must be one of"),
        ("mirrored", {"cluster": {"worker": ["a:1", "b:1"]}}, "with 2 hosts"),
        ("mirrored", "{", "isn't what TensorFlow expects"),
        ("mirrored", {"cluster": ["a:1"]}, "isn't what TensorFlow expects"),
    ],
)
def test_what_keras_cannot_do_is_refused(name, config, message, monkeypatch):
    if config:
        text = config if isinstance(config, str) else json.dumps(config)
        monkeypatch.setenv("TF_CONFIG", text)
    with pytest.raises(ValueError, match=message):
        strategy_scope(name)
