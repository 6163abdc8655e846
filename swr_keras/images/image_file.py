"""Reading one image file, whatever a stranger put in it."""

import io
import os
import pathlib

import numpy as np
from PIL import ExifTags, Image, UnidentifiedImageError

from swr_keras.files import read_bytes
from swr_keras.messages import legible

_FORMATS = ("JPEG", "PNG", "BMP", "GIF", "WEBP", "TIFF", "PPM")
_MOST_BYTES = 2**28
_MOST_PIXELS = 100_000_000
_MOST_ELONGATED = 50
_WIDE_MODES = ("I;16", "I;16L", "I;16B", "I;16N")
_TURNED = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""What undoes the orientations of EXIF."""


class ImageError(ValueError):
    """An image that can't be used; the message names the file, the reason and the remedy."""


def read_image_bytes(path: str | os.PathLike[str]) -> bytes:
    """Returns the content of a file that may be an image.

    Raises:
        ImageError: If it is missing, a dangling link, no regular file, can't be read, is empty, or
            larger than 256 MiB.
    """
    name = legible(os.fspath(path))
    try:
        data = read_bytes(path, kind="an image", most_bytes=_MOST_BYTES)
    except FileNotFoundError:
        raise ImageError(f"{name}: there is no such file, or a link leads nowhere.") from None
    except ValueError as error:
        raise ImageError(f"{name}: {error}") from None
    if not data:
        raise ImageError(f"{name}: the file is empty. Copy it again, or remove it.")
    return data


def read_image(
    path: str | os.PathLike[str], channels: int = 3, *, smallest_side: int | None = None
) -> Image.Image:
    """Reads an image file; see `decode_image`."""
    return decode_image(read_image_bytes(path), path, channels, smallest_side=smallest_side)


def decode_image(
    data: bytes,
    path: str | os.PathLike[str],
    channels: int = 3,
    *,
    smallest_side: int | None = None,
) -> Image.Image:
    """Decodes an image as a person sees it.

    The first frame of an animation, or the first page, is taken; EXIF's orientation is undone, and
    damaged EXIF passed over; what is transparent shows white; 16 bits a sample are rounded to 8;
    CMYK and other colours become RGB by Pillow's plain conversion, without ICC profiles.

    Args:
        data: Content of a JPEG, PNG, BMP, GIF, WebP, TIFF or PPM file.
        path: Its file, for messages.
        channels: 3 for RGB, 1 for luma.
        smallest_side: Lets a large JPEG be decoded at a half, a quarter or an eighth of its size,
            but not below this many pixels.

    Returns:
        An image of mode "RGB" or "L".

    Raises:
        ImageError: If it is no such image, is damaged or cut off, has more than 100 million pixels
            or a side more than 50 times as long as the other, or samples of more than 16 bits.
    """
    name = legible(os.fspath(path))
    try:
        with Image.open(io.BytesIO(data), formats=_FORMATS) as image:
            _check_size(name, image.size)
            if smallest_side is not None:
                image.draft(image.mode, (smallest_side, smallest_side))
            orientation = _orientation(image)
            image.load()
            return _turned(_converted(name, image, channels), orientation)
    except ImageError:
        raise
    except UnidentifiedImageError:
        raise _unusable(name, f"no {', '.join(_FORMATS[:-1])} or PPM") from None
    except MemoryError:
        raise
    except Exception as error:  # Decoders raise whatever a broken file leads them to.
        raise _unusable(name, str(error) or type(error).__name__) from error


def _orientation(image: Image.Image) -> object:
    try:
        return image.getexif().get(ExifTags.Base.Orientation)
    except Exception:  # Whatever damaged EXIF leads to: the picture may be whole.
        return None


def is_image_name(path: pathlib.Path) -> bool:
    """Tells by the suffix whether a file is to be read as an image."""
    return path.suffix.lower() in _SUFFIXES


_SUFFIXES = (
    *(".jpg", ".jpeg", ".png", ".bmp", ".gif", ".webp", ".tif", ".tiff", ".ppm", ".pgm", ".pbm"),
)


def _unusable(name: str, reason: str) -> ImageError:
    return ImageError(
        f"{name}: can't be read as an image ({reason:.200}). Export or copy it again, or remove it."
    )


def _check_size(name: str, size: tuple[int, int]) -> None:
    width, height = size
    if width * height > _MOST_PIXELS:
        raise ImageError(
            f"{name}: the file declares {width} x {height} pixels, at most {_MOST_PIXELS:,} are "
            "read. Scale it down."
        )
    if max(size) > _MOST_ELONGATED * min(size):
        raise ImageError(
            f"{name}: the image has {width} x {height} pixels, and one side may be "
            f"{_MOST_ELONGATED} times as long as the other at most. Cut it, or remove it."
        )


def _converted(name: str, image: Image.Image, channels: int) -> Image.Image:
    mode = "RGB" if channels == 3 else "L"
    if image.mode in _WIDE_MODES or (image.mode == "I" and image.format in ("PPM", "PNG")):
        samples = np.asarray(image).astype(np.int64)
        return Image.fromarray(((samples + 128) // 257).astype(np.uint8)).convert(mode)
    if image.mode in ("I", "F"):
        raise ImageError(
            f"{name}: the samples are 32-bit numbers, whose white isn't known. Export it with 8 or "
            "16 bits a sample."
        )
    if image.has_transparency_data:
        seen = image.convert("RGBA")
        white = Image.new("RGBA", seen.size, "white")
        return Image.alpha_composite(white, seen).convert("RGB").convert(mode)
    return image.convert(mode)


def _turned(image: Image.Image, orientation: object) -> Image.Image:
    return image.transpose(_TURNED[orientation]) if orientation in _TURNED else image
