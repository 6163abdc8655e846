"""What goes onto a device: models with their manifests, as files and as C."""

from swr_keras.device.c_array import c_array
from swr_keras.device.deployment import write_deployment

__all__ = ["c_array", "write_deployment"]
