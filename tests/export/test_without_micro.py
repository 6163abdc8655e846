"""Where TFLite Micro's kernels aren't installed, everything works, and says what was not run."""

import sys

import pytest

from swr_keras.audio import LogMel
from swr_keras.export import (
    LiteModel,
    arena_bytes_host,
    convert_int8,
    manifest,
    verify_int8,
)


@pytest.fixture(autouse=True)
def _hidden(monkeypatch):
    monkeypatch.setitem(sys.modules, "tflite_micro", None)


def test_conversion_warns_and_records_it(toy_model, toy_examples, toy_int8):
    with pytest.warns(UserWarning, match=r"not run as a device runs it.*swr-keras\[micro\]"):
        model = convert_int8(toy_model, toy_examples)
    assert bytes(model) == toy_int8
    assert not model.verification.on_micro
    assert model.verification.engines == ("LiteRT, reference kernels",)
    assert model.verification.max_lsb is None
    described = manifest(model, labels=list("abc"), front_end=LogMel(), calibration_names=[])
    assert described["verification"]["engines"] == ["LiteRT, reference kernels"]
    assert described["arena"] is None
    assert described["versions"]["tflite_micro"] is None


def test_what_needs_it_says_how_to_get_it(toy_int8):
    with pytest.raises(ImportError, match=r"swr-keras\[micro\]"):
        LiteModel(toy_int8, engine="tflm")
    with pytest.raises(ImportError, match=r"swr-keras\[micro\]"):
        arena_bytes_host(toy_int8)


def test_contents_are_verified_still(toy_int8, toy_examples):
    assert verify_int8(toy_int8, toy_examples).num_inputs == 40
