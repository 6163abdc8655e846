"""What part of a training image is shown, drawn anew each time."""

import dataclasses
import math
from typing import Protocol

import tensorflow as tf

_ATTEMPTS = 10


class Crop(Protocol):
    """A draw of a part of an image.

    Call arguments:
        image: uint8 `(height, width, channels)`, no side shorter than `size`.
        size: Height and width of the result.
        seed: int32 `(2,)`; equal ones draw the same part.

    Returns:
        `(size, size, channels)` in 0 to 255, uint8 or float32.
    """

    def __call__(self, image: tf.Tensor, size: int, seed: tf.Tensor) -> tf.Tensor: ...


@dataclasses.dataclass(frozen=True)
class RandomResizedCrop:
    """A part of random area and proportions, scaled to the size: ImageNet's augmentation.

    As torchvision's transform of this name: the area is uniform, the logarithm of the proportions
    too; ten draws at most are made for a part that fits, and the largest centre of allowed
    proportions stands in.

    Attributes:
        area: Least and largest share of the image's area.
        proportions: Least and largest width / height.

    Raises:
        ValueError: If a range is reversed, or an area isn't in (0, 1].
    """

    area: tuple[float, float] = (0.08, 1.0)
    proportions: tuple[float, float] = (3 / 4, 4 / 3)

    def __post_init__(self) -> None:
        if not 0 < self.area[0] <= self.area[1] <= 1:
            raise ValueError(f"`area` must be (low, high) in (0, 1]. Received: {self.area}.")
        if not 0 < self.proportions[0] <= self.proportions[1]:
            raise ValueError(
                f"`proportions` must be (low, high), positive. Received: {self.proportions}."
            )

    def __call__(self, image: tf.Tensor, size: int, seed: tf.Tensor) -> tf.Tensor:
        top, left, height, width = tf.unstack(self.box(tf.shape(image)[:2], seed))
        part = image[top : top + height, left : left + width]
        scaled = tf.image.resize(part, (size, size), antialias=True)
        scaled.set_shape((size, size, image.shape[-1]))
        return tf.clip_by_value(scaled, 0.0, 255.0)

    def box(self, shape: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
        """Draws the part of an image.

        Args:
            shape: int32 `(2,)`, height and width of the image.
            seed: int32 `(2,)`.

        Returns:
            int32 `(4,)`: top, left, height and width of the part.
        """
        draws = tf.random.stateless_uniform((4, _ATTEMPTS), seed)
        full = tf.cast(shape, tf.float32)
        low, high = (math.log(each) for each in self.proportions)
        area = (self.area[0] + draws[0] * (self.area[1] - self.area[0])) * full[0] * full[1]
        proportions = tf.exp(low + draws[1] * (high - low))
        heights = tf.round(tf.sqrt(area / proportions))
        widths = tf.round(tf.sqrt(area * proportions))
        fits = (heights >= 1) & (widths >= 1) & (heights <= full[0]) & (widths <= full[1])
        first = tf.argmax(fits)  # The first one that fits; 0 if none does.
        drawn = tf.stack([heights[first], widths[first]])
        part = tf.where(fits[first], drawn, self._largest(full))
        place = tf.where(fits[first], draws[2:, first], 0.5)
        corner = tf.floor(place * (full - part + tf.cast(fits[first], tf.float32)))
        corner = tf.minimum(corner, full - part)
        return tf.cast(tf.concat([corner, part], 0), tf.int32)

    def _largest(self, full):
        height, width = full[0], full[1]
        width = tf.minimum(width, tf.round(height * self.proportions[1]))
        height = tf.minimum(height, tf.round(width / self.proportions[0]))
        return tf.stack([height, width])


@dataclasses.dataclass(frozen=True)
class PaddedCrop:
    """The image with a black margin, of which a random part is taken: CIFAR's augmentation.

    Attributes:
        padding: Width of the margin.

    Raises:
        ValueError: If it is negative.
    """

    padding: int = 4

    def __post_init__(self) -> None:
        if self.padding < 0:
            raise ValueError(f"`padding` must not be negative. Received: {self.padding}.")

    def __call__(self, image: tf.Tensor, size: int, seed: tf.Tensor) -> tf.Tensor:
        margin = [self.padding, self.padding]
        padded = tf.pad(image, [margin, margin, [0, 0]])
        return tf.image.stateless_random_crop(padded, (size, size, image.shape[-1]), seed)
