"""Export to microcontrollers: int8 conversion, verified on TFLite Micro's kernels."""

from swr_keras.export.arena import arena_bytes_host
from swr_keras.export.calibration import Calibration
from swr_keras.export.deploy import deploy_graph
from swr_keras.export.errors import ExportError
from swr_keras.export.int8 import convert_int8
from swr_keras.export.int8_model import Int8Model
from swr_keras.export.lite_model import LiteModel
from swr_keras.export.manifest import describe_front_end, manifest
from swr_keras.export.verify import Verification, verify_int8

__all__ = [
    "Calibration",
    "ExportError",
    "Int8Model",
    "LiteModel",
    "Verification",
    "arena_bytes_host",
    "convert_int8",
    "deploy_graph",
    "describe_front_end",
    "manifest",
    "verify_int8",
]
