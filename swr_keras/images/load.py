"""From a folder of images to a task."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from swr_keras.images.image_file import ImageError
from swr_keras.images.image_folder import hold_out, list_set
from swr_keras.images.image_task import Images, ImageTask
from swr_keras.images.pixels import read_pixels
from swr_keras.images.transform import Transform
from swr_keras.images.view import View, benchmark_view
from swr_keras.messages import first_few, legible

_MOST_BYTES = 2**30


def load_task(
    folder: str | os.PathLike[str],
    name: str | None = None,
    *,
    view: View | None = None,
    validation_share: float = 0.1,
    split_seed: int = 0,
    pair_by_order: bool = False,
    skip_unreadable: bool = False,
    most_bytes: int = _MOST_BYTES,
) -> ImageTask:
    """Loads a set of images in the layout of ImageNet-to-Sketch, `<set>/{train,test}/<class>/*`.

    Every file is decoded once, so that a bad one is named before anything is trained. Where the
    scaled images fit into memory, they stay there; where not, they are decoded each epoch.

    Args:
        folder: Folder of the set.
        name: Name of the task, `split_task.BASE` for one that a base is trained on; `None` for the
            folder's.
        view: How images become inputs; `None` for the benchmark's at 224 x 224.
        validation_share: Share of the training images of each class, rounded up, that selects
            instead of training: the test images must not.
        split_seed: Of the draw of these.
        pair_by_order: See `list_set`.
        skip_unreadable: Leave out the images that can't be used.
        most_bytes: Memory that the images of a split may take.

    Raises:
        ImageError: If some images can't be used (one error names the first five and their number),
            or, with `skip_unreadable`, all of a class in a split.
        ValueError: See `list_set` and `hold_out`.
    """
    folder = Path(folder).absolute()
    view = view or benchmark_view(folder.name)
    listed = list_set(folder, pair_by_order=pair_by_order)
    training, validation = hold_out(listed.train, listed.labels, validation_share, split_seed)
    splits = {
        split: _read(folder, files, listed.labels, view.transform, most_bytes)
        for split, files in (
            ("training", training),
            ("validation", validation),
            ("testing", listed.test),
        )
    }
    problems = [problem for images in splits.values() for problem in images.unreadable]
    if problems and not skip_unreadable:
        raise ImageError(
            f"{len(problems)} images can't be used: {first_few(problems)}\n"
            "Mend them, or pass skip_unreadable=True to leave them out."
        )
    _check_classes(splits, listed.labels)
    repeated = _repeated(splits)
    remarks = (*listed.notes, repeated) if repeated else listed.notes
    return ImageTask(name or folder.name, listed.labels, splits, view, remarks=remarks)


def _read(
    folder: Path,
    files: Sequence[Sequence[Path]],
    labels: Sequence[str],
    transform: Transform,
    most_bytes: int,
) -> Images:
    paths = [path for own in files for path in own]
    classes = np.repeat(np.arange(len(labels), dtype=np.int32), [len(own) for own in files])
    pixels, fingerprints, problems = read_pixels(paths, transform, most_bytes)
    return Images(
        pixels,
        np.delete(classes, list(problems)),
        tuple(
            legible(path.relative_to(folder).as_posix())
            for row, path in enumerate(paths)
            if row not in problems
        ),
        fingerprints,
        tuple(problems.values()),
    )


def _check_classes(splits: Mapping[str, Images], labels: Sequence[str]) -> None:
    lost = [
        f"{labels[index]} ({split})"
        for split, images in splits.items()
        for index in sorted(set(range(len(labels))) - set(images.labels.tolist()))
    ]
    if lost:
        raise ImageError(
            f"Classes of which no image can be used: {first_few(lost)}\nMend the images."
        )


def _repeated(splits: Mapping[str, Images]) -> str | None:
    seen = {
        content: name
        for split in ("training", "validation")
        for content, name in zip(splits[split].fingerprints, splits[split].names, strict=True)
    }
    testing = splits["testing"]
    pairs = [
        (name, seen[content])
        for content, name in zip(testing.fingerprints, testing.names, strict=True)
        if content in seen
    ]
    if not pairs:
        return None
    return (
        f"{len(pairs):,} of {len(testing.names):,} test images are training images, too, such as "
        f"{pairs[0][0]} = {pairs[0][1]}."
    )
