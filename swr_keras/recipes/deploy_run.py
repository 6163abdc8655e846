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
    DeviceTask,
    EmulatorError,
    MissingToolError,
    Patch,
    bundle_manifest,
    check_emulated,
    check_patch_emulated,
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
from swr_keras.jobs.int8 import c_name
from swr_keras.jobs.table import aligned
from swr_keras.model_files import load_model
from swr_keras.recipes.deploy_settings import DeploySettings
from swr_keras.streaming import stream_features
from swr_keras.tasks import TaskPack

_MORE_FRAMES = 30
_BESIDE = ("frontend", "bundle")
_PACK = ".safetensors"


@dataclasses.dataclass(frozen=True)
class _Added:
    """A task that is added: its name, the bundle before, and the patch that adds it."""

    name: str
    before: Bundle
    patch: Patch

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
    added = _add(bundle, front_end, settings)
    bundle = added[-1].after if added else bundle
    sources = to_c(bundle, keep_trunk=settings.keep_trunk)
    sizes = _sizes(bundle, sources, added)
    print(_table(sizes), flush=True)
    sizes["emulated"] = _check(bundle, sources, added, heard, settings.cpu)
    description = bundle_manifest(bundle, front_end)
    folder.mkdir(parents=True, exist_ok=True)
    bundle.save(folder / "bundle.bin")
    write_json(folder / "bundle.json", description)
    for each in added:
        each.patch.save(folder / f"{each.name}.patch")
    _write_c(folder / "c", sources)
    _write_firmware(folder / "firmware", bundle, front_end, heard)
    write_json(folder / "sizes.json", sizes)
    print(f"\nWritten to {folder}")


def _bundle_of(settings):
    """Returns the file of the run's bundle of the wanted cost."""
    folder = pathlib.Path(settings.run_dir)
    if not folder.is_dir():
        raise FileNotFoundError(
            f"There is no run in '{folder}'. Name the folder of a finished one."
        )
    found = sorted(folder.glob("bundle_c*_int8.bin"))
    if settings.target_cost is not None:
        wanted = f"{c_name('bundle', settings.target_cost)}.bin"
        found = [path for path in found if path.name == wanted]
    if len(found) != 1:
        names = [path.name for path in sorted(folder.glob("bundle_c*_int8.bin"))]
        raise ValueError(
            f"Expected one bundle in '{folder}'. Received: target_cost={settings.target_cost}, and "
            f"the bundles {names}. Name one of their costs, or finish the run."
        )
    return found[0]


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
        patch = bundle.add(name, _device_task(path, front_end))
        added.append(_Added(name, bundle, patch))
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
    return DeviceTask(model, described["labels"])


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


def _sizes(bundle, sources, added):
    """What all tasks take, in bytes, as JSON can express it."""
    own = bundle.own_bytes
    table = bundle.table.slots * bundle.table.slot_bytes
    used = len(bundle.image) - bundle.table.segments[-1].offset
    return {
        "tasks": {
            name: {
                "file_bytes": len(bundle.extract(name)),
                "bundle_bytes": own[name],
                "c_bytes": sources.sizes.private_bytes[name],
                "steps": sources.steps[name],
                "shared_steps": sources.shared_steps[name],
            }
            for name in bundle.names
        },
        "shared": {
            "bundle_bytes": used - sum(own.values()),
            "c_bytes": sources.sizes.shared_bytes,
        },
        "table_bytes": table,
        "image_bytes": len(bundle.image),
        "arena_bytes": sources.sizes.arena_bytes,
        "patches": {each.name: each.patch.num_bytes for each in added},
    }


def _table(sizes):
    rows: list[tuple[str, ...]] = [("", "file", "bundle", "C")]
    rows += [
        (name, f"{of['file_bytes']:,}", f"{of['bundle_bytes']:,}", f"{of['c_bytes']:,}")
        for name, of in sizes["tasks"].items()
    ]
    shared = sizes["shared"]
    rows.append(("shared", "", f"{shared['bundle_bytes']:,}", f"{shared['c_bytes']:,}"))
    totals = (
        sum(of[kind] for of in sizes["tasks"].values()) + shared.get(kind, 0)
        for kind in ("file_bytes", "bundle_bytes", "c_bytes")
    )
    rows.append(("all", *(f"{total:,}" for total in totals)))
    lines = aligned(rows)
    ram = f"{sizes['arena_bytes']:,} bytes of RAM for the networks"
    lines.append(f"Bytes of flash, of each task what no other one needs; {ram}.")
    steps = sorted({(of["shared_steps"], of["steps"]) for of in sizes["tasks"].values()})
    lines += [f"Tasks share the first {first} of {count} steps in C." for first, count in steps]
    lines += [f"Patch for '{name}': {count:,} bytes" for name, count in sizes["patches"].items()]
    return "\n".join(lines)


def _check(bundle, sources, added, heard, cpu):
    """Compares an emulated microcontroller with Python, where that can be; says what came of it."""
    if not isinstance(heard, audio.MicroFrontend):
        print(f"\nNot checked on an emulated {cpu}: {type(heard).__name__} has no C front end.")
        return None
    frames = max(parse(bundle.model(name)).inputs[0].shape[1] for name in bundle.names)
    pcm = _bursts(heard.window_samples + (frames + _MORE_FRAMES) * heard.hop_samples)
    features = stream_features(heard).feed(pcm / INT16_SCALE)[..., 0]
    try:
        found = check_emulated(bundle, sources, pcm, features, feature_scale=heard.scale, cpu=cpu)
        for each in added:
            check_patch_emulated(each.before, each.patch, cpu=cpu)
    except MissingToolError as error:
        print(f"\nNot checked on an emulated {cpu}: {error}")
        return None
    except EmulatorError as error:
        raise ValueError(f"The sources fail on an emulated {cpu}: {error}") from error
    print(f"\n{found}", flush=True)
    return dataclasses.asdict(found)


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
