"""The keyword spotter of the firmware, compiled for this machine.

A double in `tflm_double` takes the place of TFLite Micro: Python says what its networks are, and
computes what they give.
"""

import copy
import ctypes
import pathlib
import subprocess

import keras
import numpy as np
import pytest
from keras import layers

from swr_keras.audio import MicroFrontend
from swr_keras.audio.micro_frontend import MicroFrontendState
from swr_keras.device import Bundle, DeviceTask, write_firmware
from swr_keras.export import LiteModel, convert_int8, describe_front_end
from swr_keras.streaming import Detector, Listener

HERE = pathlib.Path(__file__).parent
TFLITE = HERE.parents[2] / "tflite"
FIRMWARE = TFLITE / "firmware"
DOUBLE = HERE / "tflm_double"
FLAGS = [
    *("-O1", "-g", "-Wall", "-Wextra", "-Wconversion", "-Wpedantic", "-Werror"),
    *("-fsanitize=undefined", "-fno-sanitize-recover", "-fPIC"),
]
CPP = ["g++", "-std=c++17", "-fno-exceptions", "-fno-rtti"]
LABELS = {
    "english": ("_silence_", "_unknown_", "no", "yes"),
    "mandarin": ("_unknown_", "不", "是", "好"),
    "long": ("oui", "non"),
}
FRAMES = {"english": 30, "mandarin": 30, "long": 44}
STRIDE, SMOOTHING, REFRACTORY, THRESHOLD = 3, 4, 5, 0.5
ROOM = 64 * 1024
INT8 = 9
RATE = 16000


class Tensor(ctypes.Structure):
    _fields_ = [
        ("type", ctypes.c_int),
        ("rank", ctypes.c_int),
        ("dims", ctypes.c_int * 5),
        ("scale", ctypes.c_float),
        ("zero_point", ctypes.c_int),
    ]


class Network(ctypes.Structure):
    _fields_ = [
        ("version", ctypes.c_int),
        ("inputs", ctypes.c_int),
        ("outputs", ctypes.c_int),
        ("arena_bytes", ctypes.c_int),
        ("input", Tensor),
        ("output", Tensor),
    ]


DESCRIBE = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.POINTER(Network))
INFER = ctypes.CFUNCTYPE(
    ctypes.c_bool, ctypes.c_void_p, ctypes.POINTER(ctypes.c_int8), ctypes.POINTER(ctypes.c_int8)
)
DETECTED = ctypes.CFUNCTYPE(None, ctypes.c_char_p, ctypes.c_uint64, ctypes.c_float)


class Hooks(ctypes.Structure):
    _fields_ = [("describe", DESCRIBE), ("infer", INFER), ("detected", DETECTED)]


def _audio(seconds, seed=0):
    """Int16 noise that changes its level and its spectrum every 0.2 s."""
    random = np.random.default_rng(seed)
    t = np.arange(RATE // 5)
    pieces = []
    for _ in range(round(5 * seconds)):
        tone = np.sin(random.uniform(0.05, 2.5) * t) * random.uniform(0, 9000)
        pieces.append(tone + random.normal(size=len(t)) * 10 ** random.uniform(0, 3.5))
    return np.clip(np.concatenate(pieces), -32768, 32767).astype(np.int16)


@pytest.fixture(scope="session")
def audio():
    return _audio


def _network(task):
    """A network that is sure of something different every few windows."""
    keras.utils.set_random_seed(list(LABELS).index(task))
    shape = FRAMES[task], 40, 1
    model = keras.Sequential(
        [
            keras.Input(shape),
            layers.Conv2D(4, 8, strides=8, activation="relu"),
            layers.Flatten(),
            layers.Dense(len(LABELS[task])),
        ]
    )
    heard = _windows(_audio(4, seed=9), task)
    spread = model(heard).numpy().std()
    model.layers[-1].kernel.assign(model.layers[-1].kernel * (6 / spread))
    return convert_int8(model, heard)


def _windows(pcm, task, first=0):
    """Features of the windows of which the first one begins with the frame of that number."""
    frames, length = MicroFrontendState().feed(pcm), FRAMES[task]
    starts = range(first, len(frames) - length + 1, STRIDE)
    return np.array([frames[start : start + length] for start in starts])


@pytest.fixture(scope="module")
def spoken():
    """The three tasks."""
    pytest.importorskip("pymicro_features", reason="needs the extra swr-keras[microfrontend]")
    return {name: DeviceTask(_network(name), LABELS[name]) for name in LABELS}


@pytest.fixture(scope="module")
def models(spoken):
    return {name: LiteModel(task.model) for name, task in spoken.items()}


@pytest.fixture(scope="module")
def both(spoken):
    """A bundle of two tasks, with room for more."""
    tasks = {name: spoken[name] for name in ("english", "mandarin")}
    return Bundle.build(tasks, image_bytes=ROOM, slot_bytes=512)


@pytest.fixture(scope="module")
def generated(spoken, tmp_path_factory):
    """What firmware for all three tasks is compiled with."""
    folder = tmp_path_factory.mktemp("generated")
    write_firmware(
        folder,
        Bundle.build(spoken),
        describe_front_end(MicroFrontend()),
        arena_bytes=4096,
        stride=STRIDE,
        smoothing=SMOOTHING,
        refractory=REFRACTORY,
        threshold=THRESHOLD,
    )
    return folder


@pytest.fixture(scope="module")
def objects(generated, tmp_path_factory):
    """The object files of the application, by name."""
    folder = tmp_path_factory.mktemp("objects")
    include = [f"-I{path}" for path in (FIRMWARE, TFLITE / "bundle", TFLITE / "frontend")]
    include += [f"-I{generated}", f"-I{DOUBLE}"]
    sources = [FIRMWARE / "keyword_spotter.cc", FIRMWARE / "posterior_filter.cc"]
    sources += [HERE / "spotter_harness.cc", TFLITE / "bundle" / "swr_bundle.c"]
    found = {}
    for source in (*sources, *(TFLITE / "frontend").glob("*.c")):
        found[source.name] = folder / f"{source.name}.o"
        compiler = CPP if source.suffix == ".cc" else ["gcc", "-std=c11"]
        command = [*compiler, *FLAGS, *include, "-c", source, "-o", found[source.name]]
        subprocess.run(command, check=True)
    return found


@pytest.fixture(scope="module")
def library(objects, tmp_path_factory):
    path = tmp_path_factory.mktemp("library") / "spotter.so"
    subprocess.run(
        ["g++", "-fsanitize=undefined", "-shared", *objects.values(), "-o", path], check=True
    )
    found = ctypes.CDLL(str(path))
    found.spotter_new.restype = ctypes.c_void_p
    for name in ("init", "select", "feed", "apply"):
        getattr(found, f"spotter_{name}").restype = ctypes.c_bool
    return found


class Device:
    """A keyword spotter, and the flash that its bundle is in.

    Attributes:
        changes: What to say otherwise of all networks: values by the dotted name of a field.
        inputs: Int8 inputs of all inferences.
        detections: What was detected.
    """

    def __init__(self, library, bundle, models, losing_power):
        self._library, self._models, self._losing_power = library, models, losing_power
        size = len(bundle.image)
        self._memory = (ctypes.c_uint8 * (size + 16))()
        self._start = -(-ctypes.addressof(self._memory) // 16) * 16
        self.flash = (ctypes.c_uint8 * size).from_address(self._start)
        self.flash[:] = list(bundle.image)
        self.changes, self.inputs, self.detections = {}, [], []
        self.can_infer = True
        self._roots = {}
        self.learn(bundle)
        self._hooks = Hooks(DESCRIBE(self._describe), INFER(self._infer), DETECTED(self._detected))
        self._spotter = ctypes.c_void_p(library.spotter_new(ctypes.byref(self._hooks)))

    def learn(self, bundle):
        """Where the models of a bundle lie."""
        for task in bundle.table.tasks:
            self._roots[self._start + task.root] = self._models[task.name]

    def _describe(self, address, to):
        model = self._roots[address]
        to[0] = Network(3, 1, 1, 2048, *map(_tensor, *_sides(model)))
        for name, value in self.changes.items():
            *path, last = name.split(".")
            target = getattr(to[0], path[0]) if path else to[0]
            if last == "dims":
                target.rank, value = len(value), (ctypes.c_int * 5)(*value)
            setattr(target, last, value)

    def _infer(self, address, given, returned):
        model = self._roots[address]
        values = np.ctypeslib.as_array(given, model.input_shape).copy()
        self.inputs.append(values)
        np.ctypeslib.as_array(returned, model.output_shape)[:] = model.predict_int8(values)
        return self.can_infer

    def _detected(self, label, time_ms, score):
        self.detections.append((label.decode(), time_ms, score))

    def init(self):
        return self._call("init", self.flash, ctypes.c_uint32(len(self.flash)))

    def select(self, name, threshold=THRESHOLD):
        return self._call("select", name.encode(), ctypes.c_double(threshold))

    def feed(self, pcm):
        pcm = np.ascontiguousarray(pcm)
        return self._call("feed", ctypes.c_void_p(pcm.ctypes.data), ctypes.c_size_t(len(pcm)))

    def reset(self):
        self._library.spotter_reset(self._spotter)

    def apply(self, patch, *, power=2**32):
        """Writes a patch until so many bytes are written."""
        data, write = patch.to_bytes(), self._losing_power(self.flash, power)
        return self._call("apply", data, ctypes.c_uint32(len(data)), write)

    def _call(self, name, *arguments):
        return getattr(self._library, f"spotter_{name}")(self._spotter, *arguments)

    def close(self):
        self._library.spotter_free(self._spotter)


def _sides(model):
    shapes = model.input_shape, model.output_shape
    scales = model.input_scale, model.output_scale
    return shapes, scales, (model.input_zero_point, model.output_zero_point)


def _tensor(shape, scale, zero_point):
    return Tensor(INT8, len(shape), (ctypes.c_int * 5)(*shape), scale, zero_point)


@pytest.fixture
def start(library, models, losing_power):
    """Starts devices with a bundle, and the task that listens; ends them after the test."""
    devices = []

    def begin(bundle, task=None):
        device = Device(library, bundle, models, losing_power)
        devices.append(device)
        assert device.init()
        assert task is None or device.select(task)
        return device

    yield begin
    for device in devices:
        device.close()


@pytest.fixture(scope="module")
def sees(models):
    """Computes the int8 inputs of a task's windows, from a frame on."""

    def compute(task, pcm, first=0, **change):
        model = copy.copy(models[task])
        for name, value in change.items():
            setattr(model, name.replace(".", "_"), value)
        return model.quantize(_windows(pcm, task, first))

    return compute


@pytest.fixture(scope="module")
def hears(models):
    """Computes what Python detects in a stream, as devices tell it."""
    step_ms = 10 * STRIDE
    times = {"smoothing_ms": SMOOTHING * step_ms, "refractory_ms": REFRACTORY * step_ms}

    def compute(task, pcm, threshold=THRESHOLD):
        listener = Listener(MicroFrontend(), {task: models[task]}, stride=STRIDE)
        handling = listener.handling(task, LABELS[task], **times)
        probabilities = listener.feed(pcm / np.float32(32768))[task]
        return [
            (each.label, round(1000 * each.time_seconds), np.float32(each.score))
            for each in Detector(handling, threshold).feed(probabilities)
        ]

    return compute
