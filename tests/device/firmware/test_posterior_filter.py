"""The firmware's way from int8 outputs to detections, compiled for this machine."""

import ctypes
import pathlib
import shutil
import subprocess

import numpy as np
import pytest

from swr_keras.audio.keyword_corpus import SILENCE, UNKNOWN
from swr_keras.streaming.detection import Candidates, Detection, Detector, Handling
from swr_keras.streaming.scores import softmax_int8

HERE = pathlib.Path(__file__).parent
FIRMWARE = HERE.parents[2] / "tflite" / "firmware"
WARNINGS = ["-Wall", "-Wextra", "-Wconversion", "-Wpedantic", "-Werror"]
SANITIZED = ["-fsanitize=undefined", "-fno-sanitize-recover"]
CONFIG = """
namespace swr {{
constexpr int kMaxClasses = {classes};
constexpr int kSmoothingWindows = {smoothing};
constexpr int kRefractoryWindows = {refractory};
}}
"""
FIRST, STEP = 1.0, 0.1

pytestmark = pytest.mark.skipif(not shutil.which("g++"), reason="needs the compiler g++")


def compiled(folder, *, classes, smoothing, refractory):
    config = CONFIG.format(classes=classes, smoothing=smoothing, refractory=refractory)
    (folder / "swr_config.h").write_text(config)
    sources = [FIRMWARE / "posterior_filter.cc", HERE / "filter_harness.cc"]
    command = ["g++", "-std=c++17", "-O2", *WARNINGS, *SANITIZED, "-fno-exceptions", "-fno-rtti"]
    folders = [f"-I{folder}", f"-I{FIRMWARE}", "-shared", "-fPIC"]
    subprocess.run([*command, *folders, *sources, "-o", folder / "filter.so"], check=True)
    return ctypes.CDLL(str(folder / "filter.so"))


def heard(library, outputs, scale, handling, threshold):
    """What the firmware detects, and all scores."""
    is_keyword = [label not in (SILENCE, UNKNOWN) for label in handling.labels]
    library.filter_start(
        ctypes.c_float(scale),
        (ctypes.c_bool * len(is_keyword))(*is_keyword),
        ctypes.c_int(len(is_keyword)),
        ctypes.c_double(threshold),
    )
    detections, scores = [], []
    for window, row in enumerate(outputs):
        score = ctypes.c_double()
        found = library.filter_push(ctypes.c_void_p(row.ctypes.data), ctypes.byref(score))
        scores.append(score.value)
        if found >= 0:
            label, time_seconds = handling.labels[found], handling.time_seconds(window)
            detections.append(Detection(label, time_seconds, score.value))
    return detections, np.array(scores)


def words(count):
    return tuple(f"word {number}" for number in range(count))


def streams(classes):
    """Yields int8 outputs of each kind that may be computed in its own way."""
    random = np.random.default_rng(classes)
    yield "any", random.integers(-128, 128, (400, classes))
    yield "equal", np.zeros((40, classes))
    yield "near each other", random.integers(-3, 4, (400, classes))
    yield "saturated", random.choice([-128, 127], (400, classes))
    held = np.repeat(random.integers(-128, 128, (40, classes)), 10, axis=0)
    yield "words that last", held


@pytest.mark.parametrize(
    ("labels", "smoothing", "refractory"),
    [
        ((SILENCE, UNKNOWN, *words(10)), 4, 10),
        (words(1), 1, 0),
        (words(2), 3, 1),
        ((UNKNOWN, *words(6)), 5, 2),
        ((*words(7), SILENCE), 7, 3),
        (words(9), 16, 0),
        ((*words(20), UNKNOWN, *words(16)), 2, 30),
        (words(128), 4, 5),
    ],
)
def test_equals_the_detector_of_streams(tmp_path, labels, smoothing, refractory):
    library = compiled(tmp_path, classes=128, smoothing=smoothing, refractory=refractory)
    handling = Handling(labels, FIRST, STEP, smoothing, refractory)
    detected = 0
    for name, outputs in streams(len(labels)):
        outputs = outputs.astype(np.int8)
        for scale in (np.float32(0.01), np.float32(0.127963), np.float32(1.7)):
            probabilities = softmax_int8(outputs, float(scale))
            expected_scores = Candidates.of(probabilities, handling).scores
            reached = np.quantile(expected_scores, [0.5, 0.99], method="nearest")
            for threshold in (1e-9, *reached, np.nextafter(reached[0], 2), 0.9, 1.0):
                expected = Detector(handling, threshold).feed(probabilities)
                found, scores = heard(library, outputs, scale, handling, threshold)
                np.testing.assert_array_equal(scores, expected_scores, name)
                assert found == expected
                detected += len(found)
    assert detected > 100


def test_starting_again_forgets(tmp_path):
    library = compiled(tmp_path, classes=3, smoothing=4, refractory=10)
    handling = Handling(words(3), FIRST, STEP, 4, 10)
    outputs = np.random.default_rng(0).integers(-128, 128, (5, 3)).astype(np.int8)
    once = heard(library, outputs, 0.1, handling, 0.3)
    again = heard(library, outputs, 0.1, handling, 0.3)
    assert once[0] == again[0] and len(once[0]) == 1
