import io
import os
import struct
import zlib

import numpy as np
import pytest
from PIL import ExifTags, Image

from swr_keras.images import ImageError, read_image
from swr_keras.images.image_file import decode_image

RED, GREEN, BLUE = (200, 30, 40), (20, 180, 60), (30, 40, 210)
COLOURS = np.array([[RED, GREEN], [BLUE, (90, 90, 90)]], np.uint8)
PICTURE = Image.fromarray(COLOURS.repeat(16, 0).repeat(16, 1))


def saved(image, form="PNG", **options):
    file = io.BytesIO()
    image.save(file, form, **options)
    return file.getvalue()


def png(width, height, depth, kind, rows):
    """A PNG file of any depth; `kind` is its type of colour."""

    def chunk(name, data):
        crc = zlib.crc32(name + data)
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", crc)

    header = struct.pack(">IIBBBBB", width, height, depth, kind, 0, 0, 0)
    content = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + content


def wide_rows(samples):
    """Rows of 16-bit samples of a PNG file, unfiltered."""
    return b"".join(b"\0" + np.asarray(row, ">u2").tobytes() for row in samples)


def clear_corner(mode):
    image = PICTURE.convert(mode)
    image.paste((0, 0, 0, 0) if mode == "RGBA" else (0, 0), (0, 0, 16, 16))
    return image


def oriented(value):
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = value
    undo = {3: Image.Transpose.ROTATE_180, 6: Image.Transpose.ROTATE_90}[value]
    return saved(PICTURE.transpose(undo), "JPEG", exif=exif, quality=95)


def palette(transparent=None):
    image = Image.new("P", (32, 32), 0)
    image.putpalette([*RED, *GREEN, *BLUE])
    image.paste(1, (16, 0, 32, 16))
    options = {} if transparent is None else {"transparency": transparent}
    return saved(image, **options)


WIDE_GREY = 257 * np.array([[0, 128], [200, 255]])
WHITE, GREY = (255, 255, 255), (128, 128, 128)

COLOURED = {
    "png": (saved(PICTURE), RED, GREEN),
    "jpeg": (saved(PICTURE, "JPEG", quality=95), RED, GREEN),
    "bmp": (saved(PICTURE, "BMP"), RED, GREEN),
    "webp": (saved(PICTURE, "WEBP", lossless=True), RED, GREEN),
    "tiff": (saved(PICTURE, "TIFF"), RED, GREEN),
    "ppm": (saved(PICTURE, "PPM"), RED, GREEN),
    "cmyk jpeg": (saved(PICTURE.convert("CMYK"), "JPEG", quality=95), RED, GREEN),
    "cmyk tiff": (saved(PICTURE.convert("CMYK"), "TIFF"), RED, GREEN),
    "palette": (palette(), RED, GREEN),
    "palette with a clear colour": (palette(0), WHITE, GREEN),
    "alpha": (saved(clear_corner("RGBA")), WHITE, GREEN),
    "webp with alpha": (saved(clear_corner("RGBA"), "WEBP", lossless=True), WHITE, GREEN),
    "clear colour": (saved(PICTURE, transparency=RED), WHITE, GREEN),
    "grey with alpha": (saved(clear_corner("LA")), WHITE, (118,) * 3),
    "grey": (saved(PICTURE.convert("L")), (82,) * 3, (118,) * 3),
    "bilevel": (saved(Image.new("1", (4, 4), 1)), WHITE, WHITE),
    "16-bit grey": (png(2, 2, 16, 0, wide_rows(WIDE_GREY)), (0,) * 3, GREY),
    "16-bit grey pgm": (
        b"P5 2 2 65535\n" + WIDE_GREY.astype(">u2").tobytes(),
        (0,) * 3,
        GREY,
    ),
    "16-bit grey tiff": (
        saved(Image.fromarray(WIDE_GREY.astype(np.uint16)), "TIFF"),
        (0,) * 3,
        GREY,
    ),
    "16-bit rgb": (
        png(2, 2, 16, 2, wide_rows(257 * COLOURS.astype(int).reshape(2, 6))),
        RED,
        GREEN,
    ),
    "animated gif": (
        saved(PICTURE, "GIF", save_all=True, append_images=[Image.new("RGB", (32, 32))]),
        RED,
        GREEN,
    ),
    "animated webp": (
        saved(
            PICTURE,
            "WEBP",
            save_all=True,
            append_images=[Image.new("RGB", (32, 32))],
            lossless=True,
        ),
        RED,
        GREEN,
    ),
    "two pages": (
        saved(PICTURE, "TIFF", save_all=True, append_images=[Image.new("RGB", (9, 9))]),
        RED,
        GREEN,
    ),
    "two pictures of a phone": (
        saved(PICTURE, "MPO", save_all=True, append_images=[Image.new("RGB", (9, 9))], quality=95),
        RED,
        GREEN,
    ),
    "upside down": (oriented(3), RED, GREEN),
    "lying": (oriented(6), RED, GREEN),
    "broken exif": (saved(PICTURE, "JPEG", exif=b"Exif\0\0garbage", quality=95), RED, GREEN),
    "broken exif, PNG": (saved(PICTURE, "PNG", exif=b"garbage"), RED, GREEN),
    "broken exif, WebP": (saved(PICTURE, "WEBP", exif=b"garbage", lossless=True), RED, GREEN),
}


@pytest.mark.parametrize("kind", COLOURED)
def test_every_kind_of_image_is_seen_as_a_person_sees_it(tmp_path, kind):
    data, left, right = COLOURED[kind]
    (tmp_path / "x").write_bytes(data)
    image = read_image(tmp_path / "x")
    pixels = np.asarray(image).astype(int)
    assert image.mode == "RGB"
    assert np.abs(pixels[0, 0] - left).max() <= 8
    assert np.abs(pixels[0, -1] - right).max() <= 8


@pytest.mark.parametrize("kind", COLOURED)
def test_and_its_luma_for_a_grey_task(kind):
    data, *colours = COLOURED[kind]
    image = decode_image(data, "x", channels=1)
    pixels = np.asarray(image).astype(int)
    assert image.mode == "L"
    for found, colour in zip(pixels[0, [0, -1]], colours, strict=True):
        assert abs(found - np.dot(colour, (0.299, 0.587, 0.114))) <= 8


def declared(width, height):
    return png(width, height, 8, 2, b"")


REFUSED = {
    "empty": (b"", "the file is empty"),
    "text": (b"not an image at all", "can't be read as an image"),
    "a web page": (b"<html><body>404</body></html>", "can't be read as an image"),
    "postscript": (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "can't be read"),
    "cut jpeg": (saved(PICTURE, "JPEG")[:-20], "can't be read as an image .*truncated"),
    "cut png": (saved(PICTURE)[:60], "can't be read as an image"),
    "cut header": (saved(PICTURE)[:20], "can't be read as an image"),
    "damaged png": (saved(PICTURE).replace(b"IDAT", b"IDAX"), "can't be read as an image"),
    "cut gif": (saved(PICTURE, "GIF")[:40], "can't be read as an image"),
    "cut webp": (saved(PICTURE, "WEBP")[:60], "can't be read as an image"),
    "cut bmp": (saved(PICTURE, "BMP")[:900], "can't be read as an image"),
    "cut tiff": (saved(PICTURE, "TIFF")[:900], "can't be read as an image"),
    "no pixels": (declared(0, 9), "can't be read as an image"),
    "huge": (declared(12_000, 12_000), "declares 12000 x 12000 pixels"),
    "a bomb": (declared(60_000, 60_000), "can't be read as an image .*bomb"),
    "a thread": (saved(Image.new("RGB", (300, 2))), "300 x 2 pixels, and one side"),
    "32-bit": (saved(Image.new("I", (4, 4)), "TIFF"), "32-bit numbers"),
    "float": (saved(Image.new("F", (4, 4)), "TIFF"), "32-bit numbers"),
}


@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
@pytest.mark.parametrize("kind", REFUSED)
def test_what_is_no_image_is_named(tmp_path, kind):
    data, reason = REFUSED[kind]
    (tmp_path / "bad.png").write_bytes(data)
    with pytest.raises(ImageError, match=f"bad.png: .*{reason}"):
        read_image(tmp_path / "bad.png")


STRANGE = {
    "fifo": (os.mkfifo, "no regular file"),
    "folder": (os.mkdir, "can't be read|no regular file"),
    "device": (lambda path: path.symlink_to("/dev/zero"), "no regular file"),
    "dangling": (lambda path: path.symlink_to("nowhere"), "no such file"),
    "large": (lambda path: os.truncate(os.open(path, os.O_CREAT | os.O_RDWR), 2**31), "too large"),
}


@pytest.mark.parametrize("kind", STRANGE)
def test_strange_files_are_named_and_never_hang(tmp_path, kind):
    make, reason = STRANGE[kind]
    make(tmp_path / "strange.png")
    with pytest.raises(ImageError, match=f"strange.png: .*({reason})"):
        read_image(tmp_path / "strange.png")


@pytest.mark.filterwarnings("ignore::UserWarning:PIL")
def test_no_damage_breaks_out_of_the_reader():
    rng = np.random.default_rng(0)
    for data, *_ in COLOURED.values():
        for _ in range(30):
            damaged = bytearray(data)
            for at in rng.integers(0, len(data), 3):
                damaged[at] = rng.integers(256)
            try:
                decode_image(bytes(damaged[: rng.integers(1, len(data) + 1)]), "x")
            except ImageError:
                pass


def test_a_large_jpeg_is_decoded_smaller_but_not_too_small():
    data = saved(PICTURE.resize((640, 320)), "JPEG", quality=95)
    assert decode_image(data, "x").size == (640, 320)
    assert decode_image(data, "x", smallest_side=70).size == (160, 80)
    assert decode_image(saved(PICTURE.resize((640, 320))), "x", smallest_side=70).size == (640, 320)
