"""The page that tells what the tasks of a device take: one HTML file that needs nothing else."""

import dataclasses
from collections.abc import Mapping
from typing import Any

from swr_keras.device import DeploymentSizes, EmulatedCheck, FlashBytes
from swr_keras.jobs.accuracy import Accuracy
from swr_keras.reporting.deployment_figures import (
    EXPECTED_TASKS,
    FORMS,
    PlacedTask,
    accuracy_of_tasks,
    further_bytes,
    growth_of_flash,
)
from swr_keras.reporting.intervals import wilson_interval
from swr_keras.reporting.results import percent
from swr_keras.reporting.template import render

_TEMPLATE = "deployment.html.jinja"


@dataclasses.dataclass(frozen=True)
class SizeRow:
    """A row of the table of sizes; what isn't known is empty.

    Attributes:
        name: A task, or what the row sums up.
        is_total: Whether it is the sum of all others.
        sizes: Bytes of flash in each of `FORMS`.
        as_float, as_int8, spread: Test accuracy, and the 95 % interval of that as int8.
    """

    name: str
    is_total: bool
    sizes: tuple[str, ...]
    as_float: str = ""
    as_int8: str = ""
    spread: str = ""


def render_deployment(
    sizes: DeploymentSizes,
    *,
    title: str,
    accuracy: Mapping[str, Accuracy] | None = None,
    emulated: EmulatedCheck | str,
    files: Mapping[str, str] | None = None,
) -> str:
    """Renders a deployment as one self-contained HTML page: no script, no network, no other file.

    Args:
        sizes: What its tasks take.
        title: Heading of the page.
        accuracy: How well tasks do, by name, where that is known.
        emulated: What the check on an emulated microcontroller found, or why there is none.
        files: An explanation of a line by path in the folder of the deployment.

    Returns:
        The page; the same deployment gives the same page.
    """
    known = {name: each for name, each in (accuracy or {}).items() if name in sizes.tasks}
    placed = [
        PlacedTask(name, sizes.tasks[name], each)
        for name, each in known.items()
        if each.as_int8 is not None
    ]
    count = len(sizes.growth)
    return render(
        _TEMPLATE,
        title=title,
        names=list(sizes.tasks),
        all=_formatted(sizes.growth[-1]),
        further={form: f"{value:,.0f}" for form, value in further_bytes(sizes.growth).items()},
        expected=EXPECTED_TASKS if 1 < count < EXPECTED_TASKS else None,
        growth=growth_of_flash(sizes.growth),
        accuracy=accuracy_of_tasks(placed) if placed else None,
        forms=list(FORMS.values()),
        rows=_rows(sizes, known),
        sizes=sizes,
        emulated=_emulated(emulated),
        unchecked=emulated if isinstance(emulated, str) else "",
        files=files or {},
    )


def _formatted(size: FlashBytes) -> dict[str, str]:
    return {form: f"{getattr(size, form):,}" for form in FORMS}


def _rows(sizes: DeploymentSizes, accuracy: Mapping[str, Accuracy]) -> list[SizeRow]:
    rows = [
        SizeRow(name, False, tuple(_formatted(size).values()), **_told(accuracy.get(name)))
        for name, size in sizes.tasks.items()
    ]
    rows.append(SizeRow("shared by several", False, tuple(_formatted(sizes.shared).values())))
    return [*rows, SizeRow("all", True, tuple(_formatted(sizes.total).values()))]


def _told(accuracy: Accuracy | None) -> dict[str, str]:
    if accuracy is None:
        return {}
    told = {
        name: percent(share)
        for name, share in (("as_float", accuracy.as_float), ("as_int8", accuracy.as_int8))
        if share is not None
    }
    if accuracy.as_int8 is not None and accuracy.examples is not None:
        low, high = wilson_interval(accuracy.as_int8, accuracy.examples)
        told["spread"] = f"{100 * low:.1f} to {100 * high:.1f}"
    return told


def _emulated(found: EmulatedCheck | str) -> dict[str, Any] | None:
    if isinstance(found, str):
        return None
    instructions = found.instructions_per_inference
    return {
        "cpu": found.cpu,
        "compared": f"{found.features:,} features and {found.outputs:,} outputs",
        "values": {
            **{f"instructions an inference, {name}": f"{n:,}" for name, n in instructions.items()},
            "instructions a frame of the front end": f"{found.instructions_per_frame:,}",
            "bytes of RAM": f"{found.ram_bytes:,}",
            "bytes of flash, code included": f"{found.flash_bytes:,}",
        },
    }
