"""The firmware's build files, and the program for a host that they build."""

import pathlib
import shutil
import struct
import subprocess
import zlib

import numpy as np
import pytest

from swr_keras.audio import MicroFrontend
from swr_keras.device.bundle_table import Entry, Segment, Table
from swr_keras.device.c_array import c_array
from swr_keras.streaming import Detector, Handling
from swr_keras.streaming.features import stream_features
from swr_keras.streaming.scores import SlidingWindows, softmax_int8

HERE = pathlib.Path(__file__).parent
FIRMWARE = HERE.parents[2] / "tflite" / "firmware"
DOUBLE = HERE / "tflm_double"
RATE = 16000
LABELS = ("_unknown_", "quiet", "loud")
FRAMES, STRIDE, SMOOTHING, REFRACTORY, THRESHOLD = 20, 5, 2, 3, 0.75
SCALE = 0.25

CONFIG = f"""
#pragma once
#include <cstddef>
#include "tensorflow/lite/micro/micro_mutable_op_resolver.h"
namespace swr {{
constexpr size_t kArenaBytes = 2048;
constexpr int kMaxFrames = {FRAMES};
constexpr int kMaxClasses = 3;
constexpr int kStrideFrames = {STRIDE};
constexpr int kSmoothingWindows = {SMOOTHING};
constexpr int kRefractoryWindows = {REFRACTORY};
constexpr double kThreshold = {THRESHOLD};
using OpResolver = tflite::MicroMutableOpResolver<1>;
inline TfLiteStatus RegisterOps(OpResolver& op_resolver) {{ return op_resolver.AddMean(); }}
}}
"""
# Compares how loud the two halves of a window are.
NETWORK = f"""
#include <numeric>
#include "tensorflow/lite/micro/micro_interpreter.h"
namespace tflm_double {{
Network Describe(const tflite::Model*) {{
  return {{3, 1, 1, 2000, {{9, 4, {{1, {FRAMES}, 40, 1}}, 0.125f, -128}},
           {{9, 2, {{1, 3}}, {SCALE}f, 0}}}};
}}
bool Infer(const tflite::Model*, const int8_t* input, int8_t* output) {{
  const int half = {FRAMES} * 40 / 2;
  const int before = std::accumulate(input, input + half, 0);
  const int after = std::accumulate(input + half, input + 2 * half, 0);
  output[0] = 0;
  output[1] = static_cast<int8_t>(before > after ? 20 : -20);
  output[2] = static_cast<int8_t>(before < after ? 20 : -20);
  return true;
}}
}}
uint32_t tflite::Model::version() const {{ return 3; }}
"""

pytestmark = [
    pytest.mark.skipif(not shutil.which("g++"), reason="needs the compiler g++"),
    pytest.mark.skipif(not shutil.which("cmake"), reason="needs CMake"),
]


def image():
    """A bundle of one task, whose model nobody reads."""
    text = "".join(f"{label}\0" for label in LABELS).encode() + b"\0"
    data = bytes(16) + text.ljust(32, b"\0")
    start = 256
    segment = Segment(start, len(data), zlib.crc32(data))
    entry = Entry("volume", start, start + 16, frozenset({0}))
    table = Table(1, start, start + len(data), 0, (segment,), (entry,))
    return table.pack().ljust(start, b"\xff") + data


def configure(build, **variables):
    given = [f"-D{name}={value}" for name, value in variables.items()]
    command = ["cmake", "-S", FIRMWARE, "-B", build, *given]
    return subprocess.run(command, capture_output=True, text=True)


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """What CMake is given."""
    folder = tmp_path_factory.mktemp("cmake")
    (folder / "generated").mkdir()
    (folder / "generated" / "swr_config.h").write_text(CONFIG)
    header, source = c_array(image(), "swr_image")
    (folder / "generated" / "swr_image.h").write_text(header)
    (folder / "generated" / "swr_image.cc").write_text(source)
    (folder / "network.cc").write_text(NETWORK)
    network_library(folder, "")
    return folder


def network_library(folder, prefix, *flags):
    """Compiles what stands for the library of TFLite Micro."""
    compiled, library = folder / f"{prefix}network.o", folder / f"lib{prefix}tflm.a"
    compiler = [f"{prefix}g++", "-std=c++17", "-fno-exceptions", *flags, f"-I{DOUBLE}"]
    subprocess.run([*compiler, "-c", folder / "network.cc", "-o", compiled], check=True)
    subprocess.run([f"{prefix}ar", "rcs", library, compiled], check=True)
    return library


@pytest.fixture(scope="module")
def variables(place):
    return {
        # A folder more than the one with the interpreter, as for FlatBuffers.
        "TFLM_INCLUDE_DIR": f"{place};{DOUBLE}",
        "TFLM_LIBRARY": place / "libtflm.a",
        "SWR_CONFIG_DIR": place / "generated",
    }


@pytest.fixture(scope="module")
def program(place, variables):
    flags = "-Wall -Wextra -Wconversion -Wpedantic -Werror -fsanitize=undefined"
    build = place / "build"
    done = configure(build, **variables, CMAKE_CXX_FLAGS=flags, CMAKE_C_FLAGS=flags)
    assert done.returncode == 0, done.stderr
    subprocess.run(["cmake", "--build", build], check=True, capture_output=True)
    return build / "keyword_spotter"


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("TFLM_INCLUDE_DIR", "", "TFLM_INCLUDE_DIR is missing"),
        ("TFLM_INCLUDE_DIR", "/none", "no 'tensorflow/lite/micro/micro_interpreter.h'"),
        ("TFLM_LIBRARY", "", "TFLM_LIBRARY is missing"),
        ("TFLM_LIBRARY", "/none/libtflm.a", "no file TFLM_LIBRARY=/none/libtflm.a"),
        ("SWR_CONFIG_DIR", "", "SWR_CONFIG_DIR is missing"),
        ("SWR_CONFIG_DIR", "/none", "no 'swr_config.h' in SWR_CONFIG_DIR=/none"),
    ],
)
def test_what_is_missing_is_told(tmp_path, variables, name, value, message):
    done = configure(tmp_path, **{**variables, name: value})
    assert done.returncode != 0
    assert message in " ".join(done.stderr.split())


def run(program, *arguments):
    return subprocess.run([program, *arguments], capture_output=True, text=True)


def wav(pcm, *, rate=RATE, channels=1, bits=16, encoding=1, before=b"", extensible=False):
    form = struct.pack(
        "<HHIIHH",
        0xFFFE if extensible else encoding,
        channels,
        rate,
        rate * channels * bits // 8,
        channels * bits // 8,
        bits,
    )
    if extensible:
        form += struct.pack("<HHIH", 22, bits, 4, encoding) + bytes.fromhex(
            "000000001000800000aa00389b71"
        )
    data = pcm.astype("<i2").tobytes()
    chunks = before + chunk(b"fmt ", form) + chunk(b"data", data)
    return b"RIFF" + struct.pack("<I", 4 + len(chunks)) + b"WAVE" + chunks


def chunk(name, data):
    return name + struct.pack("<I", len(data)) + data + bytes(len(data) % 2)


@pytest.fixture(scope="module")
def pcm():
    random = np.random.default_rng(0)
    levels = 10 ** random.uniform(0, 4, 40)
    return (random.normal(size=(40, RATE // 4)) * levels[:, None]).clip(-32768, 32767).ravel()


def expected(pcm):
    """What Python hears, a line each."""
    pytest.importorskip("pymicro_features", reason="needs the extra swr-keras[microfrontend]")
    frames = stream_features(MicroFrontend()).feed(pcm.astype("int16") / np.float32(32768))
    seen = SlidingWindows(FRAMES, STRIDE).feed(frames)
    steps = np.minimum(np.rint(seen / 0.125), 255).astype(int)
    before, after = steps.reshape(len(seen), 2, -1).sum(axis=2).T
    outputs = np.stack([0 * before, before > after, before < after], axis=1)
    outputs[:, 1:] = np.where(outputs[:, 1:], 20, -20)
    outputs = outputs.astype(np.int8)
    handling = Handling(LABELS, (FRAMES * 160 + 320) / RATE, STRIDE / 100, SMOOTHING, REFRACTORY)
    found = Detector(handling, THRESHOLD).feed(softmax_int8(outputs, SCALE))
    detections = [f"{each.time_seconds:.2f} s  {each.score:.3f}  {each.label}" for each in found]
    return detections, [f"outputs {' '.join(map(str, row))}" for row in outputs]


@pytest.mark.parametrize(
    "settings",
    [{}, {"extensible": True}, {"before": chunk(b"LIST", b"odd") + chunk(b"junk", bytes(1000))}],
    ids=["plain", "extensible", "other chunks"],
)
def test_a_wav_file_is_heard(program, tmp_path, pcm, settings):
    (tmp_path / "a.wav").write_bytes(wav(pcm, **settings))
    done = run(program, "volume", tmp_path / "a.wav")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines() == expected(pcm)[0]
    assert len(done.stdout.splitlines()) > 5


def test_raw_samples_are_heard_and_outputs_shown(program, tmp_path, pcm):
    (tmp_path / "a.raw").write_bytes(pcm.astype("<i2").tobytes())
    done = run(program, "--raw", "volume", "--outputs", tmp_path / "a.raw")
    lines = done.stdout.splitlines()
    detections, outputs = expected(pcm)
    assert [line for line in lines if not line.startswith("outputs")] == detections
    assert [line for line in lines if line.startswith("outputs")] == outputs


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda pcm: b"", "no WAV file"),
        (lambda pcm: b"fLaC" + bytes(100), "no WAV file"),
        (lambda pcm: wav(pcm)[:11], "no WAV file"),
        (lambda pcm: wav(pcm)[:36], "no samples"),
        (lambda pcm: wav(pcm)[:30], "format is cut short"),
        (lambda pcm: wav(pcm)[:-2], "cut short"),
        (lambda pcm: wav(pcm)[:-3201], "cut short"),
        (lambda pcm: wav(pcm, rate=8000), "rate isn't 16000 Hz"),
        (lambda pcm: wav(pcm, rate=44100), "rate isn't 16000 Hz"),
        (lambda pcm: wav(pcm, channels=2), "more than one channel"),
        (lambda pcm: wav(pcm, bits=24), "16-bit PCM"),
        (lambda pcm: wav(pcm, encoding=3), "16-bit PCM"),
        (lambda pcm: wav(pcm, encoding=3, extensible=True), "16-bit PCM"),
        (lambda pcm: wav(pcm, before=chunk(b"data", bytes(8))), "before their format"),
        (lambda pcm: wav(pcm, before=chunk(b"fmt ", bytes(8))), "format is cut short"),
        (lambda pcm: wav(pcm[:0])[:-4] + struct.pack("<I", 3) + bytes(4), "sample is cut short"),
    ],
)
def test_a_wav_file_that_is_none_is_refused(program, tmp_path, pcm, damage, message):
    (tmp_path / "a.wav").write_bytes(damage(pcm))
    done = run(program, "volume", tmp_path / "a.wav")
    assert done.returncode == 1
    assert message in done.stderr


@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        ([], 2, "Usage"),
        (["volume"], 2, "Usage"),
        (["volume", "a.raw", "more"], 2, "Usage"),
        (["--row", "volume", "a.raw"], 2, "Usage"),
        (["french", "a.raw"], 1, "Task 'french' can't be used"),
        (["volume", "none.wav"], 1, "File 'none.wav' can't be used: it can't be opened"),
        (["--raw", "volume", "odd.raw"], 1, "File 'odd.raw' can't be used: it is cut short"),
    ],
)
def test_what_cannot_be_used_is_told(program, tmp_path, monkeypatch, arguments, status, message):
    monkeypatch.chdir(tmp_path)
    pathlib.Path("a.raw").write_bytes(bytes(100))
    pathlib.Path("odd.raw").write_bytes(bytes(101))
    done = run(program, *arguments)
    assert done.returncode == status
    assert message in done.stderr


def has_cpp_for_arm():
    compiler = shutil.which("arm-none-eabi-g++")
    command = [compiler, "-fsyntax-only", "-x", "c++", "-include", "optional", "/dev/null"]
    return bool(compiler) and subprocess.run(command, capture_output=True).returncode == 0


@pytest.mark.skipif(not has_cpp_for_arm(), reason="needs libstdc++-arm-none-eabi-newlib")
@pytest.mark.skipif(not shutil.which("qemu-system-arm"), reason="needs QEMU for Arm")
def test_an_emulated_cortex_m4_hears_the_same(place, variables, tmp_path, pcm):
    cpu = ["-mcpu=cortex-m4", "-mthumb", "-mfpu=fpv4-sp-d16", "-mfloat-abi=hard"]
    library = network_library(place, "arm-none-eabi-", *cpu)
    warnings = "-Wall -Wextra -Wconversion -Wpedantic -Werror"
    done = configure(
        place / "m4",
        **{**variables, "TFLM_LIBRARY": library},
        CMAKE_TOOLCHAIN_FILE=FIRMWARE / "cortex_m4.cmake",
        CMAKE_CXX_FLAGS=warnings,
    )
    assert done.returncode == 0, done.stderr
    subprocess.run(["cmake", "--build", place / "m4"], check=True, capture_output=True)
    (tmp_path / "audio").write_bytes(pcm.astype("<i2").tobytes())
    (tmp_path / "task").write_bytes(b"volume")
    machine = ["-M", "mps2-an386", "-display", "none", "-icount", "shift=0,sleep=off"]
    files = ["-semihosting-config", "enable=on,target=native", "-serial", "none"]
    command = ["qemu-system-arm", *machine, *files, "-monitor", "none"]
    program = ["-kernel", place / "m4" / "keyword_spotter"]
    subprocess.run([*command, *program], cwd=tmp_path, check=True, stdin=subprocess.DEVNULL)
    lines = (tmp_path / "output").read_text().splitlines()
    assert lines[-1].startswith("instructions ")
    detections, outputs = expected(pcm)
    assert [line for line in lines if line.startswith("outputs")] == outputs
    found = [line.split() for line in lines if line.startswith("detected")]
    assert [f"{int(ms) / 1000:.2f} s  {label}" for _, ms, _, _, _, _, label in found] == [
        f"{time} s  {label}" for time, _, _, label in map(str.split, detections)
    ]
    scores = [float(line.split()[2]) for line in detections]
    assert [int(words[3]) / 1000 for words in found] == pytest.approx(scores, abs=0.0016)
