"""A set of images as a task: its splits, and how they are seen."""

import dataclasses
import functools
import hashlib

import numpy as np
import tensorflow as tf

from swr_keras.images.pipeline import evaluation_batches, training_batches
from swr_keras.images.pixels import Pixels
from swr_keras.images.transform import Transform
from swr_keras.images.view import View
from swr_keras.split_task import SplitTask

_EVALUATION_BATCH = 128


@dataclasses.dataclass(frozen=True, eq=False)
class Images:
    """The images of one split.

    Attributes:
        pixels: The images, scaled by the view's transform.
        labels: Their classes, int32 `(images,)`.
        names: What each is called, its path below the folder of the set.
        fingerprints: Of the content of each one's file.
        unreadable: Of each image left out because it can't be used, the file and the reason.
    """

    pixels: Pixels
    labels: np.ndarray
    names: tuple[str, ...]
    fingerprints: tuple[bytes, ...]
    unreadable: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True, eq=False)
class ImageTask(SplitTask):
    """A set of images; a `Task`, of a base as of what is learned on it. `load_task` makes it.

    Attributes:
        name, labels, remarks: As of every `SplitTask`.
        splits: `Images` by name: "training", "validation", "testing".
        view: How they become batches of inputs.

    Raises:
        ValueError: If the view scales images otherwise than they were scaled.
    """

    splits: dict[str, Images]
    view: View

    def __post_init__(self) -> None:
        for images in self.splits.values():
            if not images.pixels.transform.scales_as(self.view.transform):
                raise ValueError(
                    "The images were scaled for another view. Load the task with this one. "
                    f"Received: {self.view.transform}, images of {images.pixels.transform}."
                )

    @property
    def input_shape(self) -> tuple[int, int, int]:
        """Height, width and channels of an input."""
        return self.view.transform.shape

    @property
    def front_end(self) -> Transform:
        """What computes the inputs."""
        return self.view.transform

    def training(self, batch_size: int, first_epoch: int = 0) -> tf.data.Dataset:
        """Returns augmented batches of the training images, epoch after epoch without end.

        An epoch is the same each time that it is asked for.
        """
        images = self.splits["training"]
        return training_batches(
            images.pixels,
            images.labels,
            self.view,
            batch_size=batch_size,
            first_epoch=first_epoch,
        )

    def validation(self, *, mixed: bool = False) -> tf.data.Dataset:
        """Returns batches of the validation images.

        Args:
            mixed: Whether they mix the classes, for what normalises by the batch.
        """
        return self._mixed_validation if mixed else self._validation

    def testing(self) -> tf.data.Dataset:
        """Returns batches of the test images."""
        return self._testing

    def conditions(self) -> dict[str, tf.data.Dataset]:
        """Returns nothing: there is one test."""
        return {}

    @functools.cached_property
    def _validation(self):
        return self._fixed("validation", np.arange(self.examples["validation"]))

    @functools.cached_property
    def _mixed_validation(self):
        rows = np.random.default_rng(0).permutation(self.examples["validation"])
        return self._fixed("validation", rows)

    @functools.cached_property
    def _testing(self):
        return self._fixed("testing", np.arange(self.examples["testing"]))

    def calibration(self, count: int) -> np.ndarray:
        """Returns inputs of training images evenly spread over the classes, `(count, ...)`."""
        batches = self._fixed("training", self._spread(count))
        return np.concatenate([inputs for inputs, _ in batches.as_numpy_iterator()])

    def calibration_names(self, count: int) -> tuple[str, ...]:
        """Returns the names of the images of `calibration`."""
        names = self.splits["training"].names
        return tuple(names[row] for row in self._spread(count))

    @functools.cached_property
    def _digest(self):
        content = hashlib.sha256(repr((self.labels, sorted(self.splits), self.view)).encode())
        for _, images in sorted(self.splits.items()):
            content.update(repr(images.names).encode())
            content.update(images.labels.tobytes())
            content.update(b"".join(images.fingerprints))
        return content.hexdigest()

    def digest(self) -> str:
        """Returns a hash of everything in the task, equal only for equal images."""
        return self._digest

    def _spread(self, count):
        total = self.examples["training"]  # In the order of the classes.
        return np.linspace(0, total - 1, min(count, total)).astype(int)

    def _fixed(self, split, rows):
        images = self.splits[split]
        return evaluation_batches(
            images.pixels, images.labels, self.view, rows=rows, batch_size=_EVALUATION_BATCH
        )
