import os
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile

RATE_HZ = 16000


@pytest.fixture
def write():
    """Writes float audio, a 440 Hz tone of a second by default, and returns the path."""

    def _write(path, audio=None, rate_hz=RATE_HZ, subtype="PCM_16"):
        if audio is None:
            audio = 0.3 * np.sin(2 * np.pi * 440 * np.arange(rate_hz) / rate_hz)
        path = Path(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(path, audio, rate_hz, subtype=subtype)
        return path

    return _write


@pytest.fixture
def latin_1_name():
    """A file name that isn't UTF-8, which other systems than Linux don't allow."""
    if sys.platform != "linux":
        pytest.skip("file names are UTF-8 here")
    return os.fsdecode(b"caf\xe9_nohash_0.wav")


@pytest.fixture
def corpus(tmp_path, write):
    """A data set of 4 words x 4 speakers x 2 takes: bo validates, cy tests, ann and dee train."""
    root = tmp_path / "corpus"
    random = np.random.default_rng(0)
    for word in ("yes", "no", "up", "dog"):
        for speaker in ("ann", "bo", "cy", "dee"):
            for take in range(2):
                audio = random.uniform(-0.2, 0.2, 4000)
                write(root / word / f"{speaker}_nohash_{take}.wav", audio)
    for index in range(2):
        noise = random.uniform(-0.5, 0.5, 2 * RATE_HZ + 1000 * index)
        write(root / "_background_noise_" / f"noise{index}.flac", noise)
    words = ("yes", "no", "up", "dog")
    for file, speaker in (("validation_list.txt", "bo"), ("testing_list.txt", "cy")):
        lines = [f"{word}/{speaker}_nohash_{take}.wav\n" for word in words for take in range(2)]
        (root / file).write_text("".join(lines))
    return root
