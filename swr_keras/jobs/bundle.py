"""The bundles of a run: all its tasks in one image, for each target cost."""

import pathlib

from swr_keras.device import Bundle, DeviceTask, write_bundle
from swr_keras.device.bundle_table import NAME_BYTES
from swr_keras.export.flatbuffer import parse
from swr_keras.jobs.int8 import c_name, hashed_name
from swr_keras.jobs.run import Run


def write_bundles(run: Run, folder: pathlib.Path) -> list[str]:
    """Writes a bundle of all tasks for each target cost; returns a sentence on each.

    Args:
        run: A finished run.
        folder: Its folder, with its int8 files.
    """
    labels = {task.name: task.labels for task in run.tasks}
    tasks: dict[float | None, dict[str, DeviceTask]] = {}
    for result in run.results:
        if result.kind == "int8" and result.stem:
            model = parse((folder / f"{result.stem}.tflite").read_bytes())
            fits = len(result.task.encode()) <= NAME_BYTES
            name = result.task if fits else hashed_name(result.task)
            at_cost = tasks.setdefault(result.target_cost, {})
            at_cost[name] = DeviceTask(model, labels[result.task])
    return [_write(folder, cost, each) for cost, each in tasks.items()]


def _write(folder, cost, tasks):
    bundle, name = Bundle.build(tasks), c_name("bundle", cost)
    write_bundle(folder, bundle, name=name)
    files = sum(len(task.model.data) for task in tasks.values())
    return (
        f"{name}.bin has {len(tasks)} tasks for TFLite Micro in {len(bundle.image):,} bytes, which "
        f"take {files:,} as files; {max(bundle.own_bytes.values()):,} at most are one task's own."
    )
