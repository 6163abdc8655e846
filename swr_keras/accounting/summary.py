"""What a model is made of: parameters, gates, bytes a task owns, multiplies."""

import dataclasses
import json
import math
from collections.abc import Sequence
from typing import Any

import keras

from swr_keras.accounting.multiplies import layer_calls
from swr_keras.graph import walk
from swr_keras.layers.conversion import merge
from swr_keras.layers.layer_kinds import is_batch_norm, is_convertible
from swr_keras.layers.masks import MASK, mask_bytes
from swr_keras.layers.normalization import STATISTICS, TaskNormalization
from swr_keras.layers.reparametrized import ReparametrizedLayer
from swr_keras.layers.reparametrized_model import frozen_layers, policy_layers
from swr_keras.layers.units import channel_bytes, folded_bytes, folded_norms, kernel_bytes

_FLOAT32_BYTES = 4


@dataclasses.dataclass(frozen=True)
class LayerSummary:
    """One layer of a `Summary`.

    Attributes:
        path: Path of the layer, as everywhere in this package.
        class_name: Name of its class.
        output_shape: Shape of its output without the batch; of its first call if it is shared, and
            of its first output if it has several.
        parameters: Weights it has in the merged model, besides `statistics`.
        statistics: Moving means and variances of batch norm.
        gate: Whether its gate is open; `None` for a layer without one.
        owned_bytes: Bytes of what the task owns of it in float32, of a mask in bits; `None` in a
            plain model.
        flash_bytes: Bytes of it that one more task takes in flash as int8, see `summary`; `None` in
            a plain model.
        multiplies: Multiplies for one example, see `summary`; `None` where the rule says nothing.
        dropped_multiplies: Further multiplies, of outputs that the next layer drops.
    """

    path: str
    class_name: str
    output_shape: tuple[int, ...]
    parameters: int
    statistics: int
    gate: bool | None
    owned_bytes: int | None
    flash_bytes: int | None
    multiplies: int | None
    dropped_multiplies: int


@dataclasses.dataclass(frozen=True)
class Summary:
    """What `summary` found; `str` of it is a table of the layers with weights.

    Attributes:
        name: Name of the model.
        rows: All layers in the order of the model, nested models opened.
    """

    name: str
    rows: tuple[LayerSummary, ...]

    @property
    def parameters(self) -> int:
        """Weights of the merged model, besides the statistics of batch norm."""
        return sum(row.parameters for row in self.rows)

    @property
    def statistics(self) -> int:
        """Moving means and variances of batch norm."""
        return sum(row.statistics for row in self.rows)

    @property
    def owned_bytes(self) -> int | None:
        """Bytes of what the task owns, as a pack holds it; `None` for a plain model."""
        return _sum_of_known(row.owned_bytes for row in self.rows)

    @property
    def flash_bytes(self) -> int | None:
        """Bytes that one more task takes in flash as int8; `None` for a plain model."""
        return _sum_of_known(row.flash_bytes for row in self.rows)

    @property
    def multiplies(self) -> int:
        """Multiplies for one example, without those of the layers in `uncounted`."""
        return sum(row.multiplies or 0 for row in self.rows)

    @property
    def dropped_multiplies(self) -> int:
        """Further multiplies, of outputs that the next layer drops."""
        return sum(row.dropped_multiplies for row in self.rows)

    @property
    def uncounted(self) -> tuple[str, ...]:
        """Paths of the layers with weights whose multiplies the rule says nothing about."""
        return tuple(row.path for row in self.rows if row.multiplies is None)

    def as_dict(self) -> dict[str, Any]:
        """Returns rows and totals as a dict that JSON can express."""
        return {
            "name": self.name,
            "parameters": self.parameters,
            "statistics": self.statistics,
            "owned_bytes": self.owned_bytes,
            "flash_bytes": self.flash_bytes,
            "multiplies": self.multiplies,
            "dropped_multiplies": self.dropped_multiplies,
            "uncounted": list(self.uncounted),
            "layers": [
                {**dataclasses.asdict(row), "output_shape": list(row.output_shape)}
                for row in self.rows
            ],
        }

    def to_json(self) -> str:
        """Returns `as_dict` as a JSON object."""
        return json.dumps(self.as_dict(), indent=1)

    def __str__(self) -> str:
        shown = [row for row in self.rows if row.parameters or row.statistics]
        cells = [_HEADINGS, *(_cells(row) for row in shown)]
        owned = (self.owned_bytes, self.flash_bytes)
        total = ("total", "", "", self.parameters, "", *owned, self.multiplies)
        cells.append(tuple(_text(cell) for cell in total))
        widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
        table = [
            "  ".join(
                cell.ljust(width) if column < _LEFT_COLUMNS else cell.rjust(width)
                for column, (cell, width) in enumerate(zip(row, widths, strict=True))
            ).rstrip()
            for row in cells
        ]
        rule = "-" * max(map(len, table))
        return "\n".join([table[0], rule, *table[1:-1], rule, table[-1], *self._notes(len(shown))])

    def _notes(self, shown):
        notes = []
        if self.statistics:
            notes.append(f"Besides, {self.statistics:,} moving means and variances of batch norm.")
        if self.dropped_multiplies:
            notes.append(
                f"Besides, {self.dropped_multiplies:,} multiplies of outputs that a pooling of "
                "window 1 drops at once."
            )
        if self.uncounted:
            notes.append(f"Multiplies not counted (?): {', '.join(self.uncounted)}.")
        if shown < len(self.rows):
            notes.append(f"{len(self.rows) - shown} layers without weights are not shown.")
        return notes


_HEADINGS = (
    *("layer", "class", "output", "parameters", "gate"),
    *("owned bytes", "flash bytes", "multiplies"),
)
_LEFT_COLUMNS = 3


def summary(
    model: keras.Model,
    *,
    input_shape: Sequence[int] | Sequence[Sequence[int]] | None = None,
) -> Summary:
    """Counts, layer by layer, what a model has, what a task owns of it, and what it computes.

    Multiplies are those of convolution and dense kernels for one example: kernel weights times
    positions of the output (of the input for transposed convolutions; padding counts as any
    value). Biases, normalization, activations and pooling aren't counted. A pooling of window 1
    with strides stands for the stride of the convolution before it, whose dropped outputs are
    counted apart. Deltas are merged before a model runs, so they cost no multiplies.

    In the flash of a device that has the base as int8, one more task takes what it doesn't share,
    as tables in C: a byte for each weight of a kernel that it owns; 4 (16 bits of bias, 16 bits of
    scale) for each output channel of the head and of each convolution whose kernel, or whose batch
    norm that is folded into it, is the task's, and for each channel, or pair of channel and
    sub-band, of other batch norm that is the task's, which runs as a depthwise convolution. What is
    the base's keeps the base's activation scales. Not counted are a pointer an operator, and some
    40 bytes for each operator that changes. A masked kernel counts whole, since these devices don't
    apply masks; in the pack it takes a bit a weight.

    A task owns, in a `TransferModel` (super-net, task model), its `task_variables`. In another
    reparametrized model it owns the deltas of layers with an open gate, what the batch norm modes
    leave to it, the head that `reparametrize` put in and the layers of an extension.
    A plain model doesn't say.

    Args:
        model: A Functional or built Sequential model, plain or reparametrized, possibly nested, or
            a `TransferModel`. It isn't changed.
        input_shape: Shape of one example without the batch, such as `(101, 40, 1)`, where the
            model leaves sizes open; a list of shapes for several inputs.

    Returns:
        A `Summary`.

    Raises:
        ValueError: If the model is subclassed or not built, if a size is open and `input_shape`
            isn't given, or if `input_shape` doesn't fit the model.

    Example:
        >>> print(summary(task))
    """
    graph: Any = model.model if _says_what_it_owns(model) else model
    _check_model(graph)
    calls = layer_calls(merge(graph), _input_shapes(graph, input_shape))
    owned = _owned(model)
    flash = {} if owned is None else _flash_bytes(graph, owned)
    rows = tuple(
        _row(path, layer, calls.get(path, []), owned and owned.get(path, []), flash.get(path))
        for path, layer in walk(graph)
        if not isinstance(layer, keras.layers.InputLayer)
    )
    return Summary(name=model.name, rows=rows)


def _row(path, layer, calls, owned, flash_bytes):
    is_norm = isinstance(layer, keras.layers.BatchNormalization)
    statistics = sum(_size(v) for v in layer.weights if is_norm and v.name in STATISTICS)
    parameters = sum(map(_size, layer.weights)) - statistics
    if isinstance(layer, ReparametrizedLayer):
        parameters = layer.num_parameters()
    elif isinstance(layer, TaskNormalization):
        parameters = sum(_size(v) for v in (layer.gamma, layer.beta) if v is not None)
    gate = getattr(layer, "gate", None)
    multiplies = [call.multiplies() for call in calls]
    counted = [pair for pair in multiplies if pair is not None]
    return LayerSummary(
        path=path,
        class_name=type(layer).__name__,
        output_shape=tuple(calls[0].output_shape[1:]) if calls else (),
        parameters=parameters,
        statistics=statistics,
        gate=None if gate is None else bool(gate.numpy() > 0),
        owned_bytes=None if owned is None else sum(map(_stored_bytes, owned)),
        flash_bytes=flash_bytes,
        multiplies=sum(kept for kept, _ in counted) if counted == multiplies else None,
        dropped_multiplies=sum(dropped for _, dropped in counted),
    )


def _flash_bytes(model, owned) -> dict[str, int]:
    """Returns the bytes of flash that one more task takes of each layer by its path."""
    into = folded_norms(model)
    private = {into[path] for path, variables in owned.items() if variables and path in into}
    found = {}
    for path, layer in walk(model):
        is_owned, found[path] = bool(owned.get(path)), 0
        if is_convertible(layer):
            if is_owned:
                found[path] += kernel_bytes(layer) + channel_bytes(layer)
            elif path in private:
                found[path] += folded_bytes(layer)
        elif is_batch_norm(layer) and is_owned and path not in into:
            found[path] += channel_bytes(layer)
    return found


def _owned(model) -> dict[str, list[keras.Variable]] | None:
    """Lists the variables a task owns by the path of their layer."""
    if _says_what_it_owns(model):
        owned: dict[str, list[keras.Variable]] = {}
        for name, variable in model.task_variables().items():
            owned.setdefault(name.rpartition("/")[0], []).append(variable)
        return owned
    if not policy_layers(model):
        return None
    unknown = frozen_layers(model)
    return {path: _owned_of(layer) for path, layer in walk(model) if path not in unknown}


def _says_what_it_owns(model):
    return hasattr(model, "task_variables")


def _owned_of(layer):
    if isinstance(layer, ReparametrizedLayer):
        return list(layer.delta.values()) if layer.gate.numpy() > 0 else []
    if isinstance(layer, TaskNormalization):
        return list(layer.task_variables().values())
    return layer.weights


def _check_model(model):
    if not isinstance(model, keras.Model) or not getattr(model, "inputs", None):
        raise ValueError(
            "`summary` takes a built Functional or Sequential model, whose graph of layers is "
            f"known, a SuperNet or a TaskModel. Received: {model} of type {type(model).__name__}. "
            "Rebuild a subclassed model with `keras.Model(inputs, outputs)`; give a Sequential "
            "model an `Input`."
        )


def _input_shapes(model, given) -> list[tuple[int, ...]]:
    known = [tuple(tensor.shape[1:]) for tensor in model.inputs]
    if given is None:
        shapes = known
    else:
        single = not given or not isinstance(given[0], list | tuple)
        shapes = [tuple(shape) for shape in ([given] if single else given)]
    if None in (size for shape in shapes for size in shape):
        raise ValueError(
            f"Sizes of '{model.name}' are open, so outputs and multiplies depend on them: its "
            f"inputs are {known} without the batch. Give all sizes, such as "
            "`input_shape=(101, 40, 1)`."
        )
    fits = len(shapes) == len(known) and all(
        len(shape) == len(own) and all(map(_agree, own, shape))
        for shape, own in zip(shapes, known, strict=True)
    )
    if not fits:
        raise ValueError(
            f"`input_shape` must fit the inputs of '{model.name}', {known} without the batch. "
            f"Received: input_shape={given}."
        )
    return shapes


def _agree(known, given):
    return known in (None, given)


def _sum_of_known(values):
    known = [value for value in values if value is not None]
    return sum(known) if known else None


def _size(variable) -> int:
    return math.prod(variable.shape)


def _stored_bytes(variable) -> int:
    """Bytes of a variable in a pack: a bit for each weight of a mask, else as float32."""
    is_mask = variable.name.endswith(MASK)
    return mask_bytes(_size(variable)) if is_mask else _FLOAT32_BYTES * _size(variable)


def _cells(row: LayerSummary) -> tuple[str, ...]:
    gate = {None: "", True: "open", False: "closed"}[row.gate]
    multiplies = "?" if row.multiplies is None else row.multiplies
    cells = (row.path, row.class_name, row.output_shape, row.parameters, gate)
    return tuple(map(_text, (*cells, row.owned_bytes, row.flash_bytes, multiplies)))


def _text(cell: Any) -> str:
    if cell is None:
        return "-"
    return f"{cell:,}" if isinstance(cell, int) else str(cell)
