import hashlib
import json

import pytest

from swr_keras.audio import LogMel
from swr_keras.device import write_deployment
from swr_keras.export import LiteModel

LABELS = ["no", "yes", "_unknown_"]
NAMES = ["no/1.wav", "yes/2.wav"]


def test_deployment(toy_int8, toy_examples, tmp_path):
    written = write_deployment(
        tmp_path,
        toy_int8,
        name="words",
        labels=["nein", "ja", "天"],
        front_end=LogMel(),
        calibration_names=NAMES,
    )
    assert {path.name for path in tmp_path.iterdir()} == {
        "words.tflite",
        "words.json",
        "words.h",
        "words.cc",
    }
    assert json.loads((tmp_path / "words.json").read_text(encoding="utf-8")) == written
    assert written["accuracy"] is None
    data = (tmp_path / "words.tflite").read_bytes()
    assert hashlib.sha256(data).hexdigest() == written["sha256"]
    assert f"g_words_len = {len(data)};" in (tmp_path / "words.cc").read_text()
    assert len(LiteModel(tmp_path / "words.tflite").predict(toy_examples)) == len(toy_examples)


def test_nothing_is_written_if_anything_is_wrong(toy_int8, tmp_path):
    for name, labels in (("2words", LABELS), ("words", LABELS[:1])):
        with pytest.raises(ValueError):
            write_deployment(
                tmp_path,
                toy_int8,
                name=name,
                labels=labels,
                front_end=LogMel(),
                calibration_names=NAMES,
            )
    assert not list(tmp_path.iterdir())
