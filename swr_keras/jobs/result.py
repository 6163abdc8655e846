"""What one job found."""

import base64
import dataclasses
from typing import Any, TypedDict

import numpy as np

from swr_keras.jobs.schema import conform

KINDS = ("base", "search", "policy", "model", "int8")
History = dict[str, list[float | None]]

_SHARES = ("target_cost", "achieved_cost", "validation_accuracy", "testing_accuracy")

# Policies whose losses on the super-net are told.
LOSSES = ("chosen", "network", "random_best", "random_mean", "random_worst")

# Names of the methods that tables and pages compare.
BASE, CLASSIFIER, FINE_TUNING, SWR = "base", "classifier-only", "fine-tuning all", "SWR"
CLASSIFIER_AND_NORM = "classifier + batch norm"


class PolicyCurve(TypedDict):
    """What a page needs of a policy curve."""

    layers: list[str]
    sizes: list[int]
    kinds: list[str]
    costs: list[float]
    probabilities: list[list[float]]
    expected: list[float]
    threshold: list[float]
    budget: list[float]


FrontEnd = TypedDict("FrontEnd", {"class": str})


class InputTensor(TypedDict):
    """How the input of an int8 model is quantized."""

    shape: list[int]
    scale: float
    zero_point: int


class Arena(TypedDict):
    """Working memory of an int8 model."""

    bytes_host_estimate: int


class Manifest(TypedDict):
    """What a page needs of the manifest of an int8 model."""

    size_bytes: int
    labels: list[str]
    front_end: FrontEnd
    input: InputTensor
    operators: dict[str, int]
    arena: Arena | None


@dataclasses.dataclass(frozen=True, kw_only=True)
class Result:
    """What one job found; a value that JSON can express.

    Attributes:
        kind: "base" (a base was trained or given), "search" (a policy for every cost was learned),
            "policy" (layers were chosen for a target cost), "model" (a model was adapted to a task,
            or the base tried on it) or "int8" (such a model was converted).
        title: What the job is, for people; unique in a run.
        task: Name of the task; "base" for a base.
        method: Row of the method in tables, `Method.row`; empty for a base and a search.
        differences: Of a search and a policy, what tells them from others of the same task, see
            `SWR.search_differences`.
        target_cost: Share of the parameters that the task was to own; `None` where there is none.
        achieved_cost: Share that it owns.
        changed_layers: Paths of the layers that it changes.
        owned_parameters: Parameters that it owns, see `accounting.owned_parameters`; of a base,
            see `accounting.base_parameters`.
        owned_bytes: Bytes of what it owns, in float32.
        flash_bytes: Bytes that one more such task takes in flash, see `accounting.summary`.
        multiplies: Multiplies for one example, see `accounting.summary`.
        batch_norm: What of batch norm is the task's, see `layers.TaskNormalization`; empty for a
            base and a search.
        validation_accuracy, testing_accuracy: Shares of right answers, in [0, 1].
        accuracy_in: Share of right answers on the test examples in further conditions, by name.
        right: Which examples of the test split were got right, see `pack_bits`.
        confusion: Test examples by true class (rows) and class found (columns).
        histories: Logs by epoch of each training, as in `keras.callbacks.History.history`; `None`
            for what is NaN or infinite.
        seconds: Seconds of each training.
        policy_curve: See `LearnedPolicies.curve`.
        tracking_error: See `PolicySearch.grid_error`.
        policy_losses: Losses on the super-net by policy: the one chosen, the network's own, and
            the best, the mean and the worst of random ones, see `training.refinement.Refined`.
        stem: Path of the files of an int8 model, without their endings: in the folder of the run,
            or, of a job in a store, in its own.
        manifest: Its manifest.
    """

    kind: str
    title: str
    task: str
    method: str = ""
    differences: tuple[str, ...] = ()
    target_cost: float | None = None
    achieved_cost: float | None = None
    changed_layers: tuple[str, ...] | None = None
    owned_parameters: int | None = None
    owned_bytes: int | None = None
    flash_bytes: int | None = None
    multiplies: int | None = None
    batch_norm: str = ""
    validation_accuracy: float | None = None
    testing_accuracy: float | None = None
    accuracy_in: dict[str, float] = dataclasses.field(default_factory=dict)
    right: str | None = None
    confusion: tuple[tuple[int, ...], ...] | None = None
    histories: dict[str, History] = dataclasses.field(default_factory=dict)
    seconds: dict[str, float] = dataclasses.field(default_factory=dict)
    policy_curve: dict[str, Any] | None = None
    tracking_error: float | None = None
    policy_losses: dict[str, float] | None = None
    stem: str | None = None
    manifest: dict[str, Any] | None = None

    def __post_init__(self):
        if self.kind not in KINDS:
            raise ValueError(f"The kind of a result is one of {KINDS}. Received: {self.kind!r}.")
        for name in _SHARES:
            value = getattr(self, name)
            if value is not None and not 0 <= value <= 1:
                raise ValueError(f"'{self.title}' needs {name} in [0, 1]. Received: {value!r}.")
        if not all(0 <= value <= 1 for value in self.accuracy_in.values()):
            raise ValueError(
                f"'{self.title}' needs accuracies in [0, 1]. Received: {self.accuracy_in}."
            )
        if self.kind in ("model", "int8") and (not self.method or self.testing_accuracy is None):
            raise ValueError(
                f"'{self.title}' is a model, so it needs a method and its testing_accuracy. "
                f"Received: {self.method!r}, {self.testing_accuracy!r}."
            )
        if any(count < 0 for row in self.confusion or () for count in row):
            raise ValueError(f"'{self.title}' needs counts of 0 or more in its confusion.")
        costs = (self.target_cost, self.achieved_cost, self.changed_layers)
        if self.kind in ("model", "int8") and self.method == SWR and None in costs:
            raise ValueError(
                f"'{self.title}' is a model of SWR, so it needs target_cost, achieved_cost and "
                f"changed_layers. Received: {costs}."
            )
        if self.policy_losses is not None and set(self.policy_losses) != set(LOSSES):
            raise ValueError(
                f"'{self.title}' needs the losses of {LOSSES}. Received: {self.policy_losses}."
            )
        if self.policy_curve is not None:
            _check_curve(self.policy_curve, f"'{self.title}'['policy_curve']")
        if self.manifest is not None:
            conform(self.manifest, Manifest, f"'{self.title}'['manifest']")

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
        return conform(values, cls, "A result")


def _check_curve(curve, where):
    conform(curve, PolicyCurve, where)
    for names in (
        ("layers", "sizes", "kinds"),
        ("costs", "probabilities", "expected", "threshold", "budget"),
    ):
        lengths = {name: len(curve[name]) for name in names}
        if len(set(lengths.values())) > 1 or not all(lengths.values()):
            raise ValueError(f"{where} needs lists of one length. Received: lengths {lengths}.")
    if {len(each) for each in curve["probabilities"]} != {len(curve["layers"])}:
        raise ValueError(f"{where} needs a probability of each layer at each cost.")
    if min(curve["sizes"]) < 1:
        raise ValueError(f"{where} needs layers of a size of 1 or more.")


def pack_bits(hits: np.ndarray) -> str:
    """Writes booleans `(n,)` as text, eight to a byte, base64."""
    return base64.b64encode(np.packbits(hits).tobytes()).decode()


def unpack_bits(text: str, count: int) -> np.ndarray:
    """Reads `count` booleans that `pack_bits` wrote.

    Raises:
        ValueError: If the text isn't of so many.
    """
    try:
        data = np.frombuffer(base64.b64decode(text, validate=True), np.uint8)
    except ValueError as error:
        raise ValueError(f"Expected bits as base64. Received: {text!r:.100} ({error}).") from None
    if len(data) != -(-count // 8):
        raise ValueError(f"Expected {count} bits. Received: {len(data)} bytes.")
    return np.unpackbits(data, count=count).astype(bool)
