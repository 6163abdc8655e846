"""The page of a benchmark: one HTML file that needs nothing else."""

import json
from collections.abc import Iterable, Mapping, Sequence
from statistics import fmean
from typing import Any

from swr_keras.jobs.benchmark_results import MULTILINGUAL, BenchmarkResults, Row
from swr_keras.jobs.benchmark_table import SPLITS, Table, ablations_tables, methods_table
from swr_keras.jobs.result import SWR
from swr_keras.reporting import benchmark_figures as figures
from swr_keras.reporting.arm_figure import Arm
from swr_keras.reporting.figures import Picture
from swr_keras.reporting.template import render

_TEMPLATE = "benchmark.html.jinja"


def benchmark_tables(results: BenchmarkResults) -> list[Table]:
    """Returns all tables of a benchmark, on test examples, then on validation examples."""
    if not results.backbones:
        return []
    return [
        table
        for split in SPLITS
        for table in (methods_table(results, split), *ablations_tables(results, split))
    ]


def render_benchmark(
    results: BenchmarkResults,
    *,
    title: str,
    tables: Sequence[Table],
    per_byte: Iterable[Picture],
    failures: Sequence[str] = (),
    notes: Sequence[str] = (),
    settings: Mapping[str, Any] | None = None,
) -> str:
    """Renders a benchmark as one self-contained HTML page: no script, no network, no other file.

    Args:
        results: The results.
        title: Heading of the page.
        tables: Its tables.
        per_byte: The pictures of `accuracy_per_byte`.
        failures: What wasn't done, and why.
        notes: What a reader must know of the data.
        settings: What was asked for, by name of the flag.
    """
    return render(
        _TEMPLATE,
        title=title,
        tables=tables,
        per_byte=list(per_byte),
        tracking=[
            figures.achieved_costs(found, name)
            for name in results.backbones
            if (found := results.searches(name))
        ],
        maps=[picture for name in results.backbones for picture in _maps(results, name)],
        failures=failures,
        notes=[*notes, *results.notes()],
        settings={
            name: json.dumps(value, ensure_ascii=False) for name, value in (settings or {}).items()
        },
        versions=_versions(results),
    )


def _versions(results):
    """All versions of each package that results were made with."""
    found: dict[str, dict[str, None]] = {}
    for record in results.records:
        for package, version in record.versions.items():
            found.setdefault(package, {})[version] = None
    return {package: ", ".join(versions) for package, versions in found.items()}


def accuracy_per_byte(results: BenchmarkResults) -> dict[str, Picture]:
    """Draws accuracy against the bytes of flash that one more task takes, for each backbone.

    Methods without results of all tasks are left out.
    """
    drawn = {}
    for backbone in results.backbones:
        if arms := _arms(results, backbone):
            base = Row(MULTILINGUAL)
            level = _mean(results, backbone, base, _testing)
            drawn[backbone] = figures.all_methods(arms, level, backbone)
    return drawn


def _arms(results, backbone):
    points: dict[str, list[tuple[float, float]]] = {}
    for row in results.rows(backbone):
        size = _mean(results, backbone, row, lambda result: result.flash_bytes)
        accuracy = _mean(results, backbone, row, _testing)
        if size is not None and accuracy is not None and not row.is_ablation:
            points.setdefault(row.method, []).append((size, accuracy))
    return [Arm(name, found, name == SWR) for name, found in points.items()]


def _mean(results, backbone, row, value):
    """The mean over tasks; `None` where a task lacks, which says nothing beside the others'."""
    found = results.by_task(backbone, row, value)
    return fmean(found) if found else None


def _testing(result):
    return result.testing_accuracy


def _maps(results: BenchmarkResults, backbone: str):
    for task in results.tasks:
        curves = results.searches(backbone, task).get(SWR)
        if curves:
            yield figures.policy_map(curves, f"{SWR} of {task} on {backbone}")
