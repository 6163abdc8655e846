"""What people record themselves: one speaker, folders of unknown words and of silence."""

import numpy as np
import pytest

from swr_keras.audio import SpeechCommands
from swr_keras.audio.splits import speaker_of

SPLITS = ("training", "validation", "testing")


@pytest.fixture
def own_voice(tmp_path, write):
    """One speaker, 20 takes of two words."""
    random = np.random.default_rng(0)
    for word in ("yes", "no"):
        for take in range(20):
            write(tmp_path / word / f"me_nohash_{take}.wav", random.normal(0, 0.1, 1600))
    write(tmp_path / "_background_noise_" / "noise.wav", random.normal(0, 0.1, 16000))
    return tmp_path


@pytest.fixture
def write_many(write):
    def _write_many(folder, names):
        for name in names:
            random = np.random.default_rng(list(name.encode()))
            write(folder / name, random.normal(0, 0.1, 1600))

    return _write_many


def _classes(commands):
    return {
        split: [commands.labels[label] for label in commands.load(split).labels] for split in SPLITS
    }


def test_one_speaker_alone_is_named_with_a_way_out(own_voice):
    with pytest.raises(ValueError, match=r"one speaker, 'me'.*split_by=\"take\""):
        SpeechCommands(own_voice)


def test_one_speaker_by_take(own_voice):
    commands = SpeechCommands(own_voice, split_by="take")
    recorded = [np.count_nonzero(commands.load(split).recorded) for split in SPLITS]
    assert recorded == [32, 4, 4]
    assert commands.notes == ("Split by take: the same speakers are in training and test.",)


def test_names_need_not_tell_the_speaker_by_take(own_voice):
    (own_voice / "yes" / "me_nohash_0.wav").rename(own_voice / "yes" / "New recording.wav")
    with pytest.raises(ValueError, match=r"New recording.wav.*(?s:.*)split_by=\"take\""):
        SpeechCommands(own_voice)
    SpeechCommands(own_voice, split_by="take")


def test_a_speaker_in_two_lists_needs_the_split_by_take(corpus, write_many):
    write_many(corpus, ["yes/bo_nohash_7.wav"])
    with pytest.raises(ValueError, match=r"bo: .*(?s:.*)split_by=\"take\""):
        SpeechCommands(corpus)
    assert "yes/bo_nohash_7.wav" in SpeechCommands(corpus, split_by="take").load("training").names


def test_an_unknown_way_to_split(corpus):
    with pytest.raises(ValueError, match=r"split_by must be one of .*Received: split_by='day'"):
        SpeechCommands(corpus, split_by="day")


@pytest.mark.parametrize(
    ("options", "labels"),
    [
        ({}, ("_silence_", "_unknown_", "no", "yes")),
        ({"keywords": ["yes"]}, ("_silence_", "_unknown_", "yes")),
        ({"keywords": ["yes"], "unknown_words": ["no"]}, ("_silence_", "_unknown_", "yes")),
        ({"unknown_words": ()}, ("_silence_", "no", "yes")),
        ({"silence": False}, ("_unknown_", "no", "yes")),
    ],
)
def test_clips_of_unknown_are_unknown_words(own_voice, write_many, options, labels):
    write_many(own_voice, [f"_unknown_/me_nohash_{take}.wav" for take in range(10)])
    commands = SpeechCommands(own_voice, split_by="take", **options)
    assert commands.labels == labels
    used = "_unknown_" in labels
    assert commands.left_out == (() if used else ("_unknown_/",))
    for split in SPLITS:
        clips = commands.load(split)
        own = [name.startswith("_unknown_/me") for name in clips.names]
        assert any(own) == used
        for name, label in zip(clips.names, clips.labels, strict=True):
            if name.startswith("_unknown_/me"):
                assert commands.labels[label] == "_unknown_"


def test_speakers_of_unknown_stay_in_their_split(corpus, write_many):
    for path in corpus.glob("*_list.txt"):
        path.unlink()
    speakers = [f"speaker{number}" for number in range(24)]
    write_many(corpus, [f"yes/{speaker}_nohash_0.wav" for speaker in speakers])
    names = [f"_unknown_/{speaker}_nohash_0.wav" for speaker in ("ann", "bo", *speakers)]
    write_many(corpus, names)
    commands = SpeechCommands(corpus, silence=False)
    split_of = {}
    for split in SPLITS:
        for name in commands.load(split).names:
            assert split_of.setdefault(speaker_of(name), split) == split


@pytest.mark.parametrize(("own", "zeros"), [(0, [4, 1, 1]), (5, [1, 0, 0]), (30, [0, 0, 0])])
def test_own_silence_is_filled_up_to_a_tenth(own_voice, write_many, own, zeros):
    write_many(own_voice, [f"_silence_/room {take}.wav" for take in range(own)])
    commands = SpeechCommands(own_voice, split_by="take")
    for split, added in zip(SPLITS, zeros, strict=True):
        clips = commands.load(split)
        silent = clips.labels == commands.labels.index("_silence_")
        assert np.count_nonzero(silent & ~clips.recorded) == added
        assert all(name.startswith("_silence_/") for name in np.array(clips.names)[silent])
    assert sum(labels.count("_silence_") for labels in _classes(commands).values()) == own + sum(
        zeros
    )


def test_enough_silence_needs_no_noise(own_voice, write_many):
    (own_voice / "_background_noise_" / "noise.wav").unlink()
    with pytest.raises(ValueError, match="silence class needs recordings"):
        SpeechCommands(own_voice, split_by="take")
    write_many(own_voice, [f"_silence_/room {take}.wav" for take in range(30)])
    SpeechCommands(own_voice, split_by="take").load("training")


def test_own_silence_is_named_where_it_is_not_used(own_voice, write_many):
    write_many(own_voice, ["_silence_/room.wav"])
    commands = SpeechCommands(own_voice, split_by="take", silence=False)
    assert commands.left_out == ("_silence_/",)
    assert "_silence_/" in commands.notes[0]


def test_the_cap_counts_keywords_alone(own_voice, write_many):
    write_many(own_voice, [f"_silence_/room {take}.wav" for take in range(30)])
    write_many(own_voice, [f"_unknown_/me_nohash_{take}.wav" for take in range(30)])
    commands = SpeechCommands(own_voice, split_by="take", unknown_cap=0.25)
    assert _classes(commands)["training"].count("_unknown_") == 8
