"""How images become batches of inputs."""

import dataclasses

import tensorflow as tf

from swr_keras.images.crops import Crop, PaddedCrop, RandomResizedCrop
from swr_keras.images.transform import Transform

_SMALL = 64
_RESIZED_SHARE = 256 / 224


@dataclasses.dataclass(frozen=True)
class View:
    """How images become inputs, when a network is trained and when it is tested.

    Attributes:
        transform: What a test image goes through, and a training image besides its augmentation.
        crop: Draws the part of a training image that is shown; `None` shows it as a test image.
        flip: Whether every other training image is mirrored, left to right.
        seed: Of order and augmentation.
    """

    transform: Transform
    crop: Crop | None = None
    flip: bool = True
    seed: int = 0

    def testing(self, image: tf.Tensor) -> tf.Tensor:
        """Returns the input of a scaled image, uint8 `(height, width, channels)`."""
        return self.transform.normalized(self.transform.centre(image))

    def training(self, image: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
        """Returns an augmented input of a scaled image; equal seeds `(2,)` give equal ones."""
        seeds = tf.random.split(seed, 2)
        if self.crop is None:
            part = self.transform.centre(image)
        else:
            part = self.crop(image, self.transform.size, seeds[0])
        if self.flip:
            mirrored = tf.random.stateless_uniform((), seeds[1]) < 0.5
            part = tf.where(mirrored, part[:, ::-1], part)
        return self.transform.normalized(part)


def benchmark_view(
    name: str,
    *,
    size: int = 224,
    channels: int = 3,
    normalization: str = "torch",
    flip: bool = True,
    seed: int = 0,
) -> View:
    """Returns how ImageNet-to-Sketch shows a set; small inputs as it is usual for CIFAR-10.

    A set with "cropped" in its name is scaled to the input's size whatever its proportions, and
    flipped in training. Of any other one, the shorter side is scaled to 256/224 of it, of which
    training draws a random resized crop and the test takes the centre. Inputs of up to 64 pixels
    are too small for either: their shorter side is the input's, and training moves them by up to an
    eighth of it (4 of 32 pixels).

    Args:
        name: Name of the set's folder.
        size: Height and width of the input.
        channels: 3 for RGB, 1 for grey.
        normalization: One of `NORMALIZATIONS`.
        flip: Whether training mirrors every other image, which characters don't bear.
        seed: Of order and augmentation.

    Raises:
        ValueError: See `Transform.named`.

    Source: github.com/arunmallya/piggyback, its `dataset.py`.
    """
    crop: Crop | None
    if "cropped" in name:
        short_side, crop = None, None
    elif size <= _SMALL:
        short_side, crop = size, PaddedCrop(size // 8)
    else:
        short_side, crop = round(size * _RESIZED_SHARE), RandomResizedCrop()
    transform = Transform.named(normalization, size=size, short_side=short_side, channels=channels)
    return View(transform, crop, flip, seed)
