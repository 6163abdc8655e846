"""What goes onto a device: models with their manifests, as files and as C."""

from swr_keras.device.bundle import Bundle, DeviceTask
from swr_keras.device.c_array import c_array
from swr_keras.device.deployment import write_bundle, write_deployment
from swr_keras.device.emulator import Emulator, EmulatorError, EmulatorResult
from swr_keras.device.patch import Patch

__all__ = [
    "Bundle",
    "DeviceTask",
    "Emulator",
    "EmulatorError",
    "EmulatorResult",
    "Patch",
    "c_array",
    "write_bundle",
    "write_deployment",
]
