"""What a policy decides on: layers that one gate opens, and what they cost a task."""

import dataclasses
import math
from collections import Counter
from collections.abc import Iterable, Mapping

import keras
from keras import layers

from swr_keras.graph import structure, symbolic, walk
from swr_keras.layers.head import find_head
from swr_keras.layers.layer_kinds import is_batch_norm, is_convertible
from swr_keras.layers.normalization import SubSpectralNormalization

# A channel of a convolution as a table in C: 16 bits of bias, 16 bits of scale.
_CHANNEL_BYTES = 4
_DEPTHWISE = (layers.DepthwiseConv1D, layers.DepthwiseConv2D)
_SEPARABLE = (layers.SeparableConv1D, layers.SeparableConv2D)


@dataclasses.dataclass(frozen=True)
class PolicyUnit:
    """Layers that one gate opens.

    Attributes:
        layers: Their paths; the first one names the unit.
        parameters: Weights that a task owns where the gate is open (N_l of the paper); of batch
            norm, a scale and a shift a channel.
        flash_bytes: Bytes of int8 flash that they take where the gate is open and not where it is
            closed, see `accounting.summary`.
        kind: "pointwise", "depthwise", "separable", "dense", "convolution" or "normalization".
    """

    layers: tuple[str, ...]
    parameters: int
    flash_bytes: int
    kind: str

    def size(self, cost: str) -> int:
        """Returns what it counts for in a cost of `"parameters"` or `"flash"`."""
        return self.flash_bytes if cost == "flash" else self.parameters


def policy_units(
    base: keras.Model, *, head: str | None = None, batch_norm: str = "statistics"
) -> dict[str, PolicyUnit]:
    """Returns what the policy of a base decides on, by path, in the order of the model.

    Each convolution and dense layer besides the head is a unit. With `batch_norm="owned"`, batch
    norm that a device folds into the layer before it belongs to that layer's unit, since they
    share their constants there; any other batch norm is a unit by itself.

    Args:
        base: A built Functional or Sequential model.
        head: Path of the head, as for `find_head`.
        batch_norm: What of batch norm is the task's, see `TaskNormalization`.
    """
    head, folded = find_head(base, head), folded_norms(base)
    by_path = dict(walk(base))
    units = {}
    for path, layer in by_path.items():
        if is_convertible(layer) and path != head:
            norms = [norm for norm, into in folded.items() if into == path]
            gated = norms if batch_norm == "owned" else []
            is_private = bool(norms) and batch_norm in ("statistics", "affine", "shift")
            units[path] = PolicyUnit(
                layers=(path, *gated),
                parameters=_count(layer) + sum(_scales(by_path[norm]) for norm in gated),
                flash_bytes=kernel_bytes(layer)
                + channel_bytes(layer)
                - (folded_bytes(layer) if is_private else 0),
                kind=_kind(layer),
            )
        elif batch_norm == "owned" and is_batch_norm(layer) and folded.get(path, head) == head:
            units[path] = PolicyUnit((path,), _scales(layer), channel_bytes(layer), "normalization")
    return units


def layers_of(units: Mapping[str, PolicyUnit], chosen: Iterable[str]) -> frozenset[str]:
    """Returns the paths of the layers of the units at these paths."""
    return frozenset(path for unit in chosen for path in units[unit].layers)


def folded_norms(model: keras.Model) -> dict[str, str]:
    """Returns, by the path of each batch norm that a device folds away, the layer it goes into.

    That is a convolution or dense layer without activation, whose output goes nowhere else.

    Args:
        model: A Functional or Sequential model, plain or reparametrized.
    """
    graph = structure(model)
    users, uses = graph.users(), Counter(call.path for call in graph.calls)
    producers = {id(tensor): call for call in graph.calls for tensor in symbolic(call.output)}
    found = {}
    for call in graph.calls:
        before = producers.get(id(call.inputs[0])) if call.inputs else None
        if before is None or uses[call.path] > 1 or uses[before.path] > 1:
            continue
        alone = len(users[id(call.inputs[0])]) == 1
        if alone and _is_foldable(call.operation) and _is_linear(before.operation):
            found[call.path] = before.path
    return found


def kernel_bytes(layer: keras.layers.Layer) -> int:
    """Returns the bytes of the int8 kernels of a convolution or dense layer."""
    return sum(math.prod(kernel.shape) for kernel in _kernels(layer))


def channel_bytes(layer: keras.layers.Layer) -> int:
    """Returns the bytes of what a device holds of a layer for each channel, besides kernels.

    That is bias and scale for each output of a convolution or dense layer, and for each channel
    (and sub-band) of batch norm, whose int8 weight, 127 or -127, is the base's.
    """
    if is_batch_norm(layer):
        return _CHANNEL_BYTES * layer.moving_mean.shape[0]
    within = _depthwise_channels(layer) if isinstance(layer, _SEPARABLE) else 0
    return _CHANNEL_BYTES * within + folded_bytes(layer)


def folded_bytes(layer: keras.layers.Layer) -> int:
    """Returns those of `channel_bytes` that a batch norm changes that is folded into the layer."""
    if isinstance(layer, _DEPTHWISE):
        return _CHANNEL_BYTES * _depthwise_channels(layer)
    return _CHANNEL_BYTES * (getattr(layer, "units", None) or layer.filters)


def _depthwise_channels(layer):
    return math.prod(_kernels(layer)[0].shape[-2:])


def _kernels(layer):
    names = ("kernel", "depthwise_kernel", "pointwise_kernel")
    return [each for name in names if (each := getattr(layer, name, None)) is not None]


def _count(layer):
    bias = getattr(layer, "bias", None)
    return kernel_bytes(layer) + (0 if bias is None else math.prod(bias.shape))


def _scales(norm):
    """Number of scales and shifts that batch norm applies, with or without gamma and beta."""
    return 2 * norm.moving_mean.shape[0]


def _is_foldable(operation):
    return is_batch_norm(operation) and not isinstance(operation, SubSpectralNormalization)


def _is_linear(operation):
    return is_convertible(operation) and operation.activation is keras.activations.linear


def _kind(layer):
    if isinstance(layer, _DEPTHWISE):
        return "depthwise"
    if isinstance(layer, _SEPARABLE):
        return "separable"
    if isinstance(layer, layers.Dense):
        return "dense"
    return "pointwise" if set(layer.kernel_size) == {1} else "convolution"
