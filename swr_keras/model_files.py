"""Keras models in files: written whole, and read with care."""

import json
import math
import os
import zipfile
from collections.abc import Iterator
from typing import Any

import keras

from swr_keras.files import parse_json, read_bytes, replacing
from swr_keras.graph import live_config, walk

_MOST_CONFIG_BYTES = 2**26
_SMALLEST_WEIGHT_BYTES = 1


def save_model(model: keras.Model, path: str | os.PathLike) -> None:
    """Saves a model in the `.keras` format, whole or not at all.

    Raises:
        ValueError: If it could not be loaded again, because a layer computes by a Python lambda.
    """
    for layer_path, layer in walk(model):
        for name, value in live_config(layer).items():
            if getattr(value, "__name__", None) == "<lambda>":
                raise ValueError(
                    f"Layer '{layer_path}' has a Python lambda as its {name}, which a file can't "
                    "give back. Name the function and register it by "
                    "`keras.saving.register_keras_serializable()`."
                )
    with replacing(path) as temporary:
        model.save(temporary)


def load_model(path: str | os.PathLike) -> keras.Model:
    """Loads a model in the `.keras` format; code in the file isn't run.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it isn't such a file, is damaged, or declares layers that its weights can't
            fill; names the file.
    """
    read_bytes(path, kind="a Keras model (.keras)")
    try:
        _check_declared_sizes(path)
        return keras.saving.load_model(path)
    except MemoryError:
        reason = "it asks for too much memory"
    # Keras raises whatever the damage leads to.
    except Exception as error:
        reason = str(error).strip().partition("\n")[0] or type(error).__name__
    raise ValueError(
        f"'{path}' can't be loaded as a Keras model: {reason:.400} Save it again as .keras; a "
        "function of your own must be registered by `keras.saving.register_keras_serializable()`."
    )


def _check_declared_sizes(path):
    """Raises ValueError if a layer declares more weights than the file has bytes of them."""
    with zipfile.ZipFile(path) as archive:
        sizes = {entry.filename: entry.file_size for entry in archive.infolist()}
        if sizes.get("config.json", math.inf) > _MOST_CONFIG_BYTES:
            raise ValueError("its config.json is missing or too large.")
        config = parse_json(archive.read("config.json").decode())
    available = sum(size for name, size in sizes.items() if name.endswith(".h5"))
    for layer in _configs(config):
        declared = _least_weights(layer)
        if declared * _SMALLEST_WEIGHT_BYTES > available:
            raise ValueError(
                f"layer {json.dumps(layer.get('name'))[:80]} declares {declared:,} weights, but "
                f"the file has {available:,} bytes of weights."
            )


def _configs(value: Any) -> Iterator[dict[str, Any]]:
    if isinstance(value, dict):
        if isinstance(value.get("config"), dict):
            yield value["config"]
        for each in value.values():
            yield from _configs(each)
    elif isinstance(value, list):
        for each in value:
            yield from _configs(each)


def _least_weights(config):
    """The least number of weights that a layer of this configuration has, if built."""
    if "input_dim" in config and "output_dim" in config:
        return _product(config["input_dim"]) * _product(config["output_dim"])
    width = config.get("filters", config.get("units", config.get("depth_multiplier")))
    if width is None:
        return 0
    return _product(width) * _product(config.get("kernel_size", 1))


def _product(sizes):
    listed = sizes if isinstance(sizes, list) else [sizes]
    if not all(type(size) is int for size in listed):
        return 0
    return abs(math.prod(listed))
