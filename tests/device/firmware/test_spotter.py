"""The keyword spotter of the firmware: what it hears, refuses and takes from patches."""

import shutil
import subprocess

import numpy as np
import pytest

from swr_keras.device import Bundle, DeviceTask

RATE = 16000
FLOAT = 1

pytestmark = pytest.mark.skipif(not shutil.which("g++"), reason="needs the compiler g++")


@pytest.mark.parametrize("task", ["english", "mandarin", "long"])
@pytest.mark.parametrize("chunk", [1, 160, 479, 4000, 10**6])
def test_hears_what_python_hears(start, audio, sees, hears, spoken, task, chunk):
    pcm = audio(6 if chunk > 1 else 1.5)
    device = start(Bundle.build(spoken), task)
    for at in range(0, len(pcm), chunk):
        assert device.feed(pcm[at : at + chunk])
    np.testing.assert_array_equal(np.concatenate(device.inputs), sees(task, pcm))
    assert device.detections == hears(task, pcm)
    assert len(device.detections) > (4 if chunk > 1 else 0)


@pytest.mark.parametrize("threshold", [1e-6, 0.3, 0.8, 1.0])
def test_thresholds(start, hears, audio, both, threshold):
    pcm = audio(6, seed=1)
    device = start(both)
    assert device.select("english", threshold)
    assert device.feed(pcm)
    assert device.detections == hears("english", pcm, threshold)


def frames_of(samples):
    return 1 + (samples - 480) // 160


def as_input_of(model):
    return {"input.scale": model.input_scale, "input.zero_point": model.input_zero_point}


def test_a_task_that_takes_over_has_heard_what_came_before(start, audio, sees, both, models):
    pcm = audio(6, seed=2)
    at = RATE * 2 + 77
    device = start(both, "english")
    device.changes = as_input_of(models["english"])
    assert device.feed(pcm[:at])
    before = len(device.inputs)
    device.detections.clear()
    assert device.select("mandarin")
    assert device.feed(pcm[at:])
    seen = np.concatenate(device.inputs[before:])
    first = frames_of(at) + 1 - seen.shape[1]
    np.testing.assert_array_equal(seen, sees("english", pcm, first))
    assert {label for label, *_ in device.detections} <= {"不", "是", "好"}
    assert device.detections[0][1] >= 1000 * at / RATE
    assert len(device.detections) > 2


@pytest.mark.parametrize("change", [{"input.scale": 0.25}, {"input.zero_point": -127}], ids=str)
def test_a_task_of_another_scale_waits_until_it_has_heard_enough(
    start, audio, sees, both, models, change
):
    pcm = audio(6, seed=8)
    at = RATE * 2
    device = start(both, "english")
    assert device.feed(pcm[:at])
    before = len(device.inputs)
    device.changes = as_input_of(models["english"]) | change
    assert device.select("mandarin")
    assert device.feed(pcm[at:])
    seen = np.concatenate(device.inputs[before:])
    expected = sees("english", pcm, frames_of(at), **change)
    np.testing.assert_array_equal(seen, expected)


def test_a_task_that_listens_again_has_heard_what_came_between(start, audio, sees, both):
    pcm = audio(6, seed=9)
    at, again = RATE * 2, RATE * 3
    device = start(both, "english")
    assert device.feed(pcm[:at])
    before = len(device.inputs)
    device.changes = {"input.type": FLOAT}
    assert not device.select("mandarin")
    assert not device.feed(pcm[at:again])
    device.changes = {}
    assert device.select("english")
    assert device.feed(pcm[again:])
    seen = np.concatenate(device.inputs[before:])
    first = frames_of(again) + 1 - seen.shape[1]
    np.testing.assert_array_equal(seen, sees("english", pcm, first))


def test_a_task_with_longer_windows_waits_until_it_has_heard_enough(start, audio, sees, spoken):
    pcm = audio(6, seed=3)
    at = RATE * 2
    device = start(Bundle.build(spoken), "english")
    assert device.feed(pcm[:at])
    before = len(device.inputs)
    assert device.select("long")
    assert device.feed(pcm[at:])
    seen = np.concatenate(device.inputs[before:])
    np.testing.assert_array_equal(seen, sees("long", pcm, frames_of(at)))


def test_a_reset_begins_anew(start, hears, audio, both):
    pcm = audio(3, seed=4)
    device = start(both, "english")
    assert device.feed(audio(2.3))
    device.detections.clear()
    device.reset()
    assert device.feed(pcm)
    assert device.detections == hears("english", pcm) != []


def test_without_a_task_nothing_is_heard(start, audio, sees, both):
    pcm, at = audio(4), RATE * 2
    device = start(both)
    assert not device.feed(pcm[:at])
    assert not device.inputs
    for name in ("french", "", "englis", "english" * 9):
        assert not device.select(name)
    assert device.select("english")
    assert device.feed(pcm[at:])
    seen = np.concatenate(device.inputs)
    np.testing.assert_array_equal(seen, sees("english", pcm, frames_of(at)))


def test_a_damaged_task_is_refused_and_others_work(start, hears, audio, both):
    pcm = audio(4, seed=5)
    for task, other in (("english", "mandarin"), ("mandarin", "english")):
        device = start(both, other)
        entry = next(each for each in both.table.tasks if each.name == task)
        assert device.feed(pcm[:RATE])
        device.flash[entry.root + 20] ^= 1
        assert not device.select(task)
        assert device.feed(pcm[RATE:])
        assert device.detections == hears(other, pcm) != []


def test_what_is_no_bundle_is_refused(start, audio, both):
    device = start(both)
    device.flash[9] ^= 1
    assert not device.init()
    assert not device.select("english")
    assert not device.apply(both.remove("english"))
    assert not device.feed(audio(1))
    device.flash[9] ^= 1
    assert device.init() and device.select("english") and device.feed(audio(1))


@pytest.mark.parametrize("threshold", [0.0, -1.0, float("nan")])
def test_a_threshold_that_is_none_is_refused(start, hears, audio, both, threshold):
    pcm = audio(3)
    device = start(both, "english")
    assert not device.select("mandarin", threshold)
    assert device.feed(pcm)
    assert device.detections == hears("english", pcm)


@pytest.mark.parametrize("labels", [("_silence_", "_unknown_", "_unknown_", "_silence_"), ()])
def test_labels_that_cannot_be_used_are_refused(start, hears, audio, spoken, labels):
    pcm = audio(3)
    other = DeviceTask(spoken["mandarin"].model, labels)
    device = start(Bundle.build({"english": spoken["english"], "mandarin": other}), "english")
    assert not device.select("mandarin")
    assert device.feed(pcm)
    assert device.detections == hears("english", pcm)


@pytest.mark.parametrize(
    "changes",
    [
        {"inputs": 2},
        {"outputs": 0},
        {"arena_bytes": 4097},
        {"input.type": FLOAT},
        {"input.dims": (1, 45, 40, 1)},
        {"input.dims": (1, 0, 40, 1)},
        {"input.dims": (1, 30, 39, 1)},
        {"input.dims": (2, 30, 40, 1)},
        {"input.dims": (1, 15, 40, 2)},
        {"input.dims": (1, 30, 40)},
        {"input.scale": 0.0},
        {"input.scale": float("nan")},
        {"input.zero_point": 128},
        {"output.type": FLOAT},
        {"output.dims": (1, 5)},
        {"output.dims": (1, 3)},
        {"output.dims": (2, 4)},
        {"output.dims": (4,)},
    ],
    ids=str,
)
def test_a_model_that_cannot_be_used_is_refused(start, audio, both, changes):
    device = start(both, "english")
    device.changes = changes
    assert not device.select("mandarin")
    assert not device.feed(audio(1))
    assert not device.inputs
    device.changes = {}
    assert device.select("mandarin")
    assert device.feed(audio(1)) and device.inputs


def test_a_model_of_another_schema_is_refused_and_others_work(start, audio, both):
    device = start(both, "english")
    device.changes = {"version": 4}
    assert not device.select("mandarin")
    assert device.feed(audio(1)) and device.inputs


def test_an_inference_that_fails_is_told(start, audio, both):
    device = start(both, "english")
    assert device.feed(audio(0.3))
    device.can_infer = False
    assert not device.feed(audio(1))
    assert not device.detections


def test_a_patch_adds_a_task_while_another_one_listens(start, hears, audio, both, spoken):
    pcm = audio(6, seed=6)
    patch = both.add("long", spoken["long"])
    after = both.patched(patch)
    total = patch.num_bytes
    for power in (0, 1, total // 3, total - 700, total - 1):
        device = start(both, "english")
        assert device.feed(pcm[: 2 * RATE])
        assert not device.apply(patch, power=power)
        assert not device.select("long")
        assert device.feed(pcm[2 * RATE : 3 * RATE])
        assert device.apply(patch)
        assert bytes(device.flash) == after.image
        assert not device.apply(patch)
        assert device.feed(pcm[3 * RATE :])
        assert device.detections == hears("english", pcm)
        device.learn(after)
        for name in ("long", "mandarin", "english"):
            assert device.select(name)
            device.reset()
            device.detections.clear()
            assert device.feed(pcm)
            assert device.detections == hears(name, pcm) != []


def test_a_task_goes_on_that_a_patch_removes(start, hears, audio, both):
    pcm = audio(4, seed=7)
    device = start(both, "english")
    assert device.feed(pcm[:RATE])
    assert device.apply(both.remove("english"))
    assert device.feed(pcm[RATE:])
    assert device.detections == hears("english", pcm) != []
    assert not device.select("english")
    assert device.select("mandarin")


def test_nothing_is_taken_from_the_heap(objects):
    paths = [path for name, path in objects.items() if name != "spotter_harness.cc"]
    found = subprocess.run(["nm", "-u", *paths], check=True, capture_output=True, text=True)
    used = {line.split()[-1] for line in found.stdout.splitlines() if line.strip()}
    assert "swr_frontend_push" in used
    heap = {"malloc", "calloc", "realloc", "free", "aligned_alloc"}
    assert not {name for name in used if name in heap or name.startswith(("_Zn", "_Zd"))}
