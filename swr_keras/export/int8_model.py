"""What a conversion to int8 gives."""

import dataclasses
import os

from swr_keras.export.calibration import Calibration
from swr_keras.export.flatbuffer import FlatBuffer
from swr_keras.export.verify import Verification
from swr_keras.files import write_atomically


@dataclasses.dataclass(frozen=True, eq=False)
class Int8Model:
    """A `.tflite` model that was converted and verified here.

    Attributes:
        contents: The file, with what it contains.
        verification: How it was verified.
        calibration: How it was calibrated.
    """

    contents: FlatBuffer
    verification: Verification
    calibration: Calibration

    @property
    def data(self) -> bytes:
        """Contents of the `.tflite` file."""
        return self.contents.data

    def __bytes__(self) -> bytes:
        return self.data

    def __len__(self) -> int:
        return len(self.data)

    def save(self, path: str | os.PathLike) -> None:
        """Writes the `.tflite` file, whole or not at all."""
        write_atomically(path, self.data)
