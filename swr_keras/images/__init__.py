"""Visual data: folders of images, transforms, augmentation, and a task of these."""

from swr_keras.images.crops import Crop, PaddedCrop, RandomResizedCrop
from swr_keras.images.image_file import ImageError, read_image
from swr_keras.images.image_task import Images, ImageTask
from swr_keras.images.known_sets import KNOWN_SETS
from swr_keras.images.letters import LETTER_SETS, letter_sets
from swr_keras.images.load import load_task
from swr_keras.images.transform import NORMALIZATIONS, Transform
from swr_keras.images.view import View, benchmark_view

__all__ = [
    "KNOWN_SETS",
    "LETTER_SETS",
    "NORMALIZATIONS",
    "Crop",
    "ImageError",
    "ImageTask",
    "Images",
    "PaddedCrop",
    "RandomResizedCrop",
    "Transform",
    "View",
    "benchmark_view",
    "letter_sets",
    "load_task",
    "read_image",
]
