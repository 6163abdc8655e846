"""The bundles of a run: all its tasks in one image, for each target cost."""

import pathlib

from swr_keras.device import Bundle, DeviceTask, write_bundle
from swr_keras.device.bundle_table import NAME_BYTES
from swr_keras.export.flatbuffer import parse
from swr_keras.jobs.base import read_labels
from swr_keras.jobs.int8 import BASE_INT8, c_name, hashed_name
from swr_keras.jobs.result import BASE
from swr_keras.jobs.run import Run


def write_bundles(run: Run, folder: pathlib.Path) -> list[str]:
    """Writes a bundle of all tasks for each target cost; returns a sentence on each.

    The base is in it as one more task, where its classes are known: what a task doesn't change is
    there then, whichever other tasks there are, and one that is added later brings its own alone.

    Args:
        run: A finished run.
        folder: Its folder, with its int8 files.
    """
    labels = {task.name: task.labels for task in run.tasks}
    base = _base(folder)
    tasks: dict[float | None, dict[str, DeviceTask]] = {}
    front_ends = {}
    for result in run.results:
        if result.kind == "int8" and result.stem and result.manifest:
            model = parse((folder / f"{result.stem}.tflite").read_bytes())
            at_cost = tasks.setdefault(result.target_cost, dict(base))
            at_cost[bundle_task(result.task)] = DeviceTask(model, labels[result.task])
            front_ends[result.target_cost] = result.manifest["front_end"]
    return [_write(folder, cost, each, front_ends[cost]) for cost, each in tasks.items()]


def bundle_task(task: str) -> str:
    """Returns the name of a run's task in its bundles, where names are short."""
    return task if len(task.encode()) <= NAME_BYTES else hashed_name(task)


def bundle_file(cost: float | None) -> str:
    """Returns the name of the bundle of a target cost, without its ending."""
    return c_name("bundle", cost)


def _base(folder):
    labels = read_labels(folder)
    if labels is None:
        return {}
    return {BASE: DeviceTask(parse((folder / BASE_INT8).read_bytes()), labels)}


def _write(folder, cost, tasks, front_end):
    bundle, name = Bundle.build(tasks), bundle_file(cost)
    write_bundle(folder, bundle, name=name, front_end=front_end)
    files = sum(len(task.model.data) for task in tasks.values())
    own = [count for task, count in bundle.own_bytes.items() if task != BASE]
    return (
        f"{name}.bin has {' and '.join(tasks)} for TFLite Micro in {len(bundle.image):,} bytes, "
        f"which take {files:,} as files; {max(own):,} at most are one task's own."
    )
