"""Training that survives an interruption and stops where the loss is no number."""

import math
import os
import pathlib
import time
from collections.abc import Mapping
from typing import Any

import keras
import numpy as np

from swr_keras.tensors import read_tensors, write_tensors

_FORMAT = "swr_keras.state/1"
_CURE = "Remove it to start anew."


class FiniteLoss(keras.callbacks.Callback):
    """Ends a training as soon as its loss is no number.

    Raises:
        FloatingPointError: In training, as soon as the loss is NaN or infinite.
    """

    epoch = 0

    def on_epoch_begin(self, epoch, logs=None):
        self.epoch = epoch

    def on_train_batch_end(self, batch, logs=None):
        loss = (logs or {}).get("loss", 0.0)
        if not math.isfinite(loss):
            raise FloatingPointError(
                f"The loss is {loss} after step {batch + 1} of epoch {self.epoch + 1}. Lower the "
                f"learning rate, or look for bad inputs. {self._kept()}".strip()
            )

    def _kept(self):
        return ""


class Checkpoint(FiniteLoss):
    """Keeps the state of a training after each epoch, so that it goes on from there, bit for bit.

    The state is every variable of the model and its optimizer. Pass `initial_epoch` to `fit` and,
    with `steps_per_epoch`, an endless data set that begins with that epoch, such as
    `Task.training(batch_size, first_epoch)`. Learning rates must be set by epoch, as
    `cosine_decay` does. The file is written whole or not at all.

    Args:
        path: File of the state, `.safetensors`; need not exist.

    Attributes:
        initial_epoch: Epochs that were done when the callback was made.
        history: Logs of all epochs done, see `as_numbers`, those before an interruption included,
            with the seconds that each took.

    Raises:
        ValueError: If the file isn't a state, or when training begins, not one of this model.
        FloatingPointError: In training, as soon as the loss is NaN or infinite. The file keeps
            the state after the last epoch that was finished.
    """

    def __init__(self, path: str | os.PathLike):
        super().__init__()
        self.path = pathlib.Path(path)
        self.history: list[dict[str, float]] = self._read_history() if self.path.exists() else []
        self.epoch = self.initial_epoch = len(self.history)
        self._start = 0.0

    def on_train_begin(self, logs=None):
        if not self.model.optimizer.built:
            self.model.optimizer.build(self.model.trainable_variables)
        if self.initial_epoch:
            self._restore()

    def on_epoch_begin(self, epoch, logs=None):
        super().on_epoch_begin(epoch, logs)
        self._start = time.monotonic()

    def on_epoch_end(self, epoch, logs=None):
        seconds = round(time.monotonic() - self._start, 2)
        self.history.append({**as_numbers(logs or {}), "seconds": seconds})
        values = {name: np.asarray(variable) for name, variable in self._variables().items()}
        history = [{k: finite_or_none(v) for k, v in each.items()} for each in self.history]
        write_tensors(self.path, values, history, form=_FORMAT)

    def _kept(self):
        return f"'{self.path}' keeps the state before this epoch" if self.epoch else ""

    def _variables(self):
        """Every variable once, by its place and path."""
        every = [*self.model.variables, *self.model.optimizer.variables]
        unique = {id(variable): variable for variable in every}.values()
        return {f"{place:05} {variable.path}": variable for place, variable in enumerate(unique)}

    def _read(self):
        """The values and the logs in the file; values that aren't numbers are a state, too."""
        kind = "the state of a training"
        return read_tensors(self.path, form=_FORMAT, kind=kind, cure=_CURE, finite=False)

    def _read_history(self):
        _, history = self._read()
        if not isinstance(history, list) or not all(_is_logs(logs) for logs in history):
            raise ValueError(f"'{self.path}' holds no logs of epochs. {_CURE}")
        return [{k: math.nan if v is None else v for k, v in logs.items()} for logs in history]

    def _restore(self):
        values, _ = self._read()
        variables = self._variables()
        # Names of layers count on within a process; places and shapes tell models apart.
        found = {name.partition(" ")[0]: value for name, value in values.items()}
        own = {name.partition(" ")[0]: variable for name, variable in variables.items()}
        if {place: value.shape for place, value in found.items()} != {
            place: tuple(variable.shape) for place, variable in own.items()
        }:
            raise ValueError(
                f"'{self.path}' is the state of another model: it has {len(found)} variables of "
                f"other shapes, expected {len(own)}. {_CURE}"
            )
        for place, variable in own.items():
            variable.assign(found[place])


def as_numbers(logs: Mapping[str, Any]) -> dict[str, float]:
    """Returns the logs of an epoch without those that aren't one number, as an F1 of each class."""
    return {name: float(value) for name, value in logs.items() if np.ndim(value) == 0}


def finite_or_none(value: float) -> float | None:
    """Returns a number as JSON has it, where `None` stands for NaN and infinities."""
    return value if math.isfinite(value) else None


def _is_logs(logs):
    return isinstance(logs, dict) and all(
        value is None or type(value) in (int, float) for value in logs.values()
    )
