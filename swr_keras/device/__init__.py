"""What goes onto a device: models with their manifests, as files and as C."""

from swr_keras.device.bundle import Bundle, DeviceTask
from swr_keras.device.bundle_manifest import bundle_manifest, read_bundle_manifest
from swr_keras.device.c_array import c_array
from swr_keras.device.deployment import write_bundle, write_deployment
from swr_keras.device.emulated_check import EmulatedCheck, check_emulated, check_patch_emulated
from swr_keras.device.emulator import Emulator, EmulatorError, EmulatorResult, MissingToolError
from swr_keras.device.firmware import firmware_config, write_firmware
from swr_keras.device.host import HostModel
from swr_keras.device.library import Library, convert_library
from swr_keras.device.patch import Patch
from swr_keras.device.sizes import DeploymentSizes, FlashBytes, deployment_sizes
from swr_keras.device.to_c import CSources, to_c

__all__ = [
    "Bundle",
    "CSources",
    "DeploymentSizes",
    "DeviceTask",
    "EmulatedCheck",
    "Emulator",
    "EmulatorError",
    "EmulatorResult",
    "FlashBytes",
    "HostModel",
    "Library",
    "MissingToolError",
    "Patch",
    "bundle_manifest",
    "c_array",
    "check_emulated",
    "check_patch_emulated",
    "convert_library",
    "deployment_sizes",
    "firmware_config",
    "read_bundle_manifest",
    "to_c",
    "write_bundle",
    "write_deployment",
    "write_firmware",
]
