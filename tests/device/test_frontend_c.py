"""The audio front end that runs on a device, compiled for this machine."""

import ctypes
import pathlib
import shutil
import subprocess
import types

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st

from swr_keras.audio import MicroFrontend
from swr_keras.device.frontend_tables import frontend_tables
from swr_keras.export.lite_model import LiteModel

FOLDER = pathlib.Path(__file__).parents[2] / "tflite" / "frontend"
WARNINGS = ["-Wall", "-Wextra", "-Wconversion", "-Wpedantic", "-Werror"]
RATE = 16000
CHANNELS = 40
LARGEST = 65535

pytestmark = pytest.mark.skipif(not shutil.which("gcc"), reason="needs the compiler gcc")


class State(ctypes.Structure):
    _fields_ = [
        ("spectrum", ctypes.c_uint32 * 256),
        ("noise", ctypes.c_uint32 * CHANNELS),
        ("samples", ctypes.c_int16 * 480),
        ("next", ctypes.c_uint16),
        ("held", ctypes.c_uint16),
    ]


class Scale(ctypes.Structure):
    _fields_ = [("factor", ctypes.c_uint64), ("zero_point", ctypes.c_int32)]


class Frames(ctypes.Structure):
    _fields_ = [
        ("scale", Scale),
        ("values", ctypes.c_void_p),
        ("frames", ctypes.c_uint16),
        ("next", ctypes.c_uint16),
        ("held", ctypes.c_uint16),
    ]


@pytest.fixture(scope="module")
def library(tmp_path_factory):
    path = tmp_path_factory.mktemp("c") / "frontend.so"
    sanitized = ["-fsanitize=undefined", "-fno-sanitize-recover"]
    command = ["gcc", "-std=c11", "-O1", *WARNINGS, *sanitized, "-shared", "-fPIC"]
    subprocess.run([*command, *FOLDER.glob("*.c"), "-o", path], check=True)
    found = ctypes.CDLL(str(path))
    for name in ("frontend_push", "input_scale", "frames_read"):
        getattr(found, f"swr_{name}").restype = ctypes.c_bool
    return found


class Device:
    """A front end that starts with what memory happens to hold."""

    def __init__(self, library):
        self.library = library
        self.state = State()
        ctypes.memset(ctypes.byref(self.state), 0xA5, ctypes.sizeof(State))
        self.reset()

    def reset(self):
        self.library.swr_frontend_reset(ctypes.byref(self.state))

    def push(self, pcm):
        """Features `(frames, 40)` that come out while samples go in."""
        pcm = np.ascontiguousarray(pcm, "int16")
        at, left = ctypes.c_void_p(pcm.ctypes.data), ctypes.c_size_t(len(pcm))
        features, frames = np.zeros(CHANNELS + 1, "uint16"), []
        arguments = ctypes.byref(at), ctypes.byref(left), ctypes.c_void_p(features.ctypes.data)
        while self.library.swr_frontend_push(ctypes.byref(self.state), *arguments):
            frames.append(features[:CHANNELS].copy())
        assert left.value == 0 and at.value == pcm.ctypes.data + 2 * len(pcm)
        assert features[CHANNELS] == 0
        return np.array(frames, "uint16").reshape(-1, CHANNELS)


def to_pcm(values):
    return np.clip(np.rint(values), -32768, 32767).astype("int16")


def signals():
    """Yields a name and 1.5 s of audio for each kind that may be computed in its own way."""
    random = np.random.default_rng(0)
    t = np.arange(3 * RATE // 2)
    noise = random.normal(size=len(t))
    yield "silence", 0 * t
    yield "lowest", 0 * t - 32768
    yield "highest", 0 * t + 32767
    yield "last bit", random.integers(0, 2, len(t))
    yield "dither", random.integers(-2, 3, len(t))
    yield "quiet noise", 30 * noise
    yield "noise", 3000 * noise
    yield "clipped noise", 60000 * noise
    yield "all values", random.integers(-32768, 32768, len(t))
    yield "two values", random.choice([-32768, 32767], len(t))
    yield "impulses", np.where(t % 777 == 0, -32768, 0)
    yield "opposite impulses", np.where(t % 1001 == 0, 32767, np.where(t % 333 == 0, -1, 0))
    yield "alternating", np.where(t % 2, 32767, -32768)
    yield "square wave", np.where(t // 50 % 2, 32767, -32768)
    yield "tone", 32767 * np.sin(0.3 * t)
    yield "clipped tone", 90000 * np.sin(0.05 * t)
    yield "sweep", 20000 * np.sin(t * t / 60000)
    yield "burst", np.where(t > len(t) // 2, 20000, 1) * noise
    yield "fading out", 20000 * np.exp(-t / 2000) * noise


@pytest.mark.parametrize(
    ("name", "pcm"), [*signals()], ids=lambda value: value if isinstance(value, str) else ""
)
def test_equals_the_package(library, micro_features, name, pcm):
    pcm = to_pcm(pcm)
    expected = micro_features(pcm)
    assert expected.shape == (148, CHANNELS)
    np.testing.assert_array_equal(Device(library).push(pcm), expected)


def test_equals_the_package_on_speech(library, micro_features, recordings):
    held_out = {
        line
        for task in ("english", "mandarin")
        for kind in ("testing", "validation")
        for line in (recordings / task / f"{kind}_list.txt").read_text().split()
    }
    clips = [
        path
        for path in sorted(recordings.glob("*/[a-z]*/*.flac"))
        if f"{path.parent.name}/{path.name}" not in held_out
    ][::30]
    assert len(clips) > 100
    pcm = np.concatenate([soundfile.read(path, dtype="int16")[0] for path in clips])
    np.testing.assert_array_equal(Device(library).push(pcm), micro_features(pcm))


pieces = st.tuples(
    st.sampled_from(["noise", "tone", "sparse", "constant"]),
    st.integers(1, 900),
    st.floats(0, 17),
    st.floats(0, 3.14),
    st.integers(0, 2**32 - 1),
)


def piece(kind, length, level, frequency, seed):
    random = np.random.default_rng(seed)
    values = {
        "noise": random.normal(size=length),
        "tone": np.sin(frequency * np.arange(length)),
        "sparse": random.choice([-1, 0, 1], length, p=[0.01, 0.98, 0.01]),
        "constant": np.full(length, np.cos(frequency)),
    }
    return values[kind] * 2**level


@settings(max_examples=100, deadline=None)
@given(parts=st.lists(pieces, min_size=1, max_size=8), data=st.data())
def test_equals_the_package_on_any_audio_in_any_chunks(library, micro_features, parts, data):
    pcm = to_pcm(np.concatenate([piece(*part) for part in parts]))
    cuts = data.draw(st.lists(st.integers(0, len(pcm)), max_size=6))
    device = Device(library)
    frames = [device.push(chunk) for chunk in np.split(pcm, sorted(cuts))]
    np.testing.assert_array_equal(np.concatenate(frames), micro_features(pcm))


@pytest.mark.parametrize("size", [1, 7, 159, 160, 161, 479, 481, 1000])
def test_chunks_of_any_size(library, size):
    pcm = to_pcm(np.random.default_rng(1).normal(0, 2000, 5000))
    device = Device(library)
    frames = [device.push(pcm[start : start + size]) for start in range(0, len(pcm), size)]
    np.testing.assert_array_equal(np.concatenate(frames), Device(library).push(pcm))


def test_a_reset_forgets_everything(library):
    random = np.random.default_rng(2)
    pcm, other = (to_pcm(random.normal(0, level, 3000)) for level in (500, 20000))
    device = Device(library)
    first = device.push(pcm)
    assert not np.array_equal(Device(library).push(np.concatenate([other, pcm]))[-16:], first)
    device.push(other[:1234])
    device.reset()
    np.testing.assert_array_equal(device.push(pcm), first)


def test_tables_are_those_that_python_writes():
    assert (FOLDER / "swr_frontend_tables.c").read_text() == frontend_tables()


@pytest.mark.skipif(not shutil.which("g++"), reason="needs the compiler g++")
@pytest.mark.parametrize("name", ["swr_frontend.h", "swr_input.h"])
def test_headers_are_cpp_too(tmp_path, name):
    path = tmp_path / "main.cc"
    path.write_text(f'#include "{name}"\n#include "{name}"\nSwrFrontend frontend;\n')
    strict = ["-std=c++11", "-Wall", "-Wextra", "-Wpedantic", "-Werror", "-fsyntax-only"]
    subprocess.run(["g++", *strict, f"-I{FOLDER}", path], check=True)


def input_scale(library, scale, zero_point):
    found = Scale()
    done = library.swr_input_scale(
        ctypes.byref(found), ctypes.c_float(scale), ctypes.c_int32(zero_point)
    )
    return found if done else None


class Ring:
    """The last frames, in memory that holds a value more."""

    def __init__(self, library, count, scale):
        self.library, self.count, self.frames = library, count, Frames()
        self.memory = np.full(count * CHANNELS + 1, 99, "int8")
        address = ctypes.c_void_p(self.memory.ctypes.data)
        self._call("start", address, ctypes.c_uint16(count), ctypes.byref(scale))

    def add(self, *features):
        for frame in np.broadcast_to(np.asarray(features, "uint16").T, (CHANNELS, len(features))).T:
            frame = np.ascontiguousarray(frame)
            self._call("add", ctypes.c_void_p(frame.ctypes.data))

    def switch(self, count, scale):
        self.count = count
        self._call("switch", ctypes.c_uint16(count), ctypes.byref(scale))

    def read(self, scale):
        """What a network reads `(frames, 40)`, `None` if there is nothing for it yet."""
        values = np.full(self.count * CHANNELS + 1, 77, "int8")
        target = ctypes.c_void_p(values.ctypes.data)
        is_there = self._call("read", ctypes.byref(scale), target)
        assert values[-1] == 77 and self.memory[-1] == 99
        assert is_there or (values == 77).all()
        return values[:-1].reshape(self.count, CHANNELS) if is_there else None

    def _call(self, name, *arguments):
        function = getattr(self.library, f"swr_frames_{name}")
        return function(ctypes.byref(self.frames), *arguments)


def quantized(library, scale, zero_point, features):
    """What a network reads of features, which fill whole frames."""
    found = input_scale(library, scale, zero_point)
    ring = Ring(library, len(features) // CHANNELS, found)
    ring.add(*features.reshape(-1, CHANNELS))
    return ring.read(found).ravel()


EVERY_FEATURE = np.pad(np.arange(LARGEST + 1, dtype="uint16"), (0, 24))


def check_every_feature(library, scale, zero_point):
    scale = float(np.float32(scale))
    model = types.SimpleNamespace(
        input_scale=scale, input_zero_point=zero_point, _check_shape=lambda x: None
    )
    expected = LiteModel.quantize(model, EVERY_FEATURE.astype("float32") * MicroFrontend.scale)
    found = quantized(library, scale, zero_point, EVERY_FEATURE)
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize(
    ("scale", "zero_point"),
    [
        (26 / 255, -128),
        (0.1, -128),
        (0.0941, -100),
        (10 / 256, -128),
        # Halfway between two steps, again and again.
        *((10 / 256 * 2**power, zero) for power in (-3, -1, 1, 2, 3, 5) for zero in (-128, -5, 3)),
        (10 / 256 * 2 / 3, -128),
        (10 / 256 * 4 / 5, 0),
        (10 / 256 * 2 * (1 + 2**-23), -128),
        (10 / 256 * 2 * (1 - 2**-24), -128),
        (2**-8, -128),
        (1.0, 127),
        (32767.0, 0),
    ],
)
def test_every_feature_is_quantized_as_in_python(library, scale, zero_point):
    check_every_feature(library, scale, zero_point)


@settings(max_examples=50, deadline=None)
@given(scale=st.floats(2**-8, 2**15, exclude_max=True, width=32), zero=st.integers(-128, 127))
def test_every_feature_is_quantized_as_in_python_at_any_scale(library, scale, zero):
    check_every_feature(library, scale, zero)


@pytest.mark.parametrize(
    ("scale", "zero_point"),
    [
        *((scale, 0) for scale in (0, -0.1, 0.0039, 2**15, 1e-30, float("inf"), float("nan"))),
        *((0.1, zero_point) for zero_point in (-129, 128, 2**31 - 1, -(2**31))),
    ],
)
def test_other_scales_are_refused(library, scale, zero_point):
    assert input_scale(library, scale, zero_point) is None


def frames_of(numbers):
    return np.repeat(np.array(numbers, "int8")[:, None], CHANNELS, axis=1)


@pytest.mark.parametrize("count", [1, 3, 98])
def test_a_network_reads_the_last_frames_in_their_order(library, count):
    one_to_one = input_scale(library, 10 / 256, 0)
    ring = Ring(library, count, one_to_one)
    for number in range(2 * count + 2):
        found = ring.read(one_to_one)
        assert (found is not None) == (number >= count)
        if found is not None:
            np.testing.assert_array_equal(found, frames_of(np.arange(number - count, number) % 100))
        ring.add([number % 100])


@pytest.mark.parametrize(
    ("count", "scale", "zero_point"),
    [(4, 10 / 256, 0), (3, 10 / 256, 0), (4, 10 / 128, 0), (4, 10 / 256, -1)],
)
def test_another_network_reads_only_what_is_quantized_for_it(library, count, scale, zero_point):
    before, after = input_scale(library, 10 / 256, 0), input_scale(library, scale, zero_point)
    ring = Ring(library, 4, before)
    ring.add([2], [4], [6], [8], [10])
    is_same = (scale, zero_point) == (10 / 256, 0)
    assert (ring.read(after) is not None) == is_same
    ring.switch(count, after)
    kept = [4, 6, 8, 10] if is_same and count == 4 else []
    for number in (20, 22, 24, 26, 28):
        found, heard = ring.read(after), kept[-count:]
        assert (found is not None) == (len(heard) == count)
        if found is not None:
            steps = np.array(heard) * (10 / 256) / scale + zero_point
            np.testing.assert_array_equal(found, frames_of(steps))
        assert is_same or ring.read(before) is None
        ring.add([number])
        kept.append(number)


def test_a_ring_of_no_network_is_read_by_none(library):
    ring = Ring(library, 2, Scale())
    ring.add([1], [2], [3])
    for scale in (2**-8, 10 / 256, 32767.0):
        for zero_point in (-128, 0):
            assert ring.read(input_scale(library, scale, zero_point)) is None
