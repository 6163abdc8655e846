import dataclasses
import pathlib
import shutil

import numpy as np
import pytest
import soundfile

from swr_keras.audio.keyword_task import combine, own_names
from swr_keras.audio.splits import speaker_of
from swr_keras.recipes.kws_corpora import load_base_tasks, load_tasks
from swr_keras.recipes.kws_settings import KwsSettings
from swr_keras.recipes.setting_flags import parse


def load(folders, *arguments):
    settings = parse(KwsSettings, ["kws", f"--data_dir={','.join(folders)}", *arguments])
    return load_tasks(settings.corpora, settings.hearing, settings.seed)


@pytest.fixture
def folders(tmp_path, write_corpus):
    return [
        str(write_corpus(tmp_path / "english", ["yes", "no", "dog"])),
        str(write_corpus(tmp_path / "mandarin", ["shi", "no"])),
    ]


def test_words_are_chosen_over_all_folders(folders):
    english, mandarin = load(folders, "--unknown_words=dog")
    assert english.labels == ("_silence_", "_unknown_", "no", "yes")
    assert mandarin.labels == ("_silence_", "no", "shi")
    english, mandarin = load(folders, "--keywords=yes,shi")
    assert english.labels == ("_silence_", "_unknown_", "yes")
    assert mandarin.labels == ("_silence_", "_unknown_", "shi")


def test_combined_task_shares_classes_of_one_name(folders):
    tasks = load(folders, "--unknown_words=dog")
    both = combine(tasks, tasks[0].hearing)
    assert both.labels == ("_silence_", "_unknown_", "no", "yes", "shi")
    for split in both.splits:
        parts = [task.splits[split] for task in tasks]
        assert len(both.splits[split].labels) == sum(len(part.labels) for part in parts)
        for name, label in zip(both.splits[split].names, both.splits[split].labels, strict=True):
            word = {"dog": "_unknown_"}.get(name.split("/")[1], name.split("/")[1])
            assert both.labels[label] == word


def test_unknown_and_silence_can_be_kept_apart(folders):
    tasks = load(folders, "--unknown_words=dog")
    both = combine(tasks, tasks[0].hearing, share_unknown=False)
    assert both.labels == (
        *("_silence_english", "_unknown_english", "_silence_mandarin"),
        *("no", "yes", "shi"),
    )
    assert both.silence_labels == (0, 2)
    silent = ~both.splits["training"].recorded
    assert set(both.splits["training"].labels[silent]) == {0, 2}


@pytest.mark.parametrize("share_unknown", [True, False])
def test_a_combined_base_is_judged_by_the_names_of_the_task(folders, share_unknown):
    tasks = load(folders, "--unknown_words=dog")
    both = combine(tasks, tasks[0].hearing, share_unknown=share_unknown)
    names = own_names(tasks[0].name, both.labels)
    assert [label for label in names if label in tasks[0].labels] == [
        *("_silence_", "_unknown_", "no", "yes")
    ]


def test_mixed_validation_has_the_same_clips_and_mixes_the_classes(folders):
    task = load(folders, "--unknown_words=dog", "--nosilence")[0]
    ordered, mixed = (
        next(dataset.as_numpy_iterator())
        for dataset in (task.validation(), task.validation(mixed=True))
    )

    def clips(features, labels):
        return sorted((clip.tobytes(), label) for clip, label in zip(features, labels, strict=True))

    assert clips(*ordered) == clips(*mixed)
    assert np.count_nonzero(np.diff(mixed[1])) > np.count_nonzero(np.diff(ordered[1]))


def test_a_task_is_not_called_as_the_base(tmp_path, write_corpus):
    folder = write_corpus(tmp_path / "base", ["yes"])
    with pytest.raises(ValueError, match="is what the base is called"):
        load([str(folder)])


def test_folders_that_would_not_be_used_are_refused(folders, tmp_path):
    with pytest.raises(ValueError, match="entry for each of the 2 folders"):
        load(folders, "--test_dir=somewhere")
    with pytest.raises(ValueError, match="into <folder>/_background_noise_/"):
        load(folders, "--noise_dir=somewhere")
    magichub = tmp_path / "mc_kws"
    magichub.mkdir()
    (magichub / "UTTRANSINFO.txt").touch()
    with pytest.raises(ValueError, match="speakers of its own"):
        load([*folders, str(magichub)], "--test_dir=,,somewhere")


def test_the_digest_tells_recordings_and_conditions_apart(folders):
    first, second = load(folders)
    again = load(folders)[0]
    assert first.digest() == again.digest()
    others = [
        second,
        *(load(folders, flag)[0] for flag in ("--features=mfcc", "--test_snr_db=0,5")),
    ]
    assert len({first.digest(), *(task.digest() for task in others)}) == 4


def test_long_recordings_are_a_choice(folders):
    name = "yes/00000005_nohash_0.wav"
    soundfile.write(f"{folders[0]}/{name}", np.sin(np.arange(48000)) / 2, 16000)
    with pytest.raises(ValueError, match=name):
        load(folders[:1])
    training = load(folders[:1], "--long_clips=loudest")[0].splits["training"]
    assert name in training.names


def test_a_split_by_take_is_told(tmp_path, write_corpus):
    folder = write_corpus(tmp_path / "own", ["yes", "no"], speakers=1, takes=10)
    for path in folder.glob("*_list.txt"):
        path.unlink()
    with pytest.raises(ValueError, match="one speaker"):
        load([str(folder)])
    task = load([str(folder)], "--split_by=take")[0]
    assert list(task.splits) == ["training", "validation", "testing"]
    assert "same speakers are in training and test" in task.notes[0]


def test_of_copies_in_two_splits_the_one_of_training_is_left_out(folders):
    source, copy = "yes/00000002_nohash_0.wav", "yes/00000005_nohash_0.wav"
    shutil.copy(f"{folders[0]}/{source}", f"{folders[0]}/{copy}")
    with pytest.raises(ValueError, match="same audio"):
        load(folders[:1])
    splits = load(folders[:1], "--skip_unreadable")[0].splits
    assert copy not in splits["training"].names
    assert source in splits["testing"].names


def test_words_match_in_any_form_of_unicode(tmp_path, write_corpus):
    folder = write_corpus(tmp_path / "german", ["o\u0308ffnen", "zu"])
    task = load([str(folder)], "--keywords=\u00f6ffnen", "--unknown_words=zu")[0]
    assert len(task.labels) == 3


def test_the_front_end_is_warmed_up_on_request(folders):
    pytest.importorskip("pymicro_features")
    options = ("--features=micro_frontend", "--warm_up_seconds=1")
    warm, fresh = load(folders, *options)[0], load(folders, options[0])[0]
    assert warm.input_shape == fresh.input_shape
    assert warm.front_end.warm_up_seconds == 1
    assert fresh.front_end.warm_up_seconds == 0
    assert warm.digest() != fresh.digest()
    with pytest.raises(ValueError, match="warm_up_seconds.*micro_frontend.*log_mel"):
        load(folders, "--features=log_mel", options[1])


def test_a_base_may_have_folders_of_its_own(folders):
    arguments = ["--unknown_words=dog", f"--base_data_dir={folders[0]}"]
    settings = parse(KwsSettings, ["kws", f"--data_dir={folders[1]}", *arguments])
    (task,) = load_tasks(settings.corpora, settings.hearing, settings.seed)
    (base,) = load_base_tasks(settings.corpora, [task], settings.hearing, settings.seed)
    assert (task.name, base.name) == ("mandarin", "english")
    assert base.labels == ("_silence_", "_unknown_", "no", "yes")
    assert load_base_tasks(
        dataclasses.replace(settings.corpora, base_data_dir=None), [task], settings.hearing, 0
    ) == [task]
    with pytest.raises(ValueError, match=r"no folder has: \['cat'\]"):
        load([folders[1]], "--unknown_words=cat", f"--base_data_dir={folders[0]}")


def test_folds_are_the_same_in_every_folder(folders):
    english, mandarin = load(folders, "--unknown_words=dog", "--folds=3", "--fold=1")

    def speakers(task):
        names = task.splits["testing"].names
        return {speaker_of(name) for name in names} - {None}

    assert speakers(english) == speakers(mandarin) != set()
    for flags in (["--fold=1"], ["--folds=3", "--fold=3"]):
        with pytest.raises(ValueError, match="fold"):
            load(folders, *flags)


def test_the_test_alone_hears_the_end_of_each_noise(folders):
    task = load(folders[:1], "--unknown_words=dog", "--held_out_noise=0.5", "--test_snr_db=0,0")[0]
    heard, held_out = task.noise_parts
    for whole, first, rest in zip(task.noise, heard, held_out, strict=True):
        np.testing.assert_array_equal(np.concatenate([first, rest]), whole)
        assert len(rest) == len(whole) / 2
    before = [features for features, _ in task.testing().as_numpy_iterator()]
    louder = dataclasses.replace(task, noise=tuple(2 * first for first in task.noise))
    after = [features for features, _ in louder.testing().as_numpy_iterator()]
    assert task.digest() != louder.digest()
    assert len(before) == len(after)
    with pytest.raises(ValueError, match="below 1"):
        load(folders[:1], "--held_out_noise=1")


def test_noise_that_was_never_heard_is_a_further_condition(folders, tmp_path):
    noises = tmp_path / "noises"
    noises.mkdir()
    with pytest.raises(ValueError, match="no recordings of noise"):
        load_with_noise(folders[0], noises)
    sound = np.random.default_rng(0).normal(size=32_000) * 0.1
    soundfile.write(noises / "rain.wav", sound, 16_000)
    task = load_with_noise(folders[0], noises)
    assert list(task.conditions()) == ["unheard noise"]
    features, labels = next(task.conditions()["unheard noise"].as_numpy_iterator())
    known, same = next(task.testing().as_numpy_iterator())
    np.testing.assert_array_equal(labels, same)
    assert np.any(features != known)
    assert load([folders[0]])[0].conditions() == {}


def load_with_noise(folder, noises):
    flags = [f"--data_dir={folder}", "--test_snr_db=0,0", f"--unheard_noise_dir={noises}"]
    settings = parse(KwsSettings, ["kws", *flags])
    noise_dir = settings.noise.unheard_noise_dir
    return load_tasks(settings.corpora, settings.hearing, settings.seed, noise_dir)[0]


def test_folds_go_before_the_lists_of_a_folder(folders):
    before = load(folders[:1], "--unknown_words=dog", "--folds=3", "--fold=1")[0]
    recorded = [name for name in before.splits["training"].names if "_nohash_" in name]
    for split, names in (("validation", recorded[::2]), ("testing", recorded[1::2])):
        (pathlib.Path(folders[0]) / f"{split}_list.txt").write_text("\n".join(names))
    after = load(folders[:1], "--unknown_words=dog", "--folds=3", "--fold=1")[0]
    assert {s: part.names for s, part in after.splits.items()} == {
        s: part.names for s, part in before.splits.items()
    }
