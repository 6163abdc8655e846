import numpy as np
import pytest
from PIL import Image

CLASSES = ("bird", "car", "tree")


def write_set(root, train=8, test=4, classes=CLASSES, side=12, suffix="png"):
    """Writes a set whose classes differ in their colour."""
    rng = np.random.default_rng(0)
    for part, count in (("train", train), ("test", test)):
        for index, name in enumerate(classes):
            folder = root / part / name
            folder.mkdir(parents=True)
            for number in range(count):
                pixels = rng.integers(0, 120, (side, side, 3))
                pixels[..., index % 3] += 130
                Image.fromarray(pixels.astype(np.uint8)).save(folder / f"{number}.{suffix}")
    return root


@pytest.fixture
def write():
    """Writes sets of images, see `write_set`."""
    return write_set


@pytest.fixture
def folder(tmp_path):
    """A set of three classes, each of 8 images to train and 4 to test, 12 x 12 pixels."""
    return write_set(tmp_path / "things")
