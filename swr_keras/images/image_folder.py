"""The images of a set on disk: `<set>/{train,test}/<class>/*`."""

import dataclasses
import math
import os
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np

from swr_keras.images.image_file import is_image_name
from swr_keras.images.known_sets import SetSize, differences
from swr_keras.messages import first_few, legible

_PARTS = ("train", "test")
_SHOWN = 3


@dataclasses.dataclass(frozen=True)
class ListedSet:
    """The files of a set.

    Attributes:
        labels: Class names: the sorted folders of `train`.
        train, test: The files of each class, sorted, in the order of `labels`.
        notes: What a reader of results must know of them.
    """

    labels: tuple[str, ...]
    train: tuple[tuple[Path, ...], ...]
    test: tuple[tuple[Path, ...], ...]
    notes: tuple[str, ...]


def list_set(folder: Path, *, pair_by_order: bool = False) -> ListedSet:
    """Lists a set of images; hidden files and folders are passed over.

    A set with the name of one of the benchmark's that has other numbers of images is noted, not
    refused: it may be a set of the user's own, or be meant as a part.

    Args:
        folder: Has `train` and `test`, which have a folder for each class.
        pair_by_order: Whether classes of `test` with other names than those of `train` are the
            same in sorted order.

    Raises:
        ValueError: If a folder is missing or isn't one, has no classes, a class has no images, or
            the classes of `train` and `test` aren't the same.
    """
    train, test = (_class_folders(folder, part) for part in _PARTS)
    paired = _pairs(folder, train, test, pair_by_order)
    train_files = tuple(map(_images, train.values()))
    test_files = tuple(map(_images, test.values()))
    files = {
        **{f"train/{label}": own for label, own in zip(train, train_files, strict=True)},
        **{f"test/{label}": own for label, own in zip(test, test_files, strict=True)},
    }
    empty = [name for name, own in files.items() if not own]
    if empty:
        raise ValueError(
            f"Classes without an image in '{legible(str(folder))}': {first_few(empty)}\n"
            "Add images, or remove the folders from train and test."
        )
    sizes = SetSize(len(train), sum(map(len, train_files)), sum(map(len, test_files)))
    notes = (
        paired,
        differences(folder.name, sizes),
        _not_used(folder, [*train.values(), *test.values()]),
        _leading_out(folder, [path for own in files.values() for path in own]),
    )
    return ListedSet(tuple(train), train_files, test_files, tuple(filter(None, notes)))


def hold_out(
    files: Sequence[Sequence[Path]], labels: Sequence[str], share: float, seed: int
) -> tuple[list[list[Path]], list[list[Path]]]:
    """Draws validation images, the same share of each class, rounded up.

    Args:
        files: Training images of each class.
        labels: Names of the classes.
        share: Share of each class, above 0 and up to a half.
        seed: Of the draw.

    Returns:
        The training and the validation images of each class, in the order of `files`.

    Raises:
        ValueError: If the share is out of range, or a class has a single image.
    """
    if not 0 < share <= 0.5:
        raise ValueError(
            "`validation_share` must be above 0 and at most 0.5: rates, epochs and policies are "
            f"chosen on validation images, never on the test's. Received: {share}."
        )
    single = [label for label, own in zip(labels, files, strict=True) if len(own) < 2]
    if single:
        raise ValueError(
            f"Classes with a single training image: {first_few(single)}\n"
            "Each needs another one, to validate on."
        )
    trained, validated = [], []
    for index, own in enumerate(files):
        count = math.ceil(round(share * len(own), 6))
        rows = set(np.random.default_rng([seed, index]).permutation(len(own))[:count].tolist())
        trained.append([path for row, path in enumerate(own) if row not in rows])
        validated.append([path for row, path in enumerate(own) if row in rows])
    return trained, validated


def _class_folders(folder: Path, part: str) -> dict[str, Path]:
    """Returns the folders of the classes by their names, in the order of these."""
    where = folder / part
    name = legible(str(where))
    if not where.is_dir():
        what = "is a file" if where.exists() else "doesn't exist"
        raise ValueError(
            f"'{name}' {what}. A set of images has the folders `train` and `test`, and in each of "
            "them a folder for each class."
        )
    classes: dict[str, Path] = {}
    for path in filter(Path.is_dir, _visible(where)):
        label = unicodedata.normalize("NFC", legible(path.name))
        if label in classes:
            raise ValueError(f"'{name}' has two folders named '{label}'. Join them.")
        classes[label] = path
    if len(classes) < 2:
        raise ValueError(
            f"'{name}' has {len(classes)} folders of classes, expected at least 2. Put the images "
            "of each class into a folder of their own."
        )
    return dict(sorted(classes.items()))


def _pairs(
    folder: Path, train: Mapping[str, Path], test: Mapping[str, Path], by_order: bool
) -> str | None:
    """Returns what to say of classes that are paired by their order, `None` if all names agree."""
    if train.keys() == test.keys():
        return None
    if not by_order or len(train) != len(test):
        lacking = (
            f"{part}/{label}"
            for part, classes, others in (("train", train, test), ("test", test, train))
            for label in classes
            if label not in others
        )
        raise ValueError(
            f"Train and test of '{legible(str(folder))}' have other classes ({len(train)} and "
            f"{len(test)}); in one of them alone: {first_few(lacking)}\nRename the folders. If "
            "they are the same classes in sorted order, pass pair_by_order=True."
        )
    pairs = [f"{one} = {other}" for one, other in zip(train, test, strict=True)]
    return f"Classes of train and test are paired in sorted order: {', '.join(pairs[:_SHOWN])}, ..."


def _images(folder: Path) -> tuple[Path, ...]:
    return tuple(sorted(filter(is_image_name, _visible(folder))))


def _visible(folder: Path) -> list[Path]:
    try:
        return [path for path in folder.iterdir() if not path.name.startswith(".")]
    except OSError as error:
        raise ValueError(f"'{legible(str(folder))}' can't be read ({error.strerror}).") from error


def _not_used(folder: Path, classes: Iterable[Path]) -> str | None:
    beside = (path for part in _PARTS for path in _visible(folder / part) if not path.is_dir())
    within = (path for own in classes for path in _visible(own) if not is_image_name(path))
    return _note(
        "Not used, for they aren't image files in the folder of a class", folder, [*beside, *within]
    )


def _leading_out(folder: Path, images: Iterable[Path]) -> str | None:
    home = _real(folder)
    folders = {path.parent: _real(path.parent) for path in images}
    out = [
        path
        for path in images
        if path.is_symlink() or not folders[path.parent].is_relative_to(home)
        if not _real(path).is_relative_to(home)
    ]
    return _note("Used, though they are links out of the folder", folder, out)


def _real(path: Path) -> Path:
    return Path(os.path.realpath(path))  # `Path.resolve` raises where links go round in a circle.


def _note(what: str, folder: Path, paths: Sequence[Path]) -> str | None:
    if not paths:
        return None
    named = ", ".join(legible(str(path.relative_to(folder))) for path in sorted(paths)[:_SHOWN])
    more = f" and {len(paths) - _SHOWN:,} more" if len(paths) > _SHOWN else ""
    return f"{what}: {named}{more}."
