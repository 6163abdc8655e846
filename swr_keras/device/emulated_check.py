"""Runs generated C on an emulated microcontroller and compares every number with Python's."""

import dataclasses
import tempfile
from collections import defaultdict
from collections.abc import Mapping

import numpy as np

from swr_keras.device.bundle import Bundle
from swr_keras.device.c_folders import C_FOLDERS
from swr_keras.device.emulator import Emulator
from swr_keras.device.patch import Patch
from swr_keras.device.to_c import CSources
from swr_keras.export.errors import ExportError
from swr_keras.export.flatbuffer import parse
from swr_keras.export.lite_model import LiteModel


@dataclasses.dataclass(frozen=True)
class EmulatedCheck:
    """What the tasks of a bundle take on an emulated microcontroller, where all numbers agree.

    Attributes:
        cpu: Which one.
        features, outputs: How many of each were compared.
        instructions_per_frame: Of the front end, with the quantization of its features.
        instructions_per_inference: Of each task.
        instructions_together: Of all tasks on one window, where what they share is computed once;
            `None` where the sources keep no trunk.
        ram_bytes: Arena, frames of features and state of the front end, and stack.
        flash_bytes: Code and constants of all tasks and the front end, before the linker drops what
            isn't called; without the C library.
    """

    cpu: str
    features: int
    outputs: int
    instructions_per_frame: int
    instructions_per_inference: Mapping[str, int]
    ram_bytes: int
    flash_bytes: int
    instructions_together: int | None = None

    def __str__(self) -> str:
        most = max(self.instructions_per_inference.values())
        text = (
            f"Emulated {self.cpu}: {self.features:,} features and {self.outputs:,} outputs are "
            f"those of Python; {most:,} instructions an inference, "
            f"{self.instructions_per_frame:,} a frame of the front end; {self.ram_bytes:,} bytes "
            f"of RAM, {self.flash_bytes:,} of flash."
        )
        if self.instructions_together is not None:
            alone = sum(self.instructions_per_inference.values())
            text += (
                f" All tasks at once take {self.instructions_together:,} instructions instead of "
                f"{alone:,}."
            )
        return text


def check_emulated(
    bundle: Bundle,
    sources: CSources,
    pcm: np.ndarray,
    features: np.ndarray,
    *,
    feature_scale: float,
    cpu: str = "cortex-m4",
) -> EmulatedCheck:
    """Runs audio through the C front end and each task of a bundle, one after the other, twice.

    Where the sources keep the trunk of the tasks, all of them run once more together.

    Args:
        bundle: Tasks with one shape of input, `(frames, 40)`.
        sources: What `to_c` made of it, of the name "swr".
        pcm: int16 `(samples,)` at 16 kHz, of at least as many frames as the networks read.
        features: What `MicroFrontend` gives of it, float32 `(frames, 40)`.
        feature_scale: Its `scale`.
        cpu: As for `Emulator`.

    Raises:
        EmulatorError: If the program can't be built or doesn't end well.
        ExportError: If a number differs from Python's.
        ImportError: If TFLite Micro's kernels aren't installed.
        MissingToolError: If what builds and runs programs isn't installed.
        ValueError: If the audio is too short for the networks, or their inputs differ in shape.
    """
    models = {name: LiteModel(parse(bundle.model(name)), engine="tflm") for name in bundle.names}
    shape = _input_shape(models)
    if len(features) < shape[1]:
        raise ValueError(
            f"The networks read {shape[1]} frames. Received: audio of {len(features)} frames."
        )
    with tempfile.TemporaryDirectory() as folder:
        sources.save(folder)
        result = Emulator(cpu).run(
            [folder, C_FOLDERS / "frontend", C_FOLDERS / "check" / "swr_check.c"],
            defines={"SWR_CHECK_SAMPLES": len(pcm), "SWR_CHECK_FRAMES": shape[1]},
            files={"pcm": pcm.astype("<i2").tobytes()},
        )
    printed = _by_first_word(result.text)
    found = np.array(printed["features"])
    heard = max(len(found) // len(features), 1)  # Anew for each other scale of an input.
    integers = np.rint(features / feature_scale).astype(int)
    _compare("features", found, np.tile(integers, (heard, 1)), cpu)
    window = features[-shape[1] :].reshape(shape)
    expected = {
        name: model.predict_int8(model.quantize(window)).ravel() for name, model in models.items()
    }
    outputs = 0
    alone: dict[str, int] = {}
    together: dict[str, int] = {}
    for kind, instructions in (("task", alone), ("branch", together)):
        for number, count, *values in printed[kind]:
            name = bundle.names[number]
            _compare(f"outputs of '{name}'", np.array(values), expected[name], cpu)
            instructions[name], outputs = count, outputs + len(values)
    own = [sizes for name, sizes in result.objects.items() if not name.startswith("check/")]
    return EmulatedCheck(
        cpu=cpu,
        features=found.size,
        outputs=outputs,
        instructions_per_frame=printed["frontend"][0][0] // len(features),
        instructions_per_inference=alone,
        instructions_together=sum(together.values()) if together else None,
        ram_bytes=sum(printed["memory"][0]) + result.stack_bytes,
        flash_bytes=sum(sizes.text_bytes + sizes.data_bytes for sizes in own),
    )


def check_patch_emulated(before: Bundle, patch: Patch, *, cpu: str = "cortex-m4") -> None:
    """Applies a patch to a bundle with the C reader, and looks for all tasks there.

    Args:
        before: The bundle that the patch was made for.
        patch: What adds, replaces or removes a task.
        cpu: As for `Emulator`.

    Raises:
        EmulatorError: If the C reader refuses the patch or a task.
        ExportError: If it finds other tasks than Python, or elsewhere.
    """
    data = patch.to_bytes()
    result = Emulator(cpu).run(
        [C_FOLDERS / "bundle", C_FOLDERS / "check" / "swr_check_patch.c"],
        defines={"SWR_CHECK_IMAGE": len(before.image), "SWR_CHECK_PATCH": len(data)},
        files={"image": before.image, "patch": data},
    )
    expected = [f"{task.root} {task.name}" for task in before.patched(patch).table.tasks]
    found = result.text.removesuffix("\0").split("\0")
    if found != expected:
        raise ExportError(
            f"On an emulated {cpu}, the patched bundle has the tasks {found} instead of {expected}."
        )


def _by_first_word(text):
    """Returns the numbers of each line, by what the line begins with."""
    found = defaultdict(list)
    for line in text.splitlines():
        word, *numbers = line.split()
        found[word].append(list(map(int, numbers)))
    return found


def _input_shape(models):
    shapes = {model.input_shape for model in models.values()}
    if len(shapes) != 1:
        raise ValueError(f"The tasks have inputs of several shapes: {sorted(shapes)}.")
    return shapes.pop()


def _compare(what, found, expected, cpu):
    if found.shape != expected.shape or (found != expected).any():
        differing = np.count_nonzero(found != expected) if found.shape == expected.shape else "all"
        raise ExportError(
            f"On an emulated {cpu}, {differing} of {expected.size} {what} aren't those of Python."
        )
