"""What the firmware is compiled with."""

import re

import keras
import numpy as np
import pytest
from keras import layers

from swr_keras.audio import LogMel, MicroFrontend
from swr_keras.device import Bundle, DeviceTask, firmware_config, write_firmware
from swr_keras.export import (
    ExportError,
    LiteModel,
    arena_bytes_host,
    convert_int8,
    describe_front_end,
)
from swr_keras.export.flatbuffer import parse
from swr_keras.export.micro_operators import MICRO_OPERATORS, micro_method
from swr_keras.recipes.stream_settings import StreamSettings
from swr_keras.streaming import Listener

LABELS = {"pooled": ("_unknown_", "no", "yes"), "dense": ("one", "two"), "padded": ("a", "b")}
FRAMES = {"pooled": 12, "dense": 20, "padded": 16}


@pytest.fixture(scope="module")
def front_end():
    pytest.importorskip("pymicro_features", reason="needs the extra swr-keras[microfrontend]")
    return describe_front_end(MicroFrontend())


def converted(name, channels=40):
    keras.utils.set_random_seed(0)
    shape = FRAMES[name], channels, 1
    x = inputs = keras.Input(shape)
    if name == "padded":
        x = layers.ZeroPadding2D()(x)
    x = layers.Conv2D(2, 8, strides=4)(x)
    if name == "pooled":
        x = layers.Add()([layers.MaxPooling2D(2)(x), layers.AveragePooling2D(2)(x)])
    x = layers.Dense(len(LABELS[name]))(layers.Flatten()(x))
    return convert_int8(keras.Model(inputs, x), np.random.rand(16, *shape).astype("float32"))


@pytest.fixture(scope="module")
def models():
    return {name: converted(name) for name in LABELS}


def bundled(models, *names):
    return Bundle.build({name: DeviceTask(models[name], LABELS[name]) for name in names})


def constants(config):
    return {
        name: float(value)
        for name, value in re.findall(r"constexpr \w+ (k\w+) = ([\d.e-]+);", config)
    }


def methods(config):
    return re.findall(r"op_resolver\.(\w+)\(\)", config)


USUAL = ["AddConv2D", "AddFullyConnected", "AddReshape"]


@pytest.mark.parametrize(
    ("names", "own", "frames", "classes"),
    [
        (["dense"], [], 20, 2),
        (["padded"], ["AddPad"], 16, 2),
        (["pooled"], ["AddAdd", "AddAveragePool2D", "AddMaxPool2D"], 12, 3),
        (["padded", "pooled"], ["AddAdd", "AddAveragePool2D", "AddMaxPool2D", "AddPad"], 16, 3),
    ],
    ids=str,
)
def test_it_is_what_all_tasks_need(models, front_end, names, own, frames, classes):
    config = firmware_config(bundled(models, *names), front_end, arena_bytes=5000)
    assert methods(config) == sorted([*USUAL, *own])
    assert f"tflite::MicroMutableOpResolver<{len(USUAL) + len(own)}>" in config
    found = constants(config)
    assert found["kMaxFrames"] == frames
    assert found["kMaxClasses"] == classes
    assert found["kArenaBytes"] == 5000


def test_the_arena_is_that_of_the_largest_task(models, front_end):
    pytest.importorskip("tflite_micro", reason="needs the extra swr-keras[micro]")
    needed = [arena_bytes_host(model) for model in models.values()]
    found = constants(firmware_config(bundled(models, *models), front_end))["kArenaBytes"]
    assert max(needed) <= found < max(needed) + 16
    assert found % 16 == 0


def test_detection_is_that_of_the_streaming_recipe(models, front_end):
    found = constants(firmware_config(bundled(models, "dense"), front_end, arena_bytes=5000))
    usual = StreamSettings(bundle="any.bin", files=("any.wav",))
    model = LiteModel(models["dense"])
    listener = Listener(MicroFrontend(), {"dense": model}, stride=usual.stride)
    handling = listener.handling(
        "dense",
        LABELS["dense"],
        smoothing_ms=usual.smoothing_ms,
        refractory_ms=usual.refractory_ms,
    )
    assert found["kStrideFrames"] == usual.stride
    assert found["kSmoothingWindows"] == handling.smoothing
    assert found["kRefractoryWindows"] == handling.refractory
    assert found["kThreshold"] == usual.given_threshold


def test_detection_can_be_chosen(models, front_end):
    settings = {"stride": 3, "smoothing": 1, "refractory": 0, "threshold": 1 / 3}
    config = firmware_config(
        bundled(models, "dense"), front_end, arena_bytes=5000, max_classes=128, **settings
    )
    assert constants(config) == {
        "kArenaBytes": 5000,
        "kMaxFrames": 20,
        "kMaxClasses": 128,
        "kStrideFrames": 3,
        "kSmoothingWindows": 1,
        "kRefractoryWindows": 0,
        "kThreshold": 1 / 3,
    }


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"max_classes": 2}, "max_classes=2"),
        ({"max_classes": 129}, "max_classes=129"),
        ({"stride": 0}, "stride=0"),
        ({"smoothing": 0}, "smoothing=0"),
        ({"refractory": -1}, "refractory=-1"),
        ({"threshold": 0.0}, "threshold=0.0"),
        ({"threshold": 1.01}, "threshold=1.01"),
        ({"threshold": float("nan")}, "threshold=nan"),
        ({"arena_bytes": 0}, "arena_bytes=0"),
    ],
    ids=str,
)
def test_numbers_out_of_range_are_refused(models, front_end, settings, message):
    with pytest.raises(ValueError, match=message):
        firmware_config(bundled(models, *models), front_end, **{"arena_bytes": 5000, **settings})


def test_another_front_end_is_refused(models):
    with pytest.raises(ValueError, match="'LogMel'"):
        firmware_config(bundled(models, "dense"), describe_front_end(LogMel()))


def test_another_shape_is_refused_by_name(models, front_end):
    tasks = {
        "good": DeviceTask(models["dense"], LABELS["dense"]),
        "narrow": DeviceTask(converted("dense", channels=32), LABELS["dense"]),
    }
    with pytest.raises(ExportError, match=r"'narrow' from \(1, 20, 32, 1\)"):
        firmware_config(Bundle.build(tasks), front_end)


def test_labels_that_are_not_the_outputs_are_refused_by_name(models, front_end):
    tasks = {"short": DeviceTask(models["dense"], [])}
    with pytest.raises(ExportError, match="'short'.* with 0 labels"):
        firmware_config(Bundle.build(tasks), front_end)


def test_a_damaged_task_is_refused_by_name(models, front_end):
    bundle = bundled(models, "dense", "pooled")
    image = bytearray(bundle.image)
    image[bundle.table.tasks[1].root + 20] ^= 1
    with pytest.raises(ExportError, match="'pooled' is damaged"):
        firmware_config(Bundle(bytes(image), bundle.table), front_end)


def test_nothing_is_written_if_anything_is_wrong(models, front_end, tmp_path):
    bundle = bundled(models, "dense")
    with pytest.raises(ValueError, match="stride"):
        write_firmware(tmp_path, bundle, front_end, arena_bytes=5000, stride=0)
    assert not [*tmp_path.iterdir()]
    write_firmware(tmp_path, bundle, front_end, arena_bytes=5000)
    written = {path.name: path.read_text() for path in tmp_path.iterdir()}
    assert set(written) == {"swr_config.h", "swr_image.h", "swr_image.cc"}
    assert written["swr_config.h"] == firmware_config(bundle, front_end, arena_bytes=5000)
    assert f"g_swr_image_len = {len(bundle.image)}" in written["swr_image.cc"]


@pytest.mark.parametrize(
    ("operator", "method"),
    [
        ("ADD", "AddAdd"),
        ("ADD_N", "AddAddN"),
        ("BATCH_MATMUL", "AddBatchMatMul"),
        ("BATCH_TO_SPACE_ND", "AddBatchToSpaceNd"),
        ("CONV_2D", "AddConv2D"),
        ("CUMSUM", "AddCumSum"),
        ("DEPTHWISE_CONV_2D", "AddDepthwiseConv2D"),
        ("GATHER_ND", "AddGatherNd"),
        ("HARD_SWISH", "AddHardSwish"),
        ("L2_NORMALIZATION", "AddL2Normalization"),
        ("L2_POOL_2D", "AddL2Pool2D"),
        ("LOGISTIC", "AddLogistic"),
        ("PADV2", "AddPadV2"),
        ("RELU6", "AddRelu6"),
        ("SPLIT_V", "AddSplitV"),
        ("SVDF", "AddSvdf"),
        ("UNIDIRECTIONAL_SEQUENCE_LSTM", "AddUnidirectionalSequenceLSTM"),
    ],
)
def test_methods_have_the_names_of_tflite_micro(operator, method):
    assert micro_method(operator) == method


def test_methods_differ():
    assert len({micro_method(operator) for operator in MICRO_OPERATORS}) == len(MICRO_OPERATORS)


@pytest.mark.parametrize("operator", ["FLOOR_MOD_2", "RFFT2D", "CUSTOM Mine", "conv_2d", ""])
def test_operators_that_tflite_micro_lacks_are_refused_by_name(operator):
    with pytest.raises(ExportError, match=f"no operator {operator}"):
        micro_method(operator)


def test_an_operator_that_tflite_micro_lacks_is_refused_in_a_bundle(models, front_end, monkeypatch):
    monkeypatch.setattr(
        "swr_keras.export.micro_operators.MICRO_OPERATORS", MICRO_OPERATORS - {"MAX_POOL_2D"}
    )
    with pytest.raises(ExportError, match="MAX_POOL_2D"):
        firmware_config(bundled(models, "pooled"), front_end, arena_bytes=5000)


def test_the_operators_are_those_of_the_models(models):
    """The bundle keeps the operators of the files that it was built of."""
    for name, model in models.items():
        bundle = bundled(models, *models)
        there = {operator.name for operator in parse(bundle.model(name)).operators}
        assert there == {operator.name for operator in model.contents.operators}
