"""Where the pixels of images are: in memory, if they fit, or in their files."""

import dataclasses
import hashlib
import os
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Protocol

import numpy as np
import tensorflow as tf

from swr_keras.images.image_file import ImageError, decode_image, read_image_bytes
from swr_keras.images.transform import Transform
from swr_keras.messages import legible

_MOST_THREADS = 32
_FINGERPRINT_BYTES = 16

Reader = Callable[[tf.Tensor], tf.Tensor]
"""Gives the scaled image of a row, uint8 `(height, width, channels)`; for use in `tf.data`."""


class Pixels(Protocol):
    """The images of a split, as `Transform.scaled` gives them.

    Attributes:
        transform: What scaled them.
    """

    @property
    def transform(self) -> Transform: ...

    def reader(self) -> Reader: ...


@dataclasses.dataclass(frozen=True, eq=False)
class KeptPixels:
    """Images in memory.

    Attributes:
        samples: All samples one after the other, uint8 `(any,)`.
        shapes: Height, width and channels of each image, int64 `(images, 3)`.
        transform: What scaled them.
    """

    samples: np.ndarray
    shapes: np.ndarray
    transform: Transform

    @classmethod
    def of(cls, images: Sequence[np.ndarray], transform: Transform) -> "KeptPixels":
        """Returns images, uint8 `(height, width, channels)` each, in one array."""
        samples = np.concatenate([image.ravel() for image in images])
        return cls(samples, np.array([image.shape for image in images], np.int64), transform)

    def reader(self) -> Reader:
        """Returns what reads a row."""
        sizes = self.shapes.prod(1)
        with tf.device("CPU:0"):
            samples, shapes = tf.constant(self.samples), tf.constant(self.shapes)
            starts, lengths = tf.constant(np.cumsum(sizes) - sizes), tf.constant(sizes)

        def read(row):
            image = tf.slice(samples, [starts[row]], [lengths[row]])
            return tf.ensure_shape(
                tf.reshape(image, shapes[row]), (None, None, self.transform.channels)
            )

        return read


@dataclasses.dataclass(frozen=True, eq=False)
class FilePixels:
    """Images that are decoded each time they are asked for.

    Attributes:
        paths: Their files.
        fingerprints: Of the content of each file, see `fingerprint`.
        transform: Scales them.
    """

    paths: tuple[Path, ...]
    fingerprints: tuple[bytes, ...]
    transform: Transform

    def reader(self) -> Reader:
        """Returns what reads a row; it fails if a file isn't what it was."""

        def decode(row):
            found, image = _read(self.paths[row], self.transform)
            if found != self.fingerprints[row]:
                raise ImageError(
                    f"{legible(str(self.paths[row]))}: the file changed since the images were "
                    "listed. Load the task again."
                )
            return image

        def read(row):
            image = tf.numpy_function(decode, [row], tf.uint8)
            return tf.ensure_shape(image, (None, None, self.transform.channels))

        return read


def fingerprint(data: bytes) -> bytes:
    """Returns 16 bytes that stand for a content."""
    return hashlib.blake2b(data, digest_size=_FINGERPRINT_BYTES).digest()


def read_pixels(
    paths: Sequence[Path], transform: Transform, most_bytes: int
) -> tuple[Pixels, tuple[bytes, ...], dict[int, str]]:
    """Decodes each file once, and keeps the images if there is room.

    Args:
        paths: The files.
        transform: Scales them.
        most_bytes: Memory that the scaled images of the split may take.

    Returns:
        The images of the files that can be used, the fingerprints of these, and what is wrong with
        the others, by row.
    """
    good: list[Path] = []
    fingerprints: list[bytes] = []
    problems: dict[int, str] = {}
    kept: list[np.ndarray] | None = []
    num_bytes = 0
    for row, outcome in enumerate(_outcomes(paths, transform)):
        if isinstance(outcome, str):
            problems[row] = outcome
            continue
        found, image = outcome
        good.append(paths[row])
        fingerprints.append(found)
        num_bytes += image.nbytes
        if num_bytes > most_bytes:
            kept = None
        if kept is not None:
            kept.append(image)
    pixels: Pixels
    if kept:
        pixels = KeptPixels.of(kept, transform)
    else:
        pixels = FilePixels(tuple(good), tuple(fingerprints), transform)
    return pixels, tuple(fingerprints), problems


def _outcomes(paths, transform) -> Iterable[tuple[bytes, np.ndarray] | str]:
    def outcome(path):
        try:
            return _read(path, transform)
        except ImageError as error:
            return str(error)

    with ThreadPoolExecutor(min(_MOST_THREADS, os.cpu_count() or 1)) as pool:
        yield from pool.map(outcome, paths)


def _read(path, transform):
    data = read_image_bytes(path)
    image = decode_image(data, path, transform.channels, smallest_side=transform.smallest_side)
    return fingerprint(data), transform.scaled(image)
