import shutil

import numpy as np
import pytest

from swr_keras.audio import AudioError, SpeechCommands

CASES = {
    "testing": ("yes/ann_nohash_0.wav", "yes/cy_nohash_0.wav", ["training", "testing"]),
    "validation": ("up/bo_nohash_1.wav", "yes/dee_nohash_1.wav", ["validation", "training"]),
    "words": ("yes/ann_nohash_0.wav", "no/ann_nohash_1.wav", ["training"]),
}


def _copy(corpus, case):
    first, second, splits = CASES[case]
    shutil.copy(corpus / first, corpus / second)
    return first, second, splits


@pytest.mark.parametrize("case", CASES)
def test_audio_that_tells_the_test_or_has_two_words_is_refused(corpus, case):
    first, second, splits = _copy(corpus, case)
    commands = SpeechCommands(corpus)
    for split in splits[:-1]:
        commands.load(split)
    with pytest.raises(AudioError, match="the same audio as") as error:
        commands.load(splits[-1])
    assert first in str(error.value)
    assert second in str(error.value)


@pytest.mark.parametrize("case", CASES)
def test_it_can_be_left_out(corpus, case):
    _, second, splits = _copy(corpus, case)
    commands = SpeechCommands(corpus, skip_unreadable=True)
    loaded = [commands.load(split) for split in splits]
    assert second not in loaded[-1].names
    assert any(second in problem for problem in loaded[-1].unreadable)
    contents = {clip.tobytes() for clip in loaded[0].audio if clip.any()}
    if len(splits) > 1:
        assert contents.isdisjoint(clip.tobytes() for clip in loaded[1].audio)


@pytest.mark.parametrize("options", [{}, {"unknown_words": ["yes", "no"]}])
def test_copies_that_mislead_nobody_are_kept(corpus, options):
    second = "no/ann_nohash_1.wav" if options else "yes/ann_nohash_1.wav"
    shutil.copy(corpus / "yes/ann_nohash_0.wav", corpus / second)
    commands = SpeechCommands(corpus, **options)
    for _ in range(2):
        assert second in commands.load("training").names
    commands.load("testing")


def test_a_word_of_silence_is_refused(corpus, write):
    for path in (corpus / "yes").iterdir():
        write(path, np.zeros(16000))
    with pytest.raises(AudioError, match=r"no clip holds any sound: \n  yes"):
        SpeechCommands(corpus).load("training")


@pytest.mark.parametrize("level", [0.0, 0.2])
def test_noise_of_silence_is_refused(corpus, write, level):
    write(corpus / "_background_noise_" / "noise1.flac", np.full(32000, level))
    with pytest.raises(AudioError, match="noise1.flac: the noise holds no sound"):
        SpeechCommands(corpus).noise()
