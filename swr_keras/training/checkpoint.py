"""Training that survives an interruption and stops where the loss is no number."""

import json
import math
import os
import pathlib
import time

import h5py
import keras
import numpy as np

from swr_keras.files import replacing


class Checkpoint(keras.callbacks.Callback):
    """Keeps the state of a training after each epoch, so that it goes on from there, bit for bit.

    The state is every variable of the model and its optimizer. Pass `initial_epoch` to `fit` and,
    with `steps_per_epoch`, an endless data set that begins with that epoch, such as
    `audio.training_dataset(..., first_epoch=...)`. Learning rates must be set by epoch, as
    `cosine_decay` does. The file is written whole or not at all.

    Args:
        path: File of the state, `.h5`; need not exist.

    Attributes:
        initial_epoch: Epochs that were done when the callback was made.
        history: Logs of all epochs done, those before an interruption included, with the
            seconds that each took.

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
        self.epoch = epoch
        self._start = time.monotonic()

    def on_train_batch_end(self, batch, logs=None):
        loss = (logs or {}).get("loss", 0.0)
        if not math.isfinite(loss):
            kept = f"'{self.path}' keeps the state before this epoch" if self.epoch else ""
            raise FloatingPointError(
                f"The loss is {loss} after step {batch + 1} of epoch {self.epoch + 1}. Lower the "
                f"learning rate, or look for bad inputs. {kept}".strip()
            )

    def on_epoch_end(self, epoch, logs=None):
        seconds = round(time.monotonic() - self._start, 2)
        self.history.append({**{k: float(v) for k, v in (logs or {}).items()}, "seconds": seconds})
        values = [np.asarray(variable) for variable in self._variables()]
        with replacing(self.path) as temporary, h5py.File(temporary, "w") as file:
            file.attrs["history"] = json.dumps(self.history)
            for index, value in enumerate(values):
                file[str(index)] = value

    def _variables(self):
        every = [*self.model.variables, *self.model.optimizer.variables]
        return list({id(variable): variable for variable in every}.values())

    def _read_history(self):
        try:
            with h5py.File(self.path) as file:
                return json.loads(file.attrs["history"])
        except (OSError, KeyError) as error:
            raise ValueError(
                f"'{self.path}' is no state of a training ({error}). Remove it to start anew."
            ) from None

    def _restore(self):
        variables = self._variables()
        with h5py.File(self.path) as file:
            shapes = [file[str(index)].shape for index in range(len(file))]
            if shapes != [tuple(variable.shape) for variable in variables]:
                raise ValueError(
                    f"'{self.path}' is the state of another model: it has {len(shapes)} variables "
                    f"of other shapes, expected {len(variables)}. Remove it to start anew."
                )
            for index, variable in enumerate(variables):
                variable.assign(file[str(index)][()])
