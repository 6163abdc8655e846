"""Files that nobody vouches for never harm the process that reads them."""

import numpy as np
import pytest

from swr_keras.export import ExportError, LiteModel, verify_int8
from swr_keras.export.probe import check_foreign


def mutations(data, count, seed=0):
    """Copies with bits flipped, cut, or with words that are read as sizes and offsets replaced."""
    rng = np.random.default_rng(seed)
    for number in range(count):
        copy = bytearray(data)
        kind = number % 3
        if kind == 0:
            for place in rng.integers(0, len(copy), rng.integers(1, 8)):
                copy[place] ^= 1 << int(rng.integers(8))
        elif kind == 1:
            del copy[int(rng.integers(8, len(copy))) :]
        else:
            place = 4 * int(rng.integers(0, len(copy) // 4 - 1))
            word = int(rng.choice([0, 1, 2**31 - 1, 2**32 - 1, 2**16]))
            copy[place : place + 4] = word.to_bytes(4, "little")
        yield bytes(copy)


def test_damaged_files_are_refused_or_run(toy_int8, toy_examples):
    refused = 0
    for data in mutations(toy_int8, 24):
        try:
            LiteModel(data, engine="tflm").predict(toy_examples[:1])
            verify_int8(data, toy_examples[:1])
        except ValueError:
            refused += 1
    assert refused >= 8


@pytest.mark.parametrize("data", [b"", b"TFL3", b"\0" * 64, b"\xff" * 5000])
def test_what_is_no_model_is_refused(data):
    with pytest.raises(ExportError, match=f"Received: {len(data)} bytes that can't be loaded"):
        check_foreign(data)
