"""What the firmware of `tflite/firmware` is compiled with."""

import os
import pathlib
from collections.abc import Mapping
from typing import Any

from swr_keras.device.bundle import Bundle, aligned
from swr_keras.device.c_array import write_c_array
from swr_keras.export.arena import arena_bytes_host
from swr_keras.export.errors import ExportError
from swr_keras.export.flatbuffer import FlatBuffer, parse
from swr_keras.export.lite_model import LiteModel
from swr_keras.export.micro_operators import micro_method
from swr_keras.files import write_atomically

_FRONT_END = "MicroFrontend"
_CHANNELS = 40
_MOST_CLASSES = 128
IMAGE = "swr_image"
"""What the firmware calls the array of the bundle, and its files."""

_HEADER = """\
/* What the firmware is compiled with, written by swr_keras.device.firmware_config. */
#ifndef SWR_CONFIG_H_
#define SWR_CONFIG_H_

#include <cstddef>

#include "tensorflow/lite/micro/micro_mutable_op_resolver.h"

namespace swr {{

constexpr size_t kArenaBytes = {arena_bytes};
constexpr int kMaxFrames = {frames};  /* Of a network's input. */
constexpr int kMaxClasses = {classes};
constexpr int kStrideFrames = {stride};  /* From a window to the next. */
constexpr int kSmoothingWindows = {smoothing};  /* That a score is the mean of. */
constexpr int kRefractoryWindows = {refractory};  /* After a detection, without another. */
constexpr double kThreshold = {threshold!r};  /* That a score must reach. */

using OpResolver = tflite::MicroMutableOpResolver<{count}>;

inline TfLiteStatus RegisterOps(OpResolver& op_resolver) {{
{calls}
  return kTfLiteOk;
}}

}}  // namespace swr

#endif
"""


def firmware_config(
    bundle: Bundle,
    front_end: Mapping[str, Any],
    *,
    arena_bytes: int | None = None,
    max_classes: int | None = None,
    stride: int = 10,
    smoothing: int = 4,
    refractory: int = 10,
    threshold: float = 0.9,
) -> str:
    """Writes the header `swr_config.h` for all tasks of a bundle.

    Tasks that are added to the device later run if they need no other operators and no more memory.

    Args:
        bundle: The bundle, no task of which is damaged.
        front_end: What `export.describe_front_end` returned of the front end of its tasks, as the
            manifest of the bundle has it.
        arena_bytes: Memory for a network's activations. `None` for as much as the task that needs
            the most takes on this host, where pointers have 64 bits, with TFLite Micro's
            reference kernels; optimised kernels may need more.
        max_classes: Most classes of a task, for tasks to be added. `None` for those of the bundle.
        stride: Frames from one window to the next.
        smoothing: Windows that a score is the mean of.
        refractory: Windows after one that detected, at which nothing is detected.
        threshold: What a score must reach, where the firmware isn't told another one.

    Raises:
        ExportError: If a task is damaged, isn't an int8 model from frames of 40 features to one
            output a label, or uses an operator that TFLite Micro doesn't have.
        ImportError: If the arena is to be measured and TFLite Micro's kernels aren't installed.
        ValueError: If the front end is another one than the firmware has, or a number is out of
            range.

    Example:
        >>> header = firmware_config(bundle, describe_front_end(MicroFrontend()))
    """
    if front_end.get("class") != _FRONT_END:
        raise ValueError(
            f"The firmware computes the features of {_FRONT_END} alone. Received: tasks that were "
            f"trained on {front_end.get('class')!r}; train them on {_FRONT_END}."
        )
    models = {name: parse(bundle.model(name)) for name in bundle.names}
    shapes = [_frames_and_classes(bundle, name, model) for name, model in models.items()]
    frames, classes = (max(sizes) for sizes in zip(*shapes, strict=True))
    if max_classes is None:
        max_classes = classes
    _check_range("max_classes", max_classes, classes, _MOST_CLASSES)
    _check_range("stride", stride, 1)
    _check_range("smoothing", smoothing, 1)
    _check_range("refractory", refractory, 0)
    if not 0 < threshold <= 1:
        raise ValueError(f"A threshold is above 0 and at most 1. Received: threshold={threshold}.")
    if arena_bytes is None:
        arena_bytes = aligned(max(map(arena_bytes_host, models.values())))
    _check_range("arena_bytes", arena_bytes, 1)
    methods = [micro_method(name) for name in _operators(models.values())]
    calls = [f"  TF_LITE_ENSURE_STATUS(op_resolver.{method}());" for method in methods]
    return _HEADER.format(
        arena_bytes=arena_bytes,
        frames=frames,
        classes=max_classes,
        stride=stride,
        smoothing=smoothing,
        refractory=refractory,
        threshold=float(threshold),
        count=len(methods),
        calls="\n".join(calls),
    )


def write_firmware(
    folder: str | os.PathLike, bundle: Bundle, front_end: Mapping[str, Any], **settings: Any
) -> None:
    """Writes what the firmware is compiled with: `swr_config.h`, `swr_image.h`, `swr_image.cc`.

    Args:
        folder: An existing folder, the firmware's `SWR_CONFIG_DIR`.
        bundle, front_end, **settings: As for `firmware_config`, which errors are those of, too.
    """
    folder = pathlib.Path(folder)
    config = firmware_config(bundle, front_end, **settings)
    write_c_array(folder, bundle.image, IMAGE)
    write_atomically(folder / "swr_config.h", config.encode())


def _operators(models):
    return sorted({operator.name for model in models for operator in model.operators})


def _frames_and_classes(bundle: Bundle, name: str, contents: FlatBuffer) -> tuple[int, int]:
    model = LiteModel(contents)
    labels = len(bundle.labels(name))
    given, returned = model.input_shape, model.output_shape
    if len(given) != 4 or given[::2] != (1, _CHANNELS) or given[3] != 1 or returned != (1, labels):
        raise ExportError(
            f"The firmware runs networks from (1, frames, {_CHANNELS}, 1) to (1, labels). "
            f"Received: task '{name}' from {given} to {returned}, with {labels} labels."
        )
    return given[1], labels


def _check_range(name: str, value: int, least: int, most: int | None = None) -> None:
    if value < least or (most is not None and value > most):
        limit = f"at least {least}" if most is None else f"from {least} to {most}"
        raise ValueError(f"`{name}` must be {limit}. Received: {name}={value}.")
