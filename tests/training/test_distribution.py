import subprocess
import sys

import pytest

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
