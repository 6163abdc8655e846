"""Weights as torchvision publishes them, in the models of `backbones.resnet` and `mobilenet_v2`."""

import os
import re
from collections.abc import Mapping
from typing import NamedTuple

import keras
import numpy as np
from keras import layers

from swr_keras.backbones.torch_files import read_state_dict

_HEAD = "head"
# Counts the batches that batch norm has seen; nothing is computed from it.
_COUNTER = ".num_batches_tracked"
_NORM = {
    "gamma": "weight",
    "beta": "bias",
    "moving_mean": "running_mean",
    "moving_variance": "running_var",
}
_RESNET = {"stem_conv": "conv1", "stem_norm": "bn1", _HEAD: "fc"}
_RESNET_SHORTCUT = {"shortcut_conv": "downsample.0", "shortcut_norm": "downsample.1"}
_MOBILENET = {
    "stem_conv": "features.0.0",
    "stem_norm": "features.0.1",
    "neck_conv": "features.18.0",
    "neck_norm": "features.18.1",
    _HEAD: "classifier.1",
}


class _Tensor(NamedTuple):
    """A variable of Keras, and which axes of torch's tensor its axes are."""

    layer: str
    variable: keras.Variable
    axes: tuple[int, ...]

    @property
    def shape(self) -> tuple[int, ...]:
        return tuple(self.variable.shape[axis] for axis in np.argsort(self.axes))


def load_torchvision(model: keras.Model, path: str | os.PathLike) -> None:
    """Gives a model the weights that torchvision publishes for its architecture.

    A head of another number of outputs than the file's keeps its own weights; all else must fit.

    Args:
        model: What `resnet50`, `resnet` or `mobilenet_v2` built.
        path: The file, as `torch_files.read_state_dict` takes it. Nothing is downloaded.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If the model is another one, if the file can't be read, or if tensors are
            missing, left over, of another shape or not finite; names them.
    """
    expected, arrays = _tensors(model), read_state_dict(path)
    found = {name: array for name, array in arrays.items() if not name.endswith(_COUNTER)}
    if _has_another_head(found, expected):
        head = {name for name, tensor in expected.items() if tensor.layer == _HEAD}
        expected = {name: tensor for name, tensor in expected.items() if name not in head}
        found = {name: array for name, array in found.items() if name not in head}
    if faults := _faults(found, expected):
        raise ValueError(
            f"'{path}' doesn't hold the weights of '{model.name}': {'; '.join(faults)}. Give the "
            "file that torchvision publishes for this architecture."
        )
    for name, tensor in expected.items():
        tensor.variable.assign(found[name].transpose(tensor.axes).astype("float32"))


def to_torchvision(model: keras.Model) -> dict[str, np.ndarray]:
    """Returns the weights of a model by torchvision's names and in torch's axes.

    `module.load_state_dict` takes them, once they are tensors; so does `load_torchvision`, once
    they are in a safetensors file.

    Args:
        model: What `resnet50`, `resnet` or `mobilenet_v2` built, or `merge` made of it.

    Raises:
        ValueError: If the model is another one.
    """
    return {
        name: np.ascontiguousarray(tensor.variable.numpy().transpose(np.argsort(tensor.axes)))
        for name, tensor in _tensors(model).items()
    }


def _tensors(model: keras.Model) -> dict[str, _Tensor]:
    """Returns each variable by its name in torchvision."""
    found = {}
    weighted = [layer for layer in model.layers if layer.weights]
    names = [layer.name for layer in weighted]
    rename = _mobilenet_name if "neck_conv" in names else _resnet_name
    for layer in weighted:
        name, parts = rename(layer.name), _parts(layer)
        if name is None or not parts:
            raise ValueError(
                "torchvision's weights are those of a plain model that `resnet50`, `resnet` or "
                f"`mobilenet_v2` built. Received: '{model.name}' with the layer '{layer.name}', a "
                f"{type(layer).__name__}."
            )
        for part, (variable, axes) in parts.items():
            found[f"{name}.{part}"] = _Tensor(layer.name, variable, axes)
    return found


def _parts(layer: keras.layers.Layer) -> dict[str, tuple[keras.Variable, tuple[int, ...]]]:
    if isinstance(layer, layers.BatchNormalization):
        return {part: (getattr(layer, name), (0,)) for name, part in _NORM.items()}
    axes = {layers.Conv2D: (2, 3, 1, 0), layers.DepthwiseConv2D: (2, 3, 0, 1), layers.Dense: (1, 0)}
    if type(layer) not in axes:
        return {}
    parts = {"weight": (layer.kernel, axes[type(layer)])}
    return parts | ({} if layer.bias is None else {"bias": (layer.bias, (0,))})


def _resnet_name(layer: str) -> str | None:
    if match := re.fullmatch(r"stage(\d)_block(\d+)_(\w+)", layer):
        stage, block, part = match.groups()
        inner = _RESNET_SHORTCUT.get(part) or re.sub(r"^norm(?=\d$)", "bn", part)
        return f"layer{int(stage) + 1}.{block}.{inner}"
    return _RESNET.get(layer)


def _mobilenet_name(layer: str) -> str | None:
    if match := re.fullmatch(r"block(\d+)_(\w+)", layer):
        block = int(match[1])
        after = 0 if block == 0 else 1  # The first block doesn't expand.
        inner = {
            "expand_conv": "0.0",
            "expand_norm": "0.1",
            "depthwise_conv": f"{after}.0",
            "depthwise_norm": f"{after}.1",
            "project_conv": f"{after + 1}",
            "project_norm": f"{after + 2}",
        }.get(match[2])
        return inner and f"features.{block + 1}.conv.{inner}"
    return _MOBILENET.get(layer)


def _has_another_head(found: Mapping[str, np.ndarray], expected: Mapping[str, _Tensor]) -> bool:
    """Whether the file's head differs in the number of its outputs, and in nothing else."""
    weight, bias = [name for name, tensor in expected.items() if tensor.layer == _HEAD]
    if weight not in found or bias not in found or found[weight].ndim != 2:
        return False
    (outputs, features), (own, expected_features) = found[weight].shape, expected[weight].shape
    return features == expected_features and found[bias].shape == (outputs,) and outputs != own


def _faults(found: Mapping[str, np.ndarray], expected: Mapping[str, _Tensor]) -> list[str]:
    common = [name for name in expected if name in found]
    shapes = [
        f"{name} of {found[name].shape} in the place of {expected[name].shape}"
        for name in common
        if found[name].shape != expected[name].shape
    ]
    kinds = [name for name in common if found[name].dtype.kind not in "fV"]
    odd = [
        name
        for name in common
        if name not in kinds and not np.isfinite(found[name].astype("float32")).all()
    ]
    faults = {
        "missing": [name for name in expected if name not in found],
        "left over": [name for name in found if name not in expected],
        "of another shape": shapes,
        "of whole numbers": kinds,
        "not finite": odd,
    }
    return [f"{len(names)} {fault}: {_few(names)}" for fault, names in faults.items() if names]


def _few(names: list[str]) -> str:
    return ", ".join(names[:5]) + (", ..." if len(names) > 5 else "")
