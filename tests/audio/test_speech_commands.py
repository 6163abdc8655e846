import shutil

import numpy as np
import pytest

from swr_keras.audio import (
    GSC_KEYWORDS,
    AudioError,
    LogMel,
    SpeechCommands,
    evaluation_dataset,
    read_audio,
)
from swr_keras.audio.keyword_corpus import share

OTHER_WORDS = (
    "zero one two three four five six seven eight nine bed bird cat dog happy house marvin sheila "
    "tree wow backward forward follow learn visual"
).split()


@pytest.fixture
def archive(tmp_path, write):
    """The published archive in small: 35 words x 3 speakers, one for each split."""
    root = tmp_path / "speech_commands_v0.02"
    random = np.random.default_rng(0)
    for word in (*GSC_KEYWORDS, *OTHER_WORDS):
        for speaker in ("ann", "bo", "cy"):
            clip = random.uniform(-0.2, 0.2, 1600)
            write(root / word / f"{speaker}_nohash_0.wav", clip)
    write(root / "_background_noise_" / "pink_noise.wav", random.uniform(-0.2, 0.2, 40000))
    for place in (".", "_background_noise_"):
        (root / place / "README.md").write_text("Sources of the recordings.")
    (root / "LICENSE").write_text("CC BY 4.0")
    for file, speaker in (("validation_list.txt", "bo"), ("testing_list.txt", "cy")):
        words = (*GSC_KEYWORDS, *OTHER_WORDS)
        (root / file).write_text("".join(f"{word}/{speaker}_nohash_0.wav\n" for word in words))
    return root


@pytest.fixture
def official(tmp_path, write):
    """The published test set in small: 2 clips of each word, 4 of silence and of the unknown."""
    root = tmp_path / "speech_commands_test_set_v0.02"
    names = {label: [f"cy_nohash_{take}.wav" for take in range(2)] for label in GSC_KEYWORDS}
    names["_silence_"] = [f"{take}.wav" for take in range(4)]
    names["_unknown_"] = [f"{word}_cy_nohash_0.wav.wav" for word in OTHER_WORDS[:4]]
    random = np.random.default_rng(1)
    for label, files in names.items():
        for file in files:
            write(root / label / file, random.uniform(-0.2, 0.2, 16000))
    return root


def _benchmark(folder, **options):
    return SpeechCommands(folder, keywords=GSC_KEYWORDS, unknown_cap=0.1, **options)


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


def test_without_lists_the_names_of_the_words_in_use_must_tell_the_speaker(archive, write):
    write(archive / "zero" / "recording 7.wav")
    _benchmark(archive)
    for file in ("validation_list.txt", "testing_list.txt"):
        (archive / file).unlink()
    _benchmark(archive, unknown_words=["one"])
    with pytest.raises(ValueError, match=r"(?s)speaker.*\n  zero/recording 7.wav.*write the lists"):
        _benchmark(archive)


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


def test_published_archive_as_it_unpacks(archive):
    commands = _benchmark(archive)
    assert commands.labels == ("_silence_", "_unknown_", *GSC_KEYWORDS)
    assert len(SpeechCommands(archive).labels) == 36
    assert len(commands.noise()) == 1
    for split, speaker in (("training", "ann"), ("validation", "bo"), ("testing", "cy")):
        clips = commands.load(split)
        np.testing.assert_array_equal(np.bincount(clips.labels), np.ones(12))
        assert clips.names[-1] == "_silence_/0"
        assert {name.split("/")[1] for name in clips.names[:-1]} == {f"{speaker}_nohash_0.wav"}


@pytest.mark.parametrize(("keyword_clips", "others"), [(30769, 3077), (3703, 371), (4074, 408)])
def test_a_tenth_gives_the_counts_of_the_benchmark(keyword_clips, others):
    assert share(keyword_clips, 0.1) == others


def test_test_folder_is_the_testing_split(archive, official):
    commands = _benchmark(archive, test_folder=official)
    testing = commands.load("testing")
    labels = _labels_by_name(testing)
    assert len(labels) == 28
    assert labels == {
        path.relative_to(official).as_posix(): commands.labels.index(path.parent.name)
        for path in official.glob("*/*.wav")
    }
    assert testing.recorded.all()
    clip = read_audio(official / "_silence_" / "1.wav")
    row = testing.names.index("_silence_/1.wav")
    np.testing.assert_array_equal(testing.audio[row] / 32768.0, clip)


def test_test_folder_leaves_training_and_validation_alone(archive, official):
    plain, with_folder = _benchmark(archive), _benchmark(archive, test_folder=official)
    for split in ("training", "validation"):
        clips = with_folder.load(split)
        assert clips.names == plain.load(split).names
        assert not any("cy_nohash" in name for name in clips.names)
        assert clips.recorded.tolist() == [True] * 11 + [False]


def test_official_clips_are_evaluated_as_they_sound(archive, official, write):
    write(official / "_silence_" / "0.wav", np.zeros(16000))
    commands = _benchmark(archive, test_folder=official)
    testing = commands.load("testing")
    features = LogMel()
    dataset = evaluation_dataset(
        testing, commands.noise(), features, batch_size=28, silence_label=0
    )
    inputs, _ = next(dataset.as_numpy_iterator())
    expected = features(testing.audio / np.float32(32768))
    np.testing.assert_allclose(inputs, expected, atol=1e-4)


def test_test_folder_needs_every_class(archive, official):
    shutil.rmtree(official / "go")
    for path in (official / "up").iterdir():
        path.unlink()
    with pytest.raises(ValueError, match=r"without clips: \['go', 'up'\]"):
        _benchmark(archive, test_folder=official)


@pytest.mark.parametrize("label", ["_silence_", "_unknown_"])
def test_test_folder_needs_silence_and_unknown(archive, official, label):
    shutil.rmtree(official / label)
    with pytest.raises(ValueError, match=rf"without clips: \['{label}'\]"):
        _benchmark(archive, test_folder=official)


@pytest.mark.parametrize(
    ("options", "label"),
    [({"silence": False}, "_silence_"), ({"unknown_words": ()}, "_unknown_")],
)
def test_test_folder_with_a_class_that_is_not_asked(archive, official, options, label):
    with pytest.raises(ValueError, match=rf"no class: \['{label}'\]"):
        _benchmark(archive, test_folder=official, **options)


def test_test_folder_without_silence_and_unknown(archive, official):
    shutil.rmtree(official / "_silence_")
    shutil.rmtree(official / "_unknown_")
    commands = _benchmark(archive, test_folder=official, silence=False, unknown_words=())
    assert len(commands.load("testing").labels) == 20


def test_test_folder_with_words_of_no_class(archive, official):
    with pytest.raises(ValueError, match=r"no class: \['yes'\]"):
        SpeechCommands(archive, keywords=GSC_KEYWORDS[:-1], test_folder=official)


def test_test_folder_that_does_not_exist(archive, tmp_path):
    with pytest.raises(ValueError, match="nowhere is not a folder.*test_folder"):
        _benchmark(archive, test_folder=tmp_path / "nowhere")


@pytest.mark.parametrize(
    "name",
    ["yes/ann_nohash_0.wav", "_unknown_/bird_ann_nohash_0.wav.wav", "_unknown_/ann_nohash_0.wav"],
)
def test_test_folder_with_a_speaker_of_training(archive, official, write, name):
    write(official / name)
    with pytest.raises(ValueError, match=rf"ann: .*{name} \(testing\) and .*training"):
        _benchmark(archive, test_folder=official)


def test_longer_words_hide_no_speaker_of_the_test_folder(archive, official, write):
    (archive / "bird_song").mkdir()
    write(official / "_unknown_" / "bird_song_ann_nohash_0.wav.wav")
    with pytest.raises(ValueError, match=r"ann: .*bird_song_ann_nohash_0"):
        _benchmark(archive, test_folder=official)


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
