"""Tables of a benchmark: all methods on all backbones, and SWR beside its ablations."""

import dataclasses
from collections.abc import Callable, Sequence
from statistics import fmean

from swr_keras.jobs.benchmark_results import BenchmarkResults, Row
from swr_keras.jobs.intervals import mean_interval, paired_difference
from swr_keras.jobs.result import SWR, Result

SPLITS = ("testing", "validation")
_INT8 = "int8 minus float"


@dataclasses.dataclass(frozen=True)
class Table:
    """A table of texts.

    Attributes:
        title: What it shows.
        headings: Headings of its columns; the first one's cells are names, others numbers.
        rows: Its cells.
    """

    title: str
    headings: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]

    def markdown(self) -> str:
        """Returns it as Markdown."""
        rule = ["---", *["---:"] * (len(self.headings) - 1)]
        lines = [self.headings, rule, *self.rows]
        cells = [[cell.replace("|", r"\|") for cell in line] for line in lines]
        return "\n".join([f"**{self.title}**", "", *(f"| {' | '.join(line)} |" for line in cells)])


def methods_table(results: BenchmarkResults, split: str = "testing") -> Table:
    """Returns table 1 of the paper: all methods, on all backbones.

    Args:
        results: The results.
        split: Whose accuracy, one of `SPLITS`.
    """
    rows = [row for row in results.rows() if not row.is_ablation]
    return _table("All methods", results, rows, split, results.backbones)


def ablations_tables(results: BenchmarkResults, split: str = "testing") -> list[Table]:
    """Returns table 2 of the paper, SWR and its ablations, for each backbone that has some.

    Args:
        results, split: As for `methods_table`.
    """
    tables = []
    for backbone in results.backbones:
        rows = [row for row in results.rows(backbone) if row.is_ablation or row.method == SWR]
        if any(row.is_ablation for row in rows):
            rows.sort(key=lambda row: row.target_cost or 0.0)
            tables.append(_table("Ablations of SWR", results, rows, split, [backbone]))
    return tables


def _table(title, results, rows, split, backbones):
    columns = {
        f"{backbone}: {heading}" if len(backbones) > 1 else heading: cell
        for backbone in backbones
        for heading, cell in _columns(results, backbone, split).items()
        if heading != _INT8 or any(map(cell, rows))
    }
    of = "test" if split == "testing" else split
    count = results.repetitions
    over = f"mean and 95 % interval over {count} {results.repeated}s"
    if results.repeated == "fold":
        # Their training examples overlap, which Student's interval doesn't know.
        over += ", taken as independent"
    if count == 1:
        over = f"1 {results.repeated}"
    where = "" if len(backbones) > 1 else f" on {backbones[0]}"
    return Table(
        f"{title}{where}, {of} accuracy in %, {over}",
        ("method", "target cost", *columns),
        tuple(
            (
                row.method,
                "" if row.target_cost is None else f"{row.target_cost:g}",
                *(cell(row) for cell in columns.values()),
            )
            for row in rows
        ),
    )


def _columns(
    results: BenchmarkResults, backbone: str, split: str
) -> dict[str, Callable[[Row], str]]:
    def accuracy(result: Result) -> float | None:
        share = getattr(result, f"{split}_accuracy")
        return None if share is None else 100 * share

    def of_task(task):
        def cell(row):
            found = results.values(backbone, row, accuracy)
            return _interval([value for (_, of), value in found.items() if of == task])

        return cell

    def difference(row):
        reference = results.reference(backbone, row)
        if reference is None:
            return ""
        return _difference(
            results.values(backbone, row, accuracy),
            results.values(backbone, reference, accuracy),
        )

    def int8(row):
        return _difference(
            results.values(backbone, row, accuracy, kind="int8"),
            results.values(backbone, row, accuracy),
        )

    def mean(value: Callable[[Result], float | None], form: str) -> Callable[[Row], str]:
        def cell(row):
            found = results.by_task(backbone, row, value)
            return format(fmean(found), form) if found else ""

        return cell

    return {
        **{task: of_task(task) for task in results.tasks},
        "minus SWR": difference,
        _INT8: int8,
        "achieved cost": mean(lambda result: result.achieved_cost, ".3f"),
        "#Param": lambda row: _times(results.relative_parameters(backbone, row)),
        "#Mult": lambda row: _times(results.relative_multiplies(backbone, row)),
        "flash bytes": mean(lambda result: result.flash_bytes, ",.0f"),
    }


def _interval(values: Sequence[float]) -> str:
    return format(mean_interval(values), ".1f") if values else ""


def _difference(ours, theirs) -> str:
    found = paired_difference(ours, theirs)
    return "" if found is None else f"{found:+.1f}"


def _times(value: float | None) -> str:
    return "" if value is None else f"{value:.2f}x"
