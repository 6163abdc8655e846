"""The page that tells what a run found: one HTML file that needs nothing else."""

import json
from collections.abc import Mapping
from typing import Any

from swr_keras.jobs.run import Run
from swr_keras.reporting.int8 import int8_view
from swr_keras.reporting.sizes import bars, pack_sizes
from swr_keras.reporting.task import all_curves, stage_title, task_view
from swr_keras.reporting.template import render
from swr_keras.reporting.usage import cpp_snippet, python_snippet

_TEMPLATE = "report.html.jinja"


def render_report(run: Run, *, title: str, files: Mapping[str, str] | None = None) -> str:
    """Renders a run as one self-contained HTML page: no script, no network, no other file.

    Args:
        run: The run; sections that it has nothing for are left out.
        title: Heading of the page.
        files: An explanation of a line by path in the run's folder.

    Returns:
        The page; the same run gives the same page.
    """
    return render(
        _TEMPLATE,
        title=title,
        base=run.base,
        base_curves=[c for r in run.results if r.kind == "base" for c in all_curves(r)],
        tasks=[task_view(run, task) for task in run.tasks],
        int8=int8_view(run),
        packs=pack_sizes(run),
        seconds=_seconds(run),
        files=files or {},
        usage=_usage(run),
        settings={name: _text(value) for name, value in run.settings.items()},
        versions=run.versions,
    )


def _seconds(run: Run) -> dict[str, Any]:
    """Seconds of each training as bars, and of all."""
    seconds = {
        _full_title(result, stage): value
        for result in run.results
        for stage, value in result.seconds.items()
    }
    total = sum(seconds.values())
    return {"bars": bars(seconds, ",.1f", whole=total), "total": f"{total:,.1f}"}


def _full_title(result, stage):
    title = stage_title(result, stage)
    return title if result.kind == "base" else f"{result.task}: {title}"


def _usage(run: Run) -> dict[str, str] | None:
    """How to use the first int8 model; `None` without one."""
    for result in run.results:
        if result.kind == "int8" and result.stem is not None and result.manifest is not None:
            return {
                "stem": result.stem,
                "front_end": result.manifest["front_end"]["class"],
                "python": python_snippet(result.stem, result.manifest),
                "cpp": cpp_snippet(result.stem.rpartition("/")[2], result.manifest),
            }
    return None


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
