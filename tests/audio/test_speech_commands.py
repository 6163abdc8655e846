import shutil

import numpy as np
import pytest

from swr_keras.audio import (
    AudioError,
    SpeechCommands,
    read_audio,
)


def _labels_by_name(split):
    return dict(zip(split.names, split.labels.tolist(), strict=True))


def test_every_word_is_a_keyword_by_default(corpus):
    assert SpeechCommands(corpus).labels == ("_silence_", "dog", "no", "up", "yes")


@pytest.mark.parametrize(
    ("options", "labels"),
    [
        ({"keywords": ["yes", "no"]}, ("_silence_", "_unknown_", "yes", "no")),
        ({"keywords": ["yes", "no"], "unknown_words": ()}, ("_silence_", "yes", "no")),
        ({"unknown_words": ["dog"]}, ("_silence_", "_unknown_", "no", "up", "yes")),
        ({"keywords": ["yes"], "unknown_words": ["up"], "silence": False}, ("_unknown_", "yes")),
        ({"keywords": ["up", "yes", "no", "dog"], "silence": False}, ("up", "yes", "no", "dog")),
    ],
)
def test_labels(corpus, options, labels):
    assert SpeechCommands(corpus, **options).labels == labels


def test_load_keeps_audio_labels_and_names_together(corpus):
    split = SpeechCommands(corpus, keywords=["yes", "no"]).load("training")
    assert split.audio.shape == (17, 16000)
    assert split.audio.dtype == np.int16
    assert split.labels.dtype == np.int32
    assert list(split.names[:16]) == sorted(split.names[:16])
    assert split.names[16] == "_silence_/0"
    labels = _labels_by_name(split)
    assert labels["yes/ann_nohash_0.wav"] == 2
    assert labels["no/dee_nohash_1.wav"] == 3
    assert labels["dog/ann_nohash_1.wav"] == labels["up/ann_nohash_1.wav"] == 1
    assert labels["_silence_/0"] == 0
    assert not split.audio[16].any()
    row = split.names.index("no/dee_nohash_1.wav")
    clip = read_audio(corpus / "no" / "dee_nohash_1.wav")
    np.testing.assert_array_equal(split.audio[row, :4000] / 32768.0, clip)
    assert not split.audio[row, 4000:].any()


def test_splits_hold_their_speakers(corpus):
    commands = SpeechCommands(corpus, silence=False)
    for split, speakers in (
        ("training", {"ann", "dee"}),
        ("validation", {"bo"}),
        ("testing", {"cy"}),
    ):
        names = commands.load(split).names
        assert {name.split("/")[1].split("_")[0] for name in names} == speakers


def test_clip_seconds_and_full_scale(corpus, write):
    write(corpus / "yes" / "ann_nohash_9.wav", np.r_[np.zeros(8000), np.ones(4), np.zeros(8000)])
    split = SpeechCommands(corpus, clip_seconds=0.25, long_clips="centre").load("training")
    assert split.audio.shape[1] == 4000
    row = split.audio[split.names.index("yes/ann_nohash_9.wav")]
    np.testing.assert_array_equal(np.flatnonzero(row), [1998, 1999, 2000, 2001])
    assert row.max() == 32767


def test_silence_is_a_tenth_of_the_keyword_clips_rounded_up(corpus, write):
    for take in range(10):
        write(corpus / "yes" / f"eve_nohash_{take}.wav")
    names = SpeechCommands(corpus, keywords=["yes"]).load("training").names
    assert [name for name in names if name.startswith("_silence_")] == [
        "_silence_/0",
        "_silence_/1",
    ]


def test_unknown_cap_draws_at_the_seed(corpus):
    def unknown(**options):
        split = SpeechCommands(corpus, keywords=["yes"], unknown_cap=0.5, **options).load(
            "training"
        )
        return [name for name, label in _labels_by_name(split).items() if label == 1]

    assert len(unknown()) == 2
    assert unknown() == unknown()
    assert len({tuple(unknown(seed=seed)) for seed in range(8)}) > 1


def test_flac_hidden_and_other_files(corpus, write):
    write(corpus / "yes" / "eve_nohash_0.flac")
    (corpus / "yes" / "._eve_nohash_0.wav").write_bytes(b"resource fork")
    (corpus / "yes" / "README.md").write_text("notes")
    names = SpeechCommands(corpus).load("training").names
    assert [name for name in names if name.startswith("yes/")] == [
        "yes/ann_nohash_0.wav",
        "yes/ann_nohash_1.wav",
        "yes/dee_nohash_0.wav",
        "yes/dee_nohash_1.wav",
        "yes/eve_nohash_0.flac",
    ]


def test_noise(corpus):
    noise = SpeechCommands(corpus).noise()
    assert [len(recording) for recording in noise] == [32000, 33000]
    assert noise[0].dtype == np.float32


def test_no_noise_is_needed_without_silence(corpus):
    shutil.rmtree(corpus / "_background_noise_")
    assert SpeechCommands(corpus, silence=False).noise() == ()


def test_noise_shorter_than_a_clip(corpus):
    with pytest.raises(AudioError, match="noise0.flac: the noise holds 32000 samples.*48000"):
        SpeechCommands(corpus, clip_seconds=3.0).noise()


def test_all_bad_clips_are_reported_at_once(corpus, write):
    for take in range(6):
        write(corpus / "up" / f"eve_nohash_{take}.wav", np.zeros((16000, 2)))
    (corpus / "up" / "eve_nohash_6.wav").write_bytes(b"")
    with pytest.raises(AudioError, match="7 of 23 clips can't be used") as error:
        SpeechCommands(corpus, silence=False).load("training")
    assert "eve_nohash_4.wav: the file has 2 channels" in str(error.value)
    assert "eve_nohash_5.wav" not in str(error.value)


def test_another_rate_needs_resample(corpus):
    with pytest.raises(AudioError, match="16000 Hz, expected 8000 Hz.*resample=True"):
        SpeechCommands(corpus, sample_rate_hz=8000).load("testing")
    split = SpeechCommands(corpus, sample_rate_hz=8000, resample=True).load("testing")
    assert split.audio.shape[1] == 8000


def test_missing_folder(tmp_path):
    with pytest.raises(ValueError, match="nowhere is not a folder"):
        SpeechCommands(tmp_path / "nowhere")


def test_folder_without_words(tmp_path):
    (tmp_path / "yes").mkdir()
    with pytest.raises(ValueError, match=r"no word folder.*Found folders: \['yes'\]"):
        SpeechCommands(tmp_path)


@pytest.mark.parametrize("option", ["keywords", "unknown_words"])
def test_missing_words_are_named_with_those_that_exist(corpus, option):
    (corpus / "empty").mkdir()
    with pytest.raises(ValueError, match="left") as error:
        SpeechCommands(corpus, **{option: ["yes", "left", "empty"]})
    assert "empty" in str(error.value)
    assert "Words with clips: dog, no, up, yes" in str(error.value)


def test_words_named_twice(corpus):
    with pytest.raises(ValueError, match=r"more than once.*\n  yes"):
        SpeechCommands(corpus, keywords=["yes", "no"], unknown_words=["yes"])


def test_no_keyword_left(corpus):
    with pytest.raises(ValueError, match="No keyword is left"):
        SpeechCommands(corpus, unknown_words=["yes", "no", "up", "dog"])


def test_keyword_without_training_clip(corpus):
    for path in (corpus / "up").glob("*.wav"):
        if path.name[0] in "ad":
            path.unlink()
    with pytest.raises(ValueError, match=r"without a training clip.*\n  up"):
        SpeechCommands(corpus)


def test_missing_noise_for_silence(corpus):
    shutil.rmtree(corpus / "_background_noise_")
    with pytest.raises(ValueError, match="silence=False"):
        SpeechCommands(corpus)


def test_speaker_in_two_splits(corpus, write):
    write(corpus / "yes" / "bo_nohash_7.wav")
    with pytest.raises(
        ValueError, match=r"bo: dog/bo_nohash_0.wav \(validation\) and yes/bo_nohash_7"
    ):
        SpeechCommands(corpus)


def test_names_that_are_not_utf_8_are_names_like_any(corpus, write, latin_1_name):
    write(corpus / "clip.wav").rename(corpus / "yes" / latin_1_name)
    (corpus / "testing_list.txt").write_bytes(b"yes/caf\xe9_nohash_0.wav")
    testing = SpeechCommands(corpus, silence=False).load("testing")
    assert testing.names == (r"yes/caf\xe9_nohash_0.wav",)
    for file in ("validation_list.txt", "testing_list.txt"):
        (corpus / file).unlink()
    hashed = SpeechCommands(corpus, silence=False).load("training")
    assert testing.names[0] in hashed.names


def test_lists_are_checked(corpus):
    (corpus / "yes" / "bo_nohash_0.wav").unlink()
    with pytest.raises(ValueError, match="validation_list.txt names files that don't exist"):
        SpeechCommands(corpus)


def test_impossible_cap(corpus):
    with pytest.raises(ValueError, match="Received: unknown_cap=0"):
        SpeechCommands(corpus, unknown_cap=0)


def test_unknown_and_empty_splits(corpus):
    commands = SpeechCommands(corpus)
    with pytest.raises(ValueError, match="Received: split='test'"):
        commands.load("test")
    for file in ("validation_list.txt", "testing_list.txt"):
        (corpus / file).write_text("")
    with pytest.raises(ValueError, match="testing split of .* is empty.*'training': 32"):
        SpeechCommands(corpus).load("testing")


def test_unreadable_clips_can_be_left_out(corpus):
    for name in ("yes/ann_nohash_0.wav", "no/dee_nohash_1.wav"):
        (corpus / name).write_bytes(b"")
    whole = SpeechCommands(corpus, skip_unreadable=True, silence=False)
    assert whole.load("testing").unreadable == ()
    split = whole.load("training")
    assert len(split.names) == len(split.labels) == len(split.audio) == len(split.recorded) == 14
    assert [message.split(": ")[0] for message in split.unreadable] == [
        str(corpus / "no/dee_nohash_1.wav"),
        str(corpus / "yes/ann_nohash_0.wav"),
    ]
    assert "yes/ann_nohash_0.wav" not in split.names
    for row, name in enumerate(split.names):
        assert whole.labels[split.labels[row]] == name.split("/")[0]
        clip = read_audio(corpus / name)
        np.testing.assert_array_equal(split.audio[row, :4000] / 32768.0, clip)


def test_leaving_out_unreadable_clips_is_not_the_default(corpus):
    (corpus / "yes/ann_nohash_0.wav").write_bytes(b"")
    with pytest.raises(AudioError, match=r"(?s)1 of 16 .*ann_nohash_0.wav.*skip_unreadable=True"):
        SpeechCommands(corpus).load("training")


def test_a_class_without_a_readable_clip_is_an_error(corpus):
    for path in (corpus / "yes").iterdir():
        path.write_bytes(b"")
    commands = SpeechCommands(corpus, skip_unreadable=True)
    with pytest.raises(AudioError, match=r"(?s)no clip can be used.*\n  yes.*ann_nohash_0.wav"):
        commands.load("training")


def test_real_recordings(recordings):
    commands = SpeechCommands(recordings / "english", unknown_words=["project"])
    assert commands.labels[:3] == ("_silence_", "_unknown_", "close")
    split = commands.load("validation")
    assert split.audio.shape == (320 + 28, 16000)
    assert len(commands.noise()) == 6
