"""Which layers a task may change, and what that costs."""

import dataclasses
import json
import numbers
from collections.abc import Mapping, Sequence
from typing import Any

from swr_keras.files import parse_json
from swr_keras.policy.budget import check_first_layer, fill_budget, first_index

READINGS = ("budget", "threshold", "refined")
COSTS = ("parameters", "flash")
_FORMAT, _FIRST_FORMAT = "swr_keras.policy/2", "swr_keras.policy/1"
_ITEMS: dict[str, tuple[type, ...]] = {
    "layers": (str,),
    "sizes": (int,),
    "probabilities": (float, int),
    "selected": (bool,),
}


@dataclasses.dataclass(frozen=True)
class Policy:
    """A choice of layers for one target cost. A value: equal content, equal policy.

    The cost of a choice is its share of the sizes of all policy layers. The head isn't among them,
    nor is batch norm, unless it has gates (`batch_norm="owned"`).

    Attributes:
        layers: Paths of the policy layers, in the order of the model.
        sizes: Size of each layer.
        probabilities: Probability of each layer to be changed, in [0, 1].
        selected: Whether each layer is changed.
        target_cost: The cost asked for, in [0, 1].
        reading: How `selected` was read from the probabilities, see `from_probabilities`; or
            "refined", see `training.refinement.refine`.
        cost: What the sizes are: "parameters" (section 2.3 of arXiv 2302.13435), or bytes of
            "flash" that a task takes on a device.
        first_layer: Path of the first layer that may be changed; `None` for the first one of all.
    """

    layers: tuple[str, ...]
    sizes: tuple[int, ...]
    probabilities: tuple[float, ...]
    selected: tuple[bool, ...]
    target_cost: float
    reading: str
    cost: str = "parameters"
    first_layer: str | None = None

    def __post_init__(self):
        _check_lengths(self.layers, self.sizes, self.probabilities, self.selected)
        if len(set(self.layers)) != len(self.layers):
            raise ValueError(f"The layers of a policy must differ. Received: {self.layers}.")
        if min(self.sizes) < 1:
            raise ValueError(f"The sizes of layers must be 1 or more. Received: {self.sizes}.")
        if not all(0 <= p <= 1 for p in self.probabilities):
            raise ValueError(f"Probabilities must be in [0, 1]. Received: {self.probabilities}.")
        check_target_cost(self.target_cost)
        check_reading(self.reading)
        check_cost(self.cost)
        if any(self.selected[: self.first_index]):
            raise ValueError(
                f"A policy changes no layer before its first_layer={self.first_layer!r}. Received: "
                f"{self.selected_layers}."
            )

    @classmethod
    def from_probabilities(
        cls,
        layers: Sequence[str],
        sizes: Sequence[int],
        probabilities: Sequence[float],
        target_cost: float,
        reading: str = "budget",
        cost: str = "parameters",
        first_layer: str | None = None,
    ) -> "Policy":
        """Reads a choice from probabilities.

        Args:
            layers: Paths of the policy layers.
            sizes: Size of each layer.
            probabilities: Probability of each layer to be changed.
            target_cost: The cost asked for, in [0, 1].
            reading: `"budget"` takes the layers by falling probability, each that still fits, so
                the achieved cost is never above the target and no layer left out would fit.
                `"threshold"` takes every layer with a probability above 0.5 (section 2.2 of
                arXiv 2302.13435); its cost may lie on either side of the target.
            cost: What the sizes are.
            first_layer: Path of the first layer that may be changed; those before it are left to
                the base. `None` for any.

        Raises:
            ValueError: For a cost outside [0, 1], another reading, lengths that differ, or a
                `first_layer` as `check_first_layer` refuses it.
        """
        check_target_cost(target_cost)
        check_reading(reading)
        if reading == "refined":
            raise ValueError(
                "A refined policy is found on a super-net, see `training.refinement.refine`. "
                "Received: reading='refined'; probabilities are read by 'budget' or 'threshold'."
            )
        _check_lengths(layers, sizes, probabilities)
        check_first_layer(dict(zip(layers, sizes, strict=True)), first_layer, target_cost)
        probabilities = tuple(float(p) for p in probabilities)
        first = first_index(layers, first_layer)
        if reading == "threshold":
            selected = tuple(i >= first and p > 0.5 for i, p in enumerate(probabilities))
        else:
            selected = fill_budget(sizes, probabilities, target_cost, first)
        return cls(
            layers=tuple(layers),
            sizes=tuple(int(n) for n in sizes),
            probabilities=probabilities,
            selected=selected,
            target_cost=float(target_cost),
            reading=reading,
            cost=cost,
            first_layer=first_layer,
        )

    @classmethod
    def from_layers(
        cls, sizes: Mapping[str, int], selected: Sequence[str], cost: str = "parameters"
    ) -> "Policy":
        """Makes a choice by hand; its target cost is what it costs.

        Args:
            sizes: Size of each policy layer by path, in the order of the model.
            selected: Paths of the layers to change.
            cost: What the sizes are.

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
            sizes=tuple(sizes.values()),
            probabilities=tuple(float(path in selected) for path in sizes),
            selected=tuple(path in selected for path in sizes),
            target_cost=owned / sum(sizes.values()),
            reading="threshold",
            cost=cost,
        )

    @property
    def selected_layers(self) -> tuple[str, ...]:
        """Paths of the layers that are changed."""
        return tuple(p for p, chosen in zip(self.layers, self.selected, strict=True) if chosen)

    @property
    def first_index(self) -> int:
        """Index of the first layer that may be changed."""
        return first_index(self.layers, self.first_layer)

    @property
    def owned_size(self) -> int:
        """Size of all layers that are changed."""
        pairs = zip(self.sizes, self.selected, strict=True)
        return sum(n for n, chosen in pairs if chosen)

    @property
    def achieved_cost(self) -> float:
        """Share of the policy layers' sizes that is changed, in [0, 1]."""
        return self.owned_size / sum(self.sizes)

    @property
    def smallest_cost(self) -> float:
        """Share of the smallest layer that may be changed: below it no layer fits a budget."""
        return min(self.sizes[self.first_index :]) / sum(self.sizes)

    @property
    def expected_cost(self) -> float:
        """Cost expected of a draw from the probabilities, in [0, 1]."""
        pairs = zip(self.sizes, self.probabilities, strict=True)
        return sum(n * p for n, p in pairs) / sum(self.sizes)

    def as_dict(self) -> dict[str, Any]:
        """Returns the policy as a dict that JSON can express."""
        fields = dataclasses.asdict(self)
        if self.first_layer is None:
            del fields["first_layer"]
        return {"format": _FORMAT, **fields}

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
        if isinstance(fields, dict) and fields.get("format") == _FIRST_FORMAT:
            fields = {"cost": "parameters", **fields, "format": _FORMAT}
            fields["sizes"] = fields.pop("num_parameters", None)
        if not isinstance(fields, dict) or fields.get("format") != _FORMAT:
            raise ValueError(f"Expected a policy of format '{_FORMAT}'. Received: {fields!r:.60}.")
        fields = {name: value for name, value in fields.items() if name != "format"}
        names = {field.name for field in dataclasses.fields(cls)}
        if set(fields) | {"first_layer"} != names:
            raise ValueError(
                f"A policy has the fields {sorted(names)}. Received: {sorted(fields)}; missing "
                f"{sorted(names - set(fields) - {'first_layer'})}, unknown "
                f"{sorted(set(fields) - names)}."
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
        total, width = sum(self.sizes), max(len(path) for path in self.layers)
        rows = zip(self.layers, self.sizes, self.probabilities, self.selected, strict=True)
        what = "flash bytes" if self.cost == "flash" else "parameters"
        lines = [f"{'layer':<{width}}  {what:>11}  {'share':>6}  {'p':>5}  changed"]
        lines += [
            f"{path:<{width}}  {n:>11,}  {n / total:>6.1%}  {p:>5.2f}  {'yes' if chosen else '-'}"
            for path, n, p, chosen in rows
        ]
        lines.append(
            f"{sum(self.selected)} of {len(self.layers)} layers changed, "
            f"{self.owned_size:,} of {total:,} {what}: achieved cost "
            f"{self.achieved_cost:.3f} for a target of {self.target_cost:.3f} ({self.reading})"
        )
        return "\n".join(lines)


def check_target_cost(target_cost: float | None):
    """Raises ValueError unless a target cost is a number in [0, 1]."""
    is_number = isinstance(target_cost, numbers.Real) and not isinstance(target_cost, bool)
    if not is_number or not 0 <= float(target_cost) <= 1:  # type: ignore[arg-type]
        raise ValueError(
            "A target cost is the share of the base that a task may own, a number "
            f"from 0 to 1. Received: {target_cost!r}."
        )


def check_cost(cost: str):
    """Raises ValueError unless `cost` is something that costs are shares of."""
    if cost not in COSTS:
        raise ValueError(f"The cost of a policy must be one of {COSTS}. Received: {cost!r}.")


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
            "A policy needs layers, sizes, probabilities and selected of one length "
            f"above 0. Received lengths: {lengths}."
        )
