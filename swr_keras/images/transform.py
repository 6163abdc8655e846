"""From an image of any size to the input of a network."""

import dataclasses
import math

import numpy as np
import tensorflow as tf
from PIL import Image

_LARGEST_SIDE = 4096
_IMAGENET_MEAN = (0.485, 0.456, 0.406)

NORMALIZATIONS = {
    "torch": (_IMAGENET_MEAN, (0.229, 0.224, 0.225), "rgb"),
    "tf": ((0.5,), (0.5,), "rgb"),
    "caffe": ((103.939 / 255, 116.779 / 255, 123.68 / 255), (1 / 255,), "bgr"),
}
"""Mean, standard deviation and order of channels by the name of the mode of `preprocess_input` in
`keras.applications`: ImageNet's statistics, which torchvision's models and the benchmark expect;
[-1, 1], for Keras' MobileNets; ImageNet's means in steps of 8 bits, for Keras' ResNet-50."""


@dataclasses.dataclass(frozen=True)
class Transform:
    """What computes the input of a network from an image: the front end of a visual task.

    Attributes:
        size: Height and width of the input.
        short_side: Length that the shorter side is scaled to before the centre is cut out; `None`
            scales the whole image to `size` x `size`, whatever its proportions.
        mean, std: Of the channels as they come, of samples in [0, 1]: subtracted and divided by.
            One number each for a grey image.
        order: Order of the channels, "rgb" or "bgr".

    Raises:
        ValueError: If the sizes aren't 1 to 4096, `short_side` is below `size`, or the numbers of
            the channels don't fit each other.
    """

    size: int = 224
    short_side: int | None = 256
    mean: tuple[float, ...] = NORMALIZATIONS["torch"][0]
    std: tuple[float, ...] = NORMALIZATIONS["torch"][1]
    order: str = "rgb"

    def __post_init__(self) -> None:
        short_side = self.size if self.short_side is None else self.short_side
        if not 1 <= self.size <= short_side <= _LARGEST_SIDE:
            raise ValueError(
                f"`size` must be 1 to {_LARGEST_SIDE}, and `short_side` no less than it. Received: "
                f"size={self.size}, short_side={self.short_side}."
            )
        numbers = (*self.mean, *self.std)
        if (
            not len(self.mean) == len(self.std) in (1, 3)
            or not all(map(math.isfinite, numbers))
            or min(self.std) <= 0
        ):
            raise ValueError(
                "`mean` and `std` need a number for each of 1 or 3 channels, and `std` positive "
                f"ones. Received: mean={self.mean}, std={self.std}."
            )
        if self.order not in ("rgb", "bgr"):
            raise ValueError(f"`order` must be 'rgb' or 'bgr'. Received: order={self.order!r}.")

    @classmethod
    def named(
        cls, normalization: str = "torch", *, size: int, short_side: int | None, channels: int = 3
    ) -> "Transform":
        """Returns a transform with one of `NORMALIZATIONS`.

        Raises:
            ValueError: If there is none of that name, or it has no numbers for grey images.
        """
        if normalization not in NORMALIZATIONS:
            raise ValueError(
                f"`normalization` must be one of {list(NORMALIZATIONS)}. Received: "
                f"normalization={normalization!r}."
            )
        mean, std, order = NORMALIZATIONS[normalization]
        if channels not in (1, 3) or len(mean) not in (1, channels):
            raise ValueError(
                "Images have 3 channels, or 1 with normalization='tf', which alone has numbers for "
                f"it. Received: channels={channels}, normalization={normalization!r}."
            )
        return cls(
            size,
            short_side,
            mean * (channels // len(mean)),
            std * (channels // len(std)),
            order,
        )

    @property
    def channels(self) -> int:
        """Channels of the input."""
        return len(self.mean)

    @property
    def shape(self) -> tuple[int, int, int]:
        """Shape of the input."""
        return self.size, self.size, self.channels

    @property
    def smallest_side(self) -> int:
        """Sides below which an image shouldn't be decoded; twice what it is scaled to."""
        return 2 * (self.size if self.short_side is None else self.short_side)

    def scales_as(self, other: "Transform") -> bool:
        """Tells whether another transform scales images to the same."""
        mine, its = ((each.size, each.short_side, each.channels) for each in (self, other))
        return mine == its

    def scaled(self, image: Image.Image) -> np.ndarray:
        """Scales an image of this many channels, bilinearly with antialiasing.

        Returns:
            uint8 `(height, width, channels)`; the shorter one is `short_side`, or both are `size`.
        """
        pixels = np.asarray(_resized(image, self._scaled_size(image.size)))
        return pixels.reshape(*pixels.shape[:2], self.channels)

    def _scaled_size(self, size):
        if self.short_side is None:
            return self.size, self.size
        shortest = min(size)
        # A longer side is cut to whole pixels, as torchvision does it.
        return tuple(self.short_side * side // shortest for side in size)

    def centre(self, scaled: tf.Tensor) -> tf.Tensor:
        """Cuts `size` x `size` out of the middle of what `scaled` gave."""
        margins = tf.cast(tf.shape(scaled)[:2] - self.size, tf.float32) / 2
        top, left = tf.unstack(tf.cast(tf.round(margins), tf.int32))
        return scaled[top : top + self.size, left : left + self.size]

    def normalized(self, pixels: tf.Tensor) -> tf.Tensor:
        """Returns pixels in 0 to 255, of any number type, as float32 inputs of the network."""
        ordered = pixels[..., ::-1] if self.order == "bgr" else pixels
        samples = tf.cast(ordered, tf.float32) / 255.0
        return (samples - tf.constant(self.mean)) / tf.constant(self.std)


def _resized(image, size):
    return image if image.size == size else image.resize(size, Image.Resampling.BILINEAR)
