import os
import shutil

import pytest
from PIL import Image

from swr_keras.images import KNOWN_SETS, ImageError, View, load_task
from swr_keras.images.image_folder import hold_out, list_set
from swr_keras.images.known_sets import SetSize, differences
from swr_keras.images.transform import Transform

VIEW = View(Transform(8, 8))


def load(folder, **options):
    return load_task(folder, view=VIEW, **options)


def remove(name):
    return lambda folder: shutil.rmtree(folder / name)


def replace_by_file(name):
    def change(folder):
        shutil.rmtree(folder / name)
        (folder / name).write_bytes(b"x")

    return change


def keep_one(name):
    def change(folder):
        for path in sorted((folder / name).iterdir())[1:]:
            path.unlink()

    return change


def empty(name):
    def change(folder):
        for path in (folder / name).iterdir():
            path.unlink()

    return change


def rename(name, other):
    return lambda folder: (folder / name).rename(folder / other)


WRONG = {
    "no test": (remove("test"), "things/test' doesn't exist"),
    "test is a file": (replace_by_file("test"), "things/test' is a file"),
    "no classes": (lambda folder: [remove(f"train/{c}")(folder) for c in ("bird", "car", "tree")],
                   "things/train' has 0 folders of classes"),
    "a class is a file": (replace_by_file("train/car"), r"other classes \(2 and 3\).*\n  test/car"),
    "a class is missing": (remove("test/car"), r"in one of them alone: \n  train/car"),
    "a class is called otherwise": (
        rename("test/car", "test/cars"), r"\n  train/car\n  test/cars\n.*pair_by_order=True"),
    "a class is empty": (empty("test/car"), r"without an image .*\n  test/car"),
    "a class has one image": (keep_one("train/car"), "single training image: \n  car"),
}  # fmt: skip


@pytest.mark.parametrize("case", WRONG)
def test_what_is_wrong_with_a_set_is_named(folder, case):
    change, reason = WRONG[case]
    change(folder)
    with pytest.raises(ValueError, match=f"(?s){reason}"):
        load(folder)


def test_a_set_that_is_no_folder_is_named(tmp_path):
    with pytest.raises(ValueError, match="nowhere/train' doesn't exist"):
        load(tmp_path / "nowhere")


@pytest.mark.parametrize("share", [0, -0.1, 0.6, float("nan")])
def test_validation_needs_a_share(folder, share):
    with pytest.raises(ValueError, match="validation_share.*Received"):
        load(folder, validation_share=share)


def test_labels_are_the_sorted_folders(folder):
    task = load(folder)
    assert task.labels == ("bird", "car", "tree")
    assert task.num_classes == 3
    for split, images in task.splits.items():
        part = "test" if split == "testing" else "train"
        for name, label in zip(images.names, images.labels, strict=True):
            assert name.startswith(f"{part}/{task.labels[label]}/")


@pytest.mark.parametrize(("images", "share", "held"), [
    (14, 0.1, 2), (10, 0.1, 1), (600, 0.1, 60), (2, 0.1, 1), (2, 0.5, 1), (7, 0.5, 4),
])  # fmt: skip
def test_a_share_of_each_class_validates(tmp_path, images, share, held):
    files = [[tmp_path / f"{label}{number:03}" for number in range(images)] for label in "ab"]
    trained, validated = hold_out(files, "ab", share, 0)
    assert [len(own) for own in validated] == [held, held]
    for before, *after in zip(files, trained, validated, strict=True):
        assert sorted(path for part in after for path in part) == sorted(before)
        assert all(part == sorted(part) for part in after)


def test_the_seed_draws_the_validation_images(folder):
    drawn = {
        seed: load(folder, validation_share=0.5, split_seed=seed).splits["validation"].names
        for seed in (0, 1)
    }
    assert drawn[0] != drawn[1]
    assert load(folder, validation_share=0.5).splits["validation"].names == drawn[0]


def test_classes_of_other_names_are_paired_on_request(folder):
    for name in ("bird", "car", "tree"):
        rename(f"test/{name}", f"test/{name}_T")(folder)
    with pytest.raises(ValueError, match="pair_by_order=True"):
        load(folder)
    task = load(folder, pair_by_order=True)
    assert task.labels == ("bird", "car", "tree")
    assert any("paired in sorted order: bird = bird_T" in note for note in task.notes)
    remove("test/car_T")(folder)
    with pytest.raises(ValueError, match=r"other classes \(3 and 2\)"):
        load(folder, pair_by_order=True)


def test_pairing_is_not_mentioned_where_names_agree(folder):
    assert load(folder, pair_by_order=True).notes == ()


def test_hidden_files_are_passed_over(folder):
    (folder / "train" / ".cache").mkdir()
    (folder / "train" / ".DS_Store").write_bytes(b"x")
    (folder / "train" / "car" / "._0.png").write_bytes(b"x")
    assert load(folder).notes == ()


def test_what_is_not_used_is_noted(folder):
    (folder / "train" / "0.png").write_bytes(b"x")
    (folder / "train" / "car" / "Thumbs.db").write_bytes(b"x")
    (folder / "test" / "car" / "more").mkdir()
    (note,) = load(folder).notes
    assert note.startswith("Not used")
    assert note.endswith("test/car/more, train/0.png, train/car/Thumbs.db.")
    (folder / "test" / "car" / "notes.txt").write_bytes(b"x")
    assert load(folder).notes[0].endswith("train/0.png and 1 more.")


def test_links_out_of_the_folder_are_used_and_noted(folder, tmp_path):
    outside = tmp_path / "outside.png"
    (folder / "train" / "car" / "0.png").rename(outside)
    (folder / "train" / "car" / "0.png").symlink_to(outside)
    (folder / "train" / "car" / "new.png").symlink_to(folder / "train" / "car" / "1.png")
    (folder / "test" / "tree").rename(tmp_path / "tree")
    (folder / "test" / "tree").symlink_to(tmp_path / "tree")
    task = load(folder)
    assert task.examples == {"training": 22, "validation": 3, "testing": 12}
    (note,) = task.notes
    assert note.startswith("Used, though they are links out of the folder: test/tree/0.png")
    assert note.endswith("and 2 more.")


@pytest.mark.parametrize("target", ["new.png", "nowhere.png", "/dev/zero", "..", "../../../test"])
def test_a_link_to_no_image_is_named_and_left_out_on_request(target, folder):
    (folder / "train" / "car" / "new.png").symlink_to(target)
    with pytest.raises(ImageError, match=r"1 images can't be used: \n  .*train/car/new.png"):
        load(folder)
    assert "new.png" in load(folder, skip_unreadable=True).notes[-1]


def test_a_link_to_the_set_is_the_set(folder, tmp_path):
    (tmp_path / "link").symlink_to(folder)
    assert load(tmp_path / "link").notes == ()


@pytest.fixture
def damaged(folder):
    (folder / "train" / "car" / "2.png").write_bytes(b"")
    (folder / "test" / "car" / "2.png").write_bytes(b"no image")
    os.mkfifo(folder / "test" / "tree" / "pipe.png")
    return folder


def test_images_that_cant_be_used_are_named_at_once(damaged):
    with pytest.raises(ImageError, match="(?s)3 images can't be used.*skip_unreadable") as caught:
        load(damaged)
    for name in ("train/car/2.png", "test/car/2.png", "test/tree/pipe.png"):
        assert name in str(caught.value)


@pytest.mark.parametrize("most_bytes", [2**30, 0])
def test_and_left_out_on_request(damaged, most_bytes):
    task = load(damaged, skip_unreadable=True, most_bytes=most_bytes)
    assert sum(task.examples.values()) == 24 + 12 - 2
    assert sum(note.startswith("Left out of ") for note in task.notes) == 3
    seen = [len(labels) for _, labels in task.testing().as_numpy_iterator()]
    assert sum(seen) == task.examples["testing"] == 11


def test_a_class_without_a_usable_image_is_named(folder):
    for path in (folder / "test" / "car").iterdir():
        path.write_bytes(b"")
    with pytest.raises(ImageError, match=r"no image can be used: \n  car \(testing\)"):
        load(folder, skip_unreadable=True)


def test_test_images_that_are_trained_on_are_noted(folder):
    shutil.copy(folder / "train" / "car" / "3.png", folder / "test" / "car" / "9.png")
    (note,) = load(folder).notes
    assert note == (
        "1 of 13 test images are training images, too, such as test/car/9.png = train/car/3.png."
    )


def test_a_known_set_has_known_numbers(tmp_path, write):
    (note,) = load(write(tmp_path / "flowers")).notes
    assert "99 classes fewer (3 of 102)" in note
    assert "2,016 training images fewer (24 of 2,040)" in note
    assert "6,137 test images fewer (12 of 6,149)" in note


@pytest.mark.parametrize("name", KNOWN_SETS)
def test_a_complete_known_set_needs_no_note(name):
    assert differences(name, KNOWN_SETS[name]) is None
    assert "1 test images more" in differences(name, KNOWN_SETS[name]._replace(
        test=KNOWN_SETS[name].test + 1))  # fmt: skip
    assert differences("mine", SetSize(3, 24, 12)) is None


def test_names_that_are_not_utf_8_can_be_printed(folder):
    os.rename(os.fsencode(folder / "train" / "car"), os.fsencode(folder / "train") + b"/caf\xe9")
    os.rename(os.fsencode(folder / "test" / "car"), os.fsencode(folder / "test") + b"/caf\xe9")
    task = load(folder)
    assert task.labels == ("bird", r"caf\xe9", "tree")
    assert rb"train/caf\xe9/0.png" in "\n".join(task.splits["training"].names).encode()


def test_classes_match_in_decomposed_unicode(folder):
    rename("train/car", "train/Gru\u0308n")(folder)
    rename("test/car", "test/Gr\u00fcn")(folder)
    assert list_set(folder).labels == ("Gr\u00fcn", "bird", "tree")


def test_two_folders_of_one_name_are_named(folder):
    for name in ("Gru\u0308n", "Gr\u00fcn"):
        shutil.copytree(folder / "train" / "car", folder / "train" / name)
    with pytest.raises(ValueError, match="two folders named"):
        list_set(folder)


def test_an_image_by_any_known_suffix_is_read(folder):
    image = Image.new("RGB", (9, 9))
    for suffix in ("JPG", "jpeg", "webp", "tif", "bmp", "gif", "ppm"):
        image.save(folder / "test" / "car" / f"x.{suffix}")
    assert load(folder).examples["testing"] == 19
