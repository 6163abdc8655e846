import numpy as np
import pytest
import soundfile

RATE_HZ = 16000


def _write_corpus(folder, words, *, speakers=8, takes=2):
    """One tone a word; speakers 0 and 1 are the validation split, 2 and 3 the test split."""
    rng = np.random.default_rng(0)
    time = np.arange(RATE_HZ) / RATE_HZ
    envelope = np.exp(-(((time - 0.5) / 0.2) ** 2))
    for index, word in enumerate(words):
        (folder / word).mkdir(parents=True)
        for speaker in range(speakers):
            tone = 0.3 * np.sin(2 * np.pi * (300 + 400 * index + 10 * speaker) * time) * envelope
            for take in range(takes):
                clip = tone + 0.01 * rng.normal(size=RATE_HZ)
                path = folder / word / f"{speaker:08x}_nohash_{take}.wav"
                soundfile.write(path, clip.astype("float32"), RATE_HZ)
    (folder / "_background_noise_").mkdir()
    noise = (0.1 * rng.normal(size=3 * RATE_HZ)).astype("float32")
    soundfile.write(folder / "_background_noise_" / "hiss.wav", noise, RATE_HZ)
    for split, members in (("validation", (0, 1)), ("testing", (2, 3))):
        names = [
            f"{word}/{speaker:08x}_nohash_{take}.wav"
            for word in words
            for speaker in members
            for take in range(takes)
        ]
        (folder / f"{split}_list.txt").write_text("\n".join(names) + "\n")
    return folder


@pytest.fixture(scope="session")
def write_corpus():
    """Writes a small corpus in the layout of Speech Commands and returns its folder."""
    return _write_corpus


@pytest.fixture(scope="session")
def folders(tmp_path_factory, write_corpus):
    """Corpora of two tasks."""
    folder = tmp_path_factory.mktemp("corpora")
    return [
        write_corpus(folder / "english", ["yes", "no", "dog"]),
        write_corpus(folder / "mandarin", ["shi", "bu"]),
    ]
