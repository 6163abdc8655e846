"""The lines of a file of results, each a job of a benchmark and what came of it."""

import dataclasses
import json
import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from swr_keras.files import parse_json, read_bytes, write_atomically
from swr_keras.jobs.place import Outcome
from swr_keras.jobs.schema import conform

FILE = "results.jsonl"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Record(Outcome):
    """A finished job of a benchmark.

    Attributes:
        backbone: Architecture of the base.
        seed: Seed of everything random.
        fold: Fold of a cross-validation; `None` without one.
        address: `Job.address` of it.
        settings: What its outcome depends on besides seed, data and needs, resolved.
        tried: Whether it was done to find a learning rate alone, which it isn't that of.
    """

    backbone: str
    seed: int
    fold: int | None
    address: str
    settings: dict[str, Any]
    tried: bool = False

    @property
    def repetition(self) -> tuple[int, int | None]:
        """Seed and fold."""
        return self.seed, self.fold


def write_records(folder: Path, records: Iterable[Record]) -> None:
    """Writes a file of results, a JSON object a line, whole or not at all."""
    lines = [
        json.dumps(
            dataclasses.asdict(record) | {"result": record.result.as_dict()}, ensure_ascii=False
        )
        for record in records
    ]
    write_atomically(folder / FILE, "".join(f"{line}\n" for line in lines).encode())


def read_records(folder: str | os.PathLike) -> Sequence[Record]:
    """Reads what `write_records` wrote.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If a line is damaged; names it.
    """
    path = Path(folder) / FILE
    if not path.is_file():
        raise FileNotFoundError(f"There is no '{path}'. Name the folder of a benchmark.")
    records = []
    for number, line in enumerate(read_bytes(path, kind="results").splitlines(), start=1):
        try:
            records.append(conform(parse_json(line.decode()), Record, "It"))
        except (ValueError, RecursionError) as error:
            raise ValueError(f"Line {number} of '{path}' is no result: {error}") from None
    return records
