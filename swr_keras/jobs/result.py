"""What one job found."""

import base64
import dataclasses
from typing import Any

import numpy as np

KINDS = ("base", "search", "model", "int8")
History = dict[str, list[float]]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Result:
    """What one job found; a value that JSON can express.

    Attributes:
        kind: "base" (a base was trained or given), "search" (a policy for every cost was learned),
            "model" (a model was adapted to a task, or the base tried on it) or "int8" (such a
            model was converted).
        title: What the job is, for people; unique in a run.
        task: Name of the task; "base" for a base.
        method: Name of the method, as in tables; empty for a base and a search.
        target_cost: Share of the parameters that the task was to own; `None` where there is none.
        achieved_cost: Share that it owns.
        changed_layers: Paths of the layers that it changes.
        owned_bytes: Bytes of what it owns, in float32.
        validation_accuracy, testing_accuracy: Shares of right answers, in [0, 1].
        right: Which examples of the test split were got right, see `pack_bits`.
        confusion: Test examples by true class (rows) and class found (columns).
        histories: Logs by epoch of each training, as in `keras.callbacks.History.history`.
        seconds: Seconds of each training.
        policy_curve: See `training.policy_curve`.
        tracking_error: See `PolicySearch.grid_error`.
        stem: Path of the files of an int8 model in the run's folder, without their endings.
        manifest: Its manifest.
    """

    kind: str
    title: str
    task: str
    method: str = ""
    target_cost: float | None = None
    achieved_cost: float | None = None
    changed_layers: tuple[str, ...] | None = None
    owned_bytes: int | None = None
    validation_accuracy: float | None = None
    testing_accuracy: float | None = None
    right: str | None = None
    confusion: tuple[tuple[int, ...], ...] | None = None
    histories: dict[str, History] = dataclasses.field(default_factory=dict)
    seconds: dict[str, float] = dataclasses.field(default_factory=dict)
    policy_curve: dict[str, Any] | None = None
    tracking_error: float | None = None
    stem: str | None = None
    manifest: dict[str, Any] | None = None

    def __post_init__(self):
        if self.kind not in KINDS:
            raise ValueError(f"The kind of a result is one of {KINDS}. Received: {self.kind!r}.")
        for name in ("validation_accuracy", "testing_accuracy"):
            value = getattr(self, name)
            if value is not None and not 0 <= value <= 1:
                raise ValueError(f"'{self.title}' needs {name} in [0, 1]. Received: {value!r}.")

    @property
    def name(self) -> str:
        """The method as tables call it, such as "SWR" or "SWR int8"."""
        return f"{self.method} int8" if self.kind == "int8" else self.method

    def both_right(self, other: "Result", examples: int) -> float:
        """Returns the share of the test examples that this result and another got right.

        Raises:
            ValueError: If one of them doesn't say which it got right.
        """
        return float((self._hits(examples) & other._hits(examples)).mean())

    def _hits(self, examples):
        if self.right is None:
            raise ValueError(f"'{self.title}' doesn't say which examples it got right.")
        return unpack_bits(self.right, examples)

    def as_dict(self) -> dict[str, Any]:
        """Returns all that isn't at its default, as a dict that JSON can express."""
        defaults = Result(kind="base", title="", task="")
        values = dataclasses.asdict(self)
        return {
            name: value
            for name, value in values.items()
            if name in ("kind", "title", "task") or value != getattr(defaults, name)
        }

    @classmethod
    def from_dict(cls, values: Any) -> "Result":
        """Reads what `as_dict` wrote; fields that it doesn't have are at their defaults.

        Raises:
            ValueError: If a field is unknown, of another type or lacks.
        """
        names = {field.name for field in dataclasses.fields(cls)}
        if not isinstance(values, dict) or not set(values) <= names:
            unknown = sorted(set(values) - names) if isinstance(values, dict) else values
            raise ValueError(
                f"A result has the fields {sorted(names)}. Received: {unknown!r:.200}."
            )
        values = dict(values)
        if values.get("changed_layers") is not None:
            values["changed_layers"] = tuple(values["changed_layers"])
        if values.get("confusion") is not None:
            values["confusion"] = tuple(map(tuple, values["confusion"]))
        try:
            return cls(**values)
        except TypeError as error:
            raise ValueError(f"A field of a result lacks or is of another type: {error}.") from None


def pack_bits(hits: np.ndarray) -> str:
    """Writes booleans `(n,)` as text, eight to a byte, base64."""
    return base64.b64encode(np.packbits(hits).tobytes()).decode()


def unpack_bits(text: str, count: int) -> np.ndarray:
    """Reads `count` booleans that `pack_bits` wrote.

    Raises:
        ValueError: If the text isn't of so many.
    """
    data = np.frombuffer(base64.b64decode(text, validate=True), np.uint8)
    if len(data) != -(-count // 8):
        raise ValueError(f"Expected {count} bits. Received: {len(data)} bytes.")
    return np.unpackbits(data, count=count).astype(bool)
