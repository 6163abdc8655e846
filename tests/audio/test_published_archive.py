import shutil

import numpy as np
import pytest

from swr_keras.audio import GSC_KEYWORDS, LogMel, SpeechCommands, evaluation_dataset, read_audio
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


def test_without_lists_the_names_of_the_words_in_use_must_tell_the_speaker(archive, write):
    write(archive / "zero" / "recording 7.wav")
    _benchmark(archive)
    for file in ("validation_list.txt", "testing_list.txt"):
        (archive / file).unlink()
    _benchmark(archive, unknown_words=["one"])
    with pytest.raises(ValueError, match=r"(?s)speaker.*\n  zero/recording 7.wav.*write the lists"):
        _benchmark(archive)


def test_test_folder_is_the_testing_split(archive, official):
    commands = _benchmark(archive, test_folder=official)
    testing = commands.load("testing")
    labels = dict(zip(testing.names, testing.labels.tolist(), strict=True))
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
