"""Pictures of letters from the fonts that matplotlib ships: six alphabets for runs without data."""

import dataclasses
import hashlib
import os
import unicodedata
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFilter, ImageFont

from swr_keras.files import complete_folder, default_cache

LETTER_SETS = {
    "latin": "abcdefghijklmnopqrstuvwxyz",
    "greek": "αβγδεζηθικλμνξοπρστυφχψω",
    "cyrillic": "абвгдежзийклмнопрстуфхцчшщъыьэюя",
    "armenian": "".join(map(chr, range(0x561, 0x587))),
    "georgian": "".join(map(chr, range(0x10D0, 0x10F1))),
    "symbols": "∀∂∃∆∇∈∏∑√∞∠∧∨∩∪∫≈≠≡≤≥⊂⊃⊕⊗⊥←↑→↓↔",
}
"""Characters by set: the Latin letters, for a base, and five others, for tasks."""

_VERSION = 1
_SIDE = 32
_ROOM = 64
_TRAIN_FACES = {"": "", "Bold": "Bold", "Oblique": "Italic"}
_TEST_FACES = {"BoldOblique": "BoldItalic"}
_BASE_IMAGES = 90, 30
_TASK_IMAGES = 30, 15
_IMAGE_BYTES = 4096  # What a file system takes for a picture of 2 KB.


@dataclasses.dataclass(frozen=True)
class _Picture:
    """What is drawn where."""

    path: str
    character: str
    face: str
    seed: tuple[int, ...]


def letter_sets(cache: str | os.PathLike[str] | None = None, *, seed: int = 0) -> dict[str, Path]:
    """Returns the folders of `LETTER_SETS`, which the first call draws.

    Each is in the layout that `load_task` reads: 32 x 32 pixels, RGB, letters of DejaVu Sans, Mono
    and Serif, moved, turned and sheared, in dark ink on light, shaded paper with some noise.
    Training has upright, bold and slanted faces, the test alone the bold and slanted ones: it asks
    for letters in faces that were never seen. The Latin letters have 90 pictures each to train on
    and 30 to test, the others 30 and 15; 10,230 files, drawn in about 10 seconds of one processor.
    One machine draws the same every time; another version of Pillow or matplotlib may not.

    The folder is complete or absent: an interrupted call leaves none.

    Args:
        cache: Folder to keep them in; `None` for the cache of this package.
        seed: Of everything that is drawn.

    Raises:
        ImportError: If Pillow was built without FreeType.
        OSError: If the cache can't be written or the disk is too full.
    """
    pictures = list(_pictures(seed))
    content = repr((_VERSION, seed, pictures)).encode()
    root = default_cache() if cache is None else Path(cache)
    folder = root / f"letters-{hashlib.sha256(content).hexdigest()[:12]}"
    if not folder.is_dir():
        with complete_folder(folder, _IMAGE_BYTES * len(pictures)) as unfinished:
            fonts = {face: _font(face) for face in {each.face for each in pictures}}
            for each in pictures:
                path = unfinished / each.path
                path.parent.mkdir(parents=True, exist_ok=True)
                _drawn(each, fonts[each.face]).save(path)
    return {name: folder / name for name in LETTER_SETS}


def _pictures(seed: int) -> Iterator[_Picture]:
    for at, (name, characters) in enumerate(LETTER_SETS.items()):
        counts = _TASK_IMAGES if at else _BASE_IMAGES
        parts = zip(("train", "test"), (_TRAIN_FACES, _TEST_FACES), counts, strict=True)
        for index, (part, styles, count) in enumerate(parts):
            faces = _faces(styles)
            for character in characters:
                for number in range(count):
                    yield _Picture(
                        f"{name}/{part}/{_folder_name(character)}/{number:03}.png",
                        character,
                        faces[number % len(faces)],
                        (seed, at, index, ord(character), number),
                    )


def _faces(styles: dict[str, str]) -> list[str]:
    """Returns the files of the fonts in these styles, whose names serifs have in other words."""
    return [
        f"{family}{'-' if style else ''}{style}.ttf"
        for sans, serif in styles.items()
        for family, style in (
            ("DejaVuSans", sans),
            ("DejaVuSansMono", sans),
            ("DejaVuSerif", serif),
        )
    ]


def _folder_name(character: str) -> str:
    name = unicodedata.name(character).lower()
    return name.partition(" letter ")[2].replace(" ", "_") or name.replace(" ", "_")


def _font(face: str) -> ImageFont.FreeTypeFont:
    import matplotlib  # For its fonts alone.

    path = Path(matplotlib.get_data_path()) / "fonts" / "ttf" / face
    return ImageFont.truetype(str(path), 40)


def _drawn(picture: _Picture, font: ImageFont.FreeTypeFont) -> Image.Image:
    rng = np.random.default_rng(picture.seed)
    letter = Image.new("L", (_ROOM, _ROOM))
    middle = _ROOM / 2
    # By its box, not its base line: small letters would else be told by their place.
    left, top, right, bottom = font.getbbox(picture.character)
    corner = middle - (left + right) / 2, middle - (top + bottom) / 2
    ImageDraw.Draw(letter).text(corner, picture.character, fill=255, font=font)
    moved = letter.transform(
        (_SIDE, _SIDE), Image.Transform.AFFINE, _placing(rng), Image.Resampling.BICUBIC
    )
    blurred = moved.filter(ImageFilter.GaussianBlur(rng.uniform(0, 0.8)))
    return Image.fromarray(_coloured(np.asarray(blurred) / 255.0, rng))


def _placing(rng: np.random.Generator) -> tuple[float, ...]:
    """Draws what maps pixels of the picture to pixels of the letter."""
    scale = rng.uniform(1.3, 1.7)
    angle, shear = np.deg2rad(rng.uniform(-8, 8)), rng.uniform(-0.1, 0.1)
    cos, sin = np.cos(angle), np.sin(angle)
    matrix = scale * np.array([[cos, -sin], [sin, cos]]) @ np.array([[1.0, shear], [0.0, 1.0]])
    shift = rng.uniform(-2, 2, 2)
    offset = _ROOM / 2 - matrix @ (np.full(2, _SIDE / 2) + shift)
    (a, b), (d, e) = matrix.tolist()
    return a, b, float(offset[0]), d, e, float(offset[1])


def _coloured(ink: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Returns ink `(height, width)` in [0, 1] as dark colour on light paper, with noise."""
    ground, colour = rng.uniform(0.7, 1, 3), rng.uniform(0, 0.4, 3)
    along = np.linspace(-0.5, 0.5, _SIDE)
    slope = rng.uniform(-0.2, 0.2, 2)
    shade = slope[0] * along[:, None] + slope[1] * along[None, :]
    picture = ground + (colour - ground) * ink[..., None] + shade[..., None]
    picture += rng.normal(0, rng.uniform(0, 0.06), picture.shape)
    return np.clip(picture * 255, 0, 255).astype(np.uint8)
