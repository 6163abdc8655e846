"""Tests of `swr_keras.export.manifest` and `write_bundle`."""

import dataclasses
import hashlib
import json

import numpy as np
import pytest

from swr_keras import audio
from swr_keras.audio import FRONT_ENDS, LogMel
from swr_keras.export import ExportError, LiteModel, arena_bytes_host, manifest

LABELS = ["no", "yes", "_unknown_"]
NAMES = ["no/1.wav", "yes/2.wav"]


@pytest.fixture(scope="module")
def described(toy_int8):
    return manifest(
        toy_int8,
        labels=LABELS,
        front_end=LogMel(num_mels=32),
        calibration_names=NAMES,
        accuracy={"float": 0.93, "int8": 0.92},
    )


def test_it_says_what_the_file_is(described, toy_int8):
    assert described["sha256"] == hashlib.sha256(toy_int8).hexdigest()
    assert described["size_bytes"] == len(toy_int8)
    assert described["labels"] == LABELS
    assert described["calibration"] == NAMES
    assert described["accuracy"] == {"float": 0.93, "int8": 0.92}
    assert described["operators"]["CONV_2D"] == 1
    assert described["operators"]["FULLY_CONNECTED"] == 1
    assert described["arena"]["bytes_host_estimate"] == arena_bytes_host(toy_int8)
    assert {"swr_keras", "keras", "tensorflow", "tflite_micro"} == set(described["versions"])


def test_front_end_can_be_rebuilt(described):
    assert described["front_end"]["class"] == "LogMel"
    assert LogMel(**described["front_end"]["parameters"]) == LogMel(num_mels=32)


@pytest.mark.parametrize("name", FRONT_ENDS)
def test_every_front_end_is_described_in_full(toy_int8, name):
    if name == "micro_frontend":
        pytest.importorskip("pymicro_features", reason="needs the extra swr-keras[microfrontend]")
    front_end = FRONT_ENDS[name](16000)
    described = manifest(toy_int8, labels=LABELS, front_end=front_end, calibration_names=NAMES)
    parameters = described["front_end"]["parameters"]
    assert getattr(audio, described["front_end"]["class"])(**parameters) == front_end
    assert parameters["hop_ms"] == 10
    assert parameters["num_mels"] == front_end.shape(16000)[1]


def test_inputs_can_be_quantized_by_it(described, toy_int8, toy_examples):
    model, (source, result) = LiteModel(toy_int8), (described["input"], described["output"])
    assert (source["dtype"], result["dtype"]) == ("int8", "int8")
    assert tuple(source["shape"]) == model.input_shape
    assert tuple(result["shape"]) == model.output_shape
    steps = np.rint(toy_examples.astype("float64") / source["scale"])
    q = np.clip(steps + source["zero_point"], -128, 127)
    np.testing.assert_array_equal(q.astype("int8"), model.quantize(toy_examples))
    outputs = model.predict_int8(q.astype("int8")).astype(float) - result["zero_point"]
    np.testing.assert_allclose(
        outputs * result["scale"], model.predict(toy_examples), rtol=1e-6, atol=1e-7
    )


def test_it_survives_json(described):
    assert json.loads(json.dumps(described)) == described


def test_bad_descriptions_are_refused(toy_int8):
    good = {"labels": LABELS, "front_end": LogMel(), "calibration_names": NAMES}

    @dataclasses.dataclass
    class Odd:
        filters: object

    for wrong, message in (
        ({"labels": LABELS[:2]}, "each of the 3 outputs.*2 labels"),
        ({"labels": ["no", "no", "yes"]}, "all different"),
        ({"front_end": {"num_mels": 40}}, "dataclass"),
        ({"front_end": LogMel}, "dataclass"),
        ({"front_end": Odd(np.zeros(2))}, "JSON"),
        ({"accuracy": {"int8": float("nan")}}, "JSON"),
    ):
        with pytest.raises(ValueError, match=message):
            manifest(toy_int8, **{**good, **wrong})
    with pytest.raises(ExportError):
        manifest(toy_int8[:100], **good)
