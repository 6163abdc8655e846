"""The deploying recipe: from the folder of a run to one for a device."""

import dataclasses
import math
import pathlib
import re

import numpy as np

from swr_keras import audio
from swr_keras.audio.clips import INT16_SCALE
from swr_keras.device import (
    Bundle,
    CSources,
    DeploymentSizes,
    DeviceTask,
    EmulatedCheck,
    EmulatorError,
    MissingToolError,
    Patch,
    bundle_manifest,
    check_emulated,
    check_patch_emulated,
    deployment_sizes,
    read_bundle_manifest,
    to_c,
    write_firmware,
)
from swr_keras.device.c_array import write_c_array
from swr_keras.device.c_folders import C_FOLDERS
from swr_keras.device.firmware import IMAGE
from swr_keras.export.flatbuffer import parse, read_model
from swr_keras.export.manifest import read_manifest
from swr_keras.files import write_atomically, write_json
from swr_keras.jobs.accuracy import Accuracy, bundle_accuracy, told_accuracy
from swr_keras.jobs.bundle import bundle_file
from swr_keras.jobs.run import FILE as RESULTS
from swr_keras.jobs.run import Run
from swr_keras.jobs.table import aligned
from swr_keras.model_files import load_model
from swr_keras.recipes.deploy_settings import DeploySettings
from swr_keras.reporting import render_deployment
from swr_keras.streaming import stream_features
from swr_keras.tasks import TaskPack

_MORE_FRAMES = 30
_BESIDE = ("frontend", "bundle")
_PACK = ".safetensors"

_FILES = {
    "bundle.bin": "all tasks in one image for TFLite Micro",
    "bundle.json": "labels, front end and scales of its tasks",
    "c/": "the tasks as C11 without a runtime, with the front end and the reader of bundles",
    "sizes.json": "all numbers of this page, accuracies aside",
}


@dataclasses.dataclass(frozen=True)
class _Added:
    """A task that is added: the bundle before, the patch that adds it, and how well it does."""

    name: str
    before: Bundle
    patch: Patch
    accuracy: Accuracy

    @property
    def after(self) -> Bundle:
        return self.before.patched(self.patch)


def run(settings: DeploySettings) -> None:
    """Runs the recipe and prints what everything takes.

    Raises:
        FileNotFoundError: If the run, or a task to add, isn't there.
        ImportError: If TFLite Micro's kernels aren't installed.
        OSError: If the folder can't be written.
        ValueError: If a file is damaged, of another base or front end, or the image is too small.
    """
    path = _bundle_of(settings)
    found = Bundle.load(path)
    front_end = read_bundle_manifest(path, found)["front_end"]
    heard = audio.front_end_from(front_end)
    bundle = found.rebuilt(image_bytes=settings.image_bytes, slot_bytes=settings.slot_bytes)
    folder = pathlib.Path(settings.output_dir or path.with_name(f"deploy_{path.stem}"))
    accuracy = _accuracy(path)
    added = _add(bundle, front_end, settings)
    accuracy |= {each.name: each.accuracy for each in added}
    bundle = added[-1].after if added else bundle
    sources = to_c(bundle, keep_trunk=settings.keep_trunk)
    sizes = deployment_sizes(bundle, sources, {each.name: each.patch.num_bytes for each in added})
    print(_table(sizes), flush=True)
    checked = _check(bundle, sources, added, heard, settings.cpu)
    print(f"\n{checked}", flush=True)
    page = render_deployment(
        sizes,
        title=f"{len(bundle.names)} tasks on a device",
        accuracy=accuracy,
        emulated=checked,
        files=_files(added, heard),
    )
    description = bundle_manifest(bundle, front_end)
    folder.mkdir(parents=True, exist_ok=True)
    bundle.save(folder / "bundle.bin")
    write_json(folder / "bundle.json", description)
    for each in added:
        each.patch.save(folder / f"{each.name}.patch")
    _write_c(folder / "c", sources)
    _write_firmware(folder / "firmware", bundle, front_end, heard)
    emulated = None if isinstance(checked, str) else dataclasses.asdict(checked)
    write_json(folder / "sizes.json", {**dataclasses.asdict(sizes), "emulated": emulated})
    write_atomically(folder / "report.html", page.encode())
    print(f"\nWritten to {folder}; open {folder / 'report.html'}")


def _bundle_of(settings):
    """Returns the file of the run's bundle of the wanted cost."""
    folder = pathlib.Path(settings.run_dir)
    if not folder.is_dir():
        raise FileNotFoundError(
            f"There is no run in '{folder}'. Name the folder of a finished one."
        )
    found = sorted(folder.glob("bundle_c*_int8.bin"))
    if settings.target_cost is not None:
        wanted = f"{bundle_file(settings.target_cost)}.bin"
        found = [path for path in found if path.name == wanted]
    if len(found) != 1:
        names = [path.name for path in sorted(folder.glob("bundle_c*_int8.bin"))]
        raise ValueError(
            f"Expected one bundle in '{folder}'. Received: target_cost={settings.target_cost}, and "
            f"the bundles {names}. Name one of their costs, or finish the run."
        )
    return found[0]


def _accuracy(bundle_path: pathlib.Path) -> dict[str, Accuracy]:
    """Returns how well the tasks of a run's bundle do, as far as the run has results."""
    folder = bundle_path.parent
    if not (folder / RESULTS).is_file():
        return {}
    return bundle_accuracy(Run.load(folder), bundle_path.stem)


def _add(bundle, front_end, settings) -> list[_Added]:
    base, added = None, []
    for entry in settings.add:
        name, path = _name_and_path(entry)
        if name in bundle.names:
            raise ValueError(
                f"The bundle has a task '{name}' already. Received: add={entry!r}. Give it another "
                "name, as <name>=<file>."
            )
        if path.suffix == _PACK:
            base = base or load_model(pathlib.Path(settings.run_dir) / "base.keras")
            TaskPack.load(path).check_base(base)
            path = _int8_beside(path)
        task, accuracy = _device_task(path, front_end)
        added.append(_Added(name, bundle, bundle.add(name, task), accuracy))
        bundle = added[-1].after
    return added


def _name_and_path(entry):
    name, separator, path = entry.partition("=")
    if not separator or pathlib.PurePath(name).name != name:  # A path may have the sign, too.
        path = entry
        name = pathlib.Path(entry).absolute().parent.parent.name
    if not re.fullmatch(r"\w[\w.-]*", name):
        raise ValueError(
            "The name of a task is made of letters, digits, '_', '-' and '.', since a file is "
            f"named by it. Received: {name!r} in add={entry!r}. Name it as <name>=<file>."
        )
    return name, pathlib.Path(path)


def _int8_beside(pack):
    found = sorted(pack.parent.glob("*_int8.tflite"))
    if len(found) != 1:
        raise ValueError(
            f"Expected one int8 model beside the pack '{pack}', as a run writes it. Received: "
            f"{[path.name for path in found]}. Name the .tflite file instead."
        )
    return found[0]


def _device_task(path, front_end):
    model = read_model(path)
    described = read_manifest(path, model.data)
    if described["front_end"] != front_end:
        raise ValueError(
            f"'{path}' hears by another front end than the bundle: {described['front_end']} "
            f"instead of {front_end}. Train it with that of the bundle."
        )
    accuracy = told_accuracy(described, f"The manifest of '{path}'")
    return DeviceTask(model, described["labels"]), accuracy


def _files(added, heard):
    """What the folder has, with an explanation of a line of each."""
    image = "the image as a C array"
    if isinstance(heard, audio.MicroFrontend):
        image += ", and what else the keyword spotter is compiled with"
    patches = {f"{each.name}.patch": "what adds this task to a bundle" for each in added}
    return _FILES | {"firmware/": image} | patches


def _write_firmware(folder, bundle, front_end, heard):
    """Writes the image as C, and what else the keyword spotter needs if it has the front end."""
    folder.mkdir(exist_ok=True)
    if isinstance(heard, audio.MicroFrontend):
        write_firmware(folder, bundle, front_end)
    else:
        write_c_array(folder, bundle.image, IMAGE)


def _write_c(folder: pathlib.Path, sources: CSources):
    """Writes the generated sources, and what a program needs beside them."""
    sources.save(folder)
    for name in _BESIDE:
        for path in sorted(C_FOLDERS.joinpath(name).glob("*.[ch]")):
            write_atomically(folder / path.name, path.read_bytes())


def _table(sizes: DeploymentSizes) -> str:
    rows: list[tuple[str, ...]] = [("", "file", "bundle", "C")]
    listed = {**sizes.tasks, "shared": sizes.shared, "all": sizes.total}
    rows += [
        (name, f"{of.file_bytes:,}", f"{of.bundle_bytes:,}", f"{of.c_bytes:,}")
        for name, of in listed.items()
    ]
    lines = aligned(rows)
    ram = f"{sizes.arena_bytes:,} bytes of RAM for the networks"
    lines.append(f"Bytes of flash, of each task what no other one needs; {ram}.")
    steps = sorted({(sizes.shared_steps[name], count) for name, count in sizes.steps.items()})
    lines += [f"Tasks share the first {first} of {count} steps in C." for first, count in steps]
    lines += [f"Patch for '{name}': {count:,} bytes" for name, count in sizes.patches.items()]
    return "\n".join(lines)


def _check(bundle, sources, added, heard, cpu) -> EmulatedCheck | str:
    """Compares an emulated microcontroller with Python; returns why not, where that can't be."""
    if not isinstance(heard, audio.MicroFrontend):
        return f"Not checked on an emulated {cpu}: {type(heard).__name__} has no C front end."
    frames = max(parse(bundle.model(name)).inputs[0].shape[1] for name in bundle.names)
    pcm = _bursts(heard.window_samples + (frames + _MORE_FRAMES) * heard.hop_samples)
    features = stream_features(heard).feed(pcm / INT16_SCALE)[..., 0]
    try:
        found = check_emulated(bundle, sources, pcm, features, feature_scale=heard.scale, cpu=cpu)
        for each in added:
            check_patch_emulated(each.before, each.patch, cpu=cpu)
    except MissingToolError as error:
        return f"Not checked on an emulated {cpu}: {error}"
    except EmulatorError as error:
        raise ValueError(f"The sources fail on an emulated {cpu}: {error}") from error
    return found


def _bursts(samples):
    """Noise whose loudness and pitch change, the same each time."""
    random = np.random.default_rng(0)
    time = np.arange(samples) / samples
    tone = np.sin(samples * np.cumsum(0.1 + 0.6 * time) / samples)
    loudness = np.square(np.sin(6 * math.pi * time))
    noise = random.normal(size=samples)
    return np.clip(9000 * loudness * (tone + noise / 2) + 60 * noise, -32768, 32767).astype(
        np.int16
    )
