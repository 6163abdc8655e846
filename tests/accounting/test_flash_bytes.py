"""The bytes of flash that are counted are those of generated C."""

import keras
import numpy as np
import pytest

import swr_keras as swr
from swr_keras.backbones.bcresnet import bcresnet
from swr_keras.device import DeviceTask, to_c
from swr_keras.export import convert_int8

CHANGED = (
    "stage1_block0_expand_conv",
    "stage2_block1_frequency_norm",
    "stage2_block2_time_conv",
    "stage3_block0_frequency_depthwise",
    "stage3_block3_frequency_norm",
    "neck_conv",
)
POINTERS = 4 * 125
STRUCT = 40


@pytest.fixture(scope="module")
def examples():
    blobs = np.random.default_rng(0).normal(size=(48, 13, 5, 1)).repeat(8, 1).repeat(8, 2)
    noise = np.random.default_rng(1).normal(size=(48, 104, 40, 1))
    return (3 * blobs + noise)[:, :101].astype("float32")


@pytest.fixture(scope="module")
def base(examples):
    keras.utils.set_random_seed(0)
    base = bcresnet(1, num_classes=12)
    for _ in range(25):
        base(examples, training=True)
    return base


@pytest.mark.slow
def test_a_task_takes_in_c_what_is_counted(base, examples):
    pytest.importorskip("tflite_micro", reason="needs the extra swr-keras[micro]")
    task = swr.TaskModel(base, CHANGED, num_classes=5, batch_norm="owned")
    random = np.random.default_rng(2)
    for name, variable in task.task_variables().items():
        if "moving" not in name:
            variable.assign(variable + 0.02 * random.normal(size=variable.shape))
    base_int8 = convert_int8(base, examples)
    task_int8 = convert_int8(task.merge(), examples, like=base_int8)
    sources = to_c({"base": DeviceTask(base_int8, ()), "task": DeviceTask(task_int8, ())})
    counted = swr.summary(task).flash_bytes
    found = sources.sizes.private_bytes["task"]
    assert counted > 2000
    assert counted <= found <= counted + POINTERS + 2 * STRUCT * (len(CHANGED) + 1)
