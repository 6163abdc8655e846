"""Which layers a task may change, and what that costs."""

import dataclasses
import json
import numbers
from collections.abc import Mapping, Sequence
from typing import Any

from swr_keras.files import parse_json

READINGS = ("budget", "threshold")
_FORMAT = "swr_keras.policy/1"
_ITEMS: dict[str, tuple[type, ...]] = {
    "layers": (str,),
    "num_parameters": (int,),
    "probabilities": (float, int),
    "selected": (bool,),
}


@dataclasses.dataclass(frozen=True)
class Policy:
    """A choice of layers for one target cost. A value: equal content, equal policy.

    The cost of a choice is its share of the parameters of all policy layers (head and batch norm
    aren't among them), so it is never below its share of the whole base.

    Attributes:
        layers: Paths of the policy layers, in the order of the model.
        num_parameters: Parameters of each layer.
        probabilities: Probability of each layer to be changed, in [0, 1].
        selected: Whether each layer is changed.
        target_cost: The cost asked for, in [0, 1].
        reading: How `selected` was read from the probabilities, see `from_probabilities`.
    """

    layers: tuple[str, ...]
    num_parameters: tuple[int, ...]
    probabilities: tuple[float, ...]
    selected: tuple[bool, ...]
    target_cost: float
    reading: str

    def __post_init__(self):
        _check_lengths(self.layers, self.num_parameters, self.probabilities, self.selected)
        if len(set(self.layers)) != len(self.layers):
            raise ValueError(f"The layers of a policy must differ. Received: {self.layers}.")
        if min(self.num_parameters) < 1:
            raise ValueError(
                f"Each policy layer needs parameters. Received: {self.num_parameters}."
            )
        if not all(0 <= p <= 1 for p in self.probabilities):
            raise ValueError(f"Probabilities must be in [0, 1]. Received: {self.probabilities}.")
        check_target_cost(self.target_cost)
        check_reading(self.reading)

    @classmethod
    def from_probabilities(
        cls,
        layers: Sequence[str],
        num_parameters: Sequence[int],
        probabilities: Sequence[float],
        target_cost: float,
        reading: str = "budget",
    ) -> "Policy":
        """Reads a choice from probabilities.

        Args:
            layers: Paths of the policy layers.
            num_parameters: Parameters of each layer.
            probabilities: Probability of each layer to be changed.
            target_cost: The cost asked for, in [0, 1].
            reading: `"budget"` takes the layers by falling probability, each that still fits, so
                the achieved cost is never above the target and no layer left out would fit.
                `"threshold"` takes every layer with a probability above 0.5 (section 2.2 of
                arXiv 2302.13435); its cost may lie on either side of the target.

        Raises:
            ValueError: For a cost outside [0, 1], another reading, or lengths that differ.
        """
        check_target_cost(target_cost)
        check_reading(reading)
        _check_lengths(layers, num_parameters, probabilities)
        probabilities = tuple(float(p) for p in probabilities)
        if reading == "threshold":
            selected = tuple(p > 0.5 for p in probabilities)
        else:
            selected = _fill_budget(num_parameters, probabilities, target_cost)
        return cls(
            layers=tuple(layers),
            num_parameters=tuple(int(n) for n in num_parameters),
            probabilities=probabilities,
            selected=selected,
            target_cost=float(target_cost),
            reading=reading,
        )

    @classmethod
    def from_layers(cls, sizes: Mapping[str, int], selected: Sequence[str]) -> "Policy":
        """Makes a choice by hand; its target cost is what it costs.

        Args:
            sizes: Parameters of each policy layer by path, in the order of the model.
            selected: Paths of the layers to change.

        Raises:
            ValueError: If a path is none of a policy layer.
        """
        unknown = [path for path in selected if path not in sizes]
        if unknown or isinstance(selected, str):
            raise ValueError(
                f"Expected paths of policy layers, some of {list(sizes)}. Received: {selected!r}."
            )
        owned = sum(sizes[path] for path in set(selected))
        return cls(
            layers=tuple(sizes),
            num_parameters=tuple(sizes.values()),
            probabilities=tuple(float(path in selected) for path in sizes),
            selected=tuple(path in selected for path in sizes),
            target_cost=owned / sum(sizes.values()),
            reading="threshold",
        )

    @property
    def selected_layers(self) -> tuple[str, ...]:
        """Paths of the layers that are changed."""
        return tuple(p for p, chosen in zip(self.layers, self.selected, strict=True) if chosen)

    @property
    def owned_parameters(self) -> int:
        """Parameters in the layers that are changed."""
        pairs = zip(self.num_parameters, self.selected, strict=True)
        return sum(n for n, chosen in pairs if chosen)

    @property
    def achieved_cost(self) -> float:
        """Share of the policy layers' parameters that is changed, in [0, 1]."""
        return self.owned_parameters / sum(self.num_parameters)

    @property
    def smallest_cost(self) -> float:
        """Share of the smallest policy layer's parameters: below it no layer fits a budget."""
        return min(self.num_parameters) / sum(self.num_parameters)

    @property
    def expected_cost(self) -> float:
        """Cost expected of a draw from the probabilities, in [0, 1]."""
        pairs = zip(self.num_parameters, self.probabilities, strict=True)
        return sum(n * p for n, p in pairs) / sum(self.num_parameters)

    def as_dict(self) -> dict[str, Any]:
        """Returns the policy as a dict that JSON can express."""
        return {"format": _FORMAT, **dataclasses.asdict(self)}

    def to_json(self) -> str:
        """Returns the policy as a JSON object."""
        return json.dumps(self.as_dict(), indent=1)

    @classmethod
    def from_json(cls, text: str) -> "Policy":
        """Reads what `to_json` wrote.

        Raises:
            ValueError: If the text is not such a JSON object.
        """
        try:
            fields = parse_json(text)
        except ValueError as error:
            raise ValueError(f"A policy must be JSON. Received: {text[:60]!r} ({error}).") from None
        return cls.from_dict(fields)

    @classmethod
    def from_dict(cls, fields: Any) -> "Policy":
        """Reads what `as_dict` gave.

        Raises:
            ValueError: If a field is missing, unknown or of another type.
        """
        if not isinstance(fields, dict) or fields.get("format") != _FORMAT:
            raise ValueError(f"Expected a policy of format '{_FORMAT}'. Received: {fields!r:.60}.")
        fields = {name: value for name, value in fields.items() if name != "format"}
        names = {field.name for field in dataclasses.fields(cls)}
        if set(fields) != names:
            raise ValueError(
                f"A policy has the fields {sorted(names)}. Received: {sorted(fields)}; "
                f"missing {sorted(names - set(fields))}, unknown {sorted(set(fields) - names)}."
            )
        for name, kinds in _ITEMS.items():
            if not isinstance(fields[name], list | tuple) or not all(
                type(item) in kinds for item in fields[name]
            ):
                raise ValueError(
                    f"`{name}` of a policy must be a list of "
                    f"{' or '.join(kind.__name__ for kind in kinds)}. Received: "
                    f"{fields[name]!r:.80}."
                )
            fields[name] = tuple(fields[name])
        return cls(**fields)

    def __str__(self) -> str:
        total, width = sum(self.num_parameters), max(len(path) for path in self.layers)
        rows = zip(self.layers, self.num_parameters, self.probabilities, self.selected, strict=True)
        lines = [f"{'layer':<{width}}  {'parameters':>10}  {'share':>6}  {'p':>5}  changed"]
        lines += [
            f"{path:<{width}}  {n:>10,}  {n / total:>6.1%}  {p:>5.2f}  {'yes' if chosen else '-'}"
            for path, n, p, chosen in rows
        ]
        lines.append(
            f"{sum(self.selected)} of {len(self.layers)} layers changed, "
            f"{self.owned_parameters:,} of {total:,} parameters: achieved cost "
            f"{self.achieved_cost:.3f} for a target of {self.target_cost:.3f} ({self.reading})"
        )
        return "\n".join(lines)


def check_target_cost(target_cost: float | None):
    """Raises ValueError unless a target cost is a number in [0, 1]."""
    is_number = isinstance(target_cost, numbers.Real) and not isinstance(target_cost, bool)
    if not is_number or not 0 <= float(target_cost) <= 1:  # type: ignore[arg-type]
        raise ValueError(
            "A target cost is the share of the base's parameters that a task may own, a number "
            f"from 0 to 1. Received: {target_cost!r}."
        )


def check_reading(reading: str):
    """Raises ValueError unless `reading` is a way to read a policy from probabilities."""
    if reading not in READINGS:
        raise ValueError(
            f"The reading of a policy must be one of {READINGS}. Received: {reading!r}."
        )


def _check_lengths(*fields):
    lengths = sorted({len(field) for field in fields})
    if len(lengths) != 1 or lengths == [0]:
        raise ValueError(
            "A policy needs layers, num_parameters, probabilities and selected of one length "
            f"above 0. Received lengths: {lengths}."
        )


def _fill_budget(num_parameters, probabilities, target_cost):
    total = sum(num_parameters)
    selected, owned = [False] * len(probabilities), 0
    for index in sorted(range(len(probabilities)), key=lambda i: -probabilities[i]):
        if (owned + num_parameters[index]) / total <= target_cost:
            selected[index] = True
            owned += num_parameters[index]
    return tuple(selected)
