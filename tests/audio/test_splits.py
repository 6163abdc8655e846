import hashlib
from collections import Counter

import pytest

from swr_keras.audio.splits import (
    Fold,
    assign_splits,
    check_speakers,
    fold_speakers,
    hashed_split,
    split_speakers,
    split_takes,
)


def _published_rule(file_name: str) -> str:
    speaker = file_name.split("_nohash_")[0]
    number = int.from_bytes(hashlib.sha1(speaker.encode("utf-8")).digest(), "big")
    percentage = (number & 0x7FFFFFF) * (100.0 / 0x7FFFFFF)
    return "validation" if percentage < 10 else "testing" if percentage < 20 else "training"


def test_hash_rule_agrees_with_an_independent_one():
    names = [f"{speaker:08x}_nohash_{speaker % 3}.wav" for speaker in range(2000)]
    assert [hashed_split(f"yes/{name}") for name in names] == [_published_rule(n) for n in names]


def test_hash_rule_gives_ten_percent_each():
    splits = [hashed_split(f"yes/{speaker}_nohash_0.wav") for speaker in range(5000)]
    assert 0.08 < splits.count("validation") / 5000 < 0.12
    assert 0.08 < splits.count("testing") / 5000 < 0.12


def test_hash_rule_ignores_word_and_take():
    splits = {hashed_split(f"{word}/abc_nohash_{take}.flac") for word in "xy" for take in range(9)}
    assert len(splits) == 1


def test_hash_rule_serves_where_no_list_exists(tmp_path):
    names = {f"yes/{speaker}_nohash_0.wav" for speaker in range(100)}
    assert assign_splits(tmp_path, names) == {name: hashed_split(name) for name in names}


def test_hash_rule_needs_names_that_tell_the_speaker(tmp_path):
    names = {"yes/ann_nohash_0.wav", "yes/recording 7.wav"}
    with pytest.raises(ValueError, match=r"don't tell.*\n  yes/recording 7.wav\n.*1 of 1") as error:
        assign_splits(tmp_path, names)
    assert "<speaker>_nohash_<n>.wav, write the lists" in str(error.value)
    for file in ("validation_list.txt", "testing_list.txt"):
        (tmp_path / file).write_text("")
    assert assign_splits(tmp_path, names) == dict.fromkeys(names, "training")


def test_lists_decide_and_training_is_the_rest(tmp_path):
    (tmp_path / "validation_list.txt").write_bytes(b"\xef\xbb\xbfyes/a_nohash_0.wav\r\n\r\n")
    (tmp_path / "testing_list.txt").write_text("yes/b_nohash_0.wav\n")
    splits = assign_splits(tmp_path, {f"yes/{speaker}_nohash_0.wav" for speaker in "abc"})
    assert splits == {
        "yes/a_nohash_0.wav": "validation",
        "yes/b_nohash_0.wav": "testing",
        "yes/c_nohash_0.wav": "training",
    }


def test_one_list_alone_is_an_error(tmp_path):
    (tmp_path / "testing_list.txt").write_text("yes/b_nohash_0.wav\n")
    with pytest.raises(ValueError, match="holds only testing_list.txt of"):
        assign_splits(tmp_path, {"yes/b_nohash_0.wav"})


def test_listed_files_must_exist(tmp_path):
    (tmp_path / "validation_list.txt").write_text("".join(f"yes/gone{i}.wav\n" for i in range(7)))
    (tmp_path / "testing_list.txt").write_text("")
    with pytest.raises(ValueError, match="validation_list.txt names files") as error:
        assign_splits(tmp_path, {"yes/a.wav"})
    assert "yes/gone4.wav" in str(error.value)
    assert "yes/gone5.wav" not in str(error.value)
    assert "5 of 7 shown" in str(error.value)


def test_a_file_in_both_lists_is_an_error(tmp_path):
    for file in ("validation_list.txt", "testing_list.txt"):
        (tmp_path / file).write_text("yes/a_nohash_0.wav\n")
    with pytest.raises(ValueError, match=r"both lists.*\n.*yes/a_nohash_0.wav"):
        assign_splits(tmp_path, {"yes/a_nohash_0.wav"})


def test_a_speaker_in_two_splits_is_named_with_two_files():
    splits = {"yes/ann_nohash_0.wav": "training", "no/ann_nohash_1.wav": "testing"}
    with pytest.raises(ValueError, match="Speakers in two splits") as error:
        check_speakers(splits)
    assert "ann: no/ann_nohash_1.wav (testing) and yes/ann_nohash_0.wav (training)" in str(
        error.value
    )


def test_files_without_a_speaker_are_not_compared():
    check_speakers({"yes/one.wav": "training", "no/one.wav": "testing"})


@pytest.mark.parametrize(
    ("speakers", "counts"), [(37, [25, 6, 6]), (3, [1, 1, 1]), (10, [6, 2, 2]), (74, [50, 12, 12])]
)
def test_speakers_are_split_as_in_the_paper(speakers, counts):
    splits = split_speakers([f"G{speaker:04}" for speaker in range(speakers)], seed=0)
    found = list(splits.values())
    assert [found.count(split) for split in ("training", "validation", "testing")] == counts


def test_the_draw_of_speakers_follows_the_seed_alone():
    speakers = [f"G{speaker:04}" for speaker in range(37)]
    splits = split_speakers(speakers, seed=3)
    assert split_speakers(reversed(speakers * 2), seed=3) == splits
    assert split_speakers(speakers, seed=4) != splits


def test_every_split_needs_a_speaker():
    with pytest.raises(ValueError, match=r"Received: 2 speakers, \['a', 'b'\]"):
        split_speakers(["b", "a"], seed=0)


@pytest.mark.parametrize(
    "entry", ["./öffnen/bo_nohash_0.wav", "öffnen\\bo_nohash_0.wav", "o\u0308ffnen/bo_nohash_0.wav"]
)
def test_lists_may_write_a_name_in_another_form(tmp_path, entry):
    (tmp_path / "validation_list.txt").write_text(f"{entry}\n", encoding="utf-8")
    (tmp_path / "testing_list.txt").write_text("öffnen/cy_nohash_0.wav\n", encoding="utf-8")
    names = [f"öffnen/{speaker}_nohash_0.wav" for speaker in ("ann", "bo", "cy")]
    assert assign_splits(tmp_path, names) == dict(
        zip(names, ("training", "validation", "testing"), strict=True)
    )


@pytest.mark.parametrize(
    ("takes", "held_out"), [(1, 0), (2, 0), (3, 1), (9, 1), (14, 1), (20, 2), (100, 10)]
)
def test_takes_are_split_word_by_word(takes, held_out):
    names = [f"{word}/me_nohash_{take}.wav" for word in ("yes", "no") for take in range(takes)]
    splits = split_takes(names)
    assert splits.keys() == set(names)
    assert splits == split_takes(reversed(names))
    for word in ("yes", "no"):
        counts = Counter(split for name, split in splits.items() if name.startswith(f"{word}/"))
        assert counts["validation"] == counts["testing"] == held_out
        assert counts["training"] == takes - 2 * held_out


def test_lists_go_before_takes(tmp_path):
    names = [f"yes/me_nohash_{take}.wav" for take in range(20)]
    (tmp_path / "validation_list.txt").write_text(names[3])
    (tmp_path / "testing_list.txt").write_text("")
    splits = assign_splits(tmp_path, names, split_by="take")
    assert [name for name, split in splits.items() if split != "training"] == [names[3]]


@pytest.mark.parametrize(("speakers", "count"), [(26, 6), (26, 26), (3, 3), (10, 4)])
def test_each_speaker_tests_in_one_fold_and_validates_in_one(speakers, count):
    names = [f"speaker{number}" for number in range(speakers)]
    folds = [fold_speakers(names, Fold(index, count)) for index in range(count)]
    for split in ("testing", "validation"):
        held_out = Counter(name for fold in folds for name in names if fold[name] == split)
        assert held_out == Counter(names)
    sizes = [list(fold.values()).count("testing") for fold in folds]
    assert max(sizes) - min(sizes) <= 1
    assert fold_speakers(reversed(names), Fold(0, count)) == folds[0]


def test_a_fold_goes_before_lists_and_needs_speakers(tmp_path):
    names = [f"{word}/{speaker}_nohash_0.wav" for word in "ab" for speaker in range(6)]
    (tmp_path / "testing_list.txt").write_text(names[0])
    splits = assign_splits(tmp_path, names, fold=Fold(1, 3))
    check_speakers(splits)
    assert Counter(splits.values()) == {"training": 4, "validation": 4, "testing": 4}
    with pytest.raises(ValueError, match=r"don't tell: \n  a/x.wav"):
        assign_splits(tmp_path, [*names, "a/x.wav"], fold=Fold(1, 3))
    with pytest.raises(ValueError, match="Each of 7 folds needs.*Received: 6 speakers"):
        assign_splits(tmp_path, names, fold=Fold(1, 7))


@pytest.mark.parametrize(("index", "count"), [(0, 2), (-1, 3), (3, 3)])
def test_a_fold_is_one_of_three_or_more(index, count):
    with pytest.raises(ValueError, match=f"Received: fold {index} of {count}"):
        Fold(index, count)
