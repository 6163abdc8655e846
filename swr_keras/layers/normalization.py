"""Batch norm that is fast on CPU, and sub-spectral normalization."""

from typing import Any

import keras
import numpy as np
import tensorflow as tf
from keras import ops

from swr_keras.layers.replicas import BatchNormalizationOverReplicas, one_of_several


@keras.saving.register_keras_serializable(package="swr_keras")
class FusedBatchNormalization(BatchNormalizationOverReplicas):
    """`keras.layers.BatchNormalization` over the last axis of a 4-D tensor by one fused kernel.

    Same arguments, weights and results (within float32 rounding). Defaults follow the backbones
    of the paper (PyTorch's): `momentum=0.9`, `epsilon=1e-5`. Whatever the fused kernel doesn't
    cover (masks, other ranks or axes, missing gamma or beta) takes Keras' own path. Trained on
    several devices, it takes the statistics of the whole batch, too.

    Call arguments:
        inputs: `(batch, height, width, channels)`, float32, bfloat16 or float16.
        training: Whether to use the statistics of the batch and to update the moving ones.
    """

    def __init__(self, axis=-1, momentum=0.9, epsilon=1e-5, **kwargs):
        super().__init__(axis=axis, momentum=momentum, epsilon=epsilon, **kwargs)

    def call(self, inputs, training=None, mask=None):
        fused = (
            training
            and self.trainable
            and mask is None
            and len(inputs.shape) == 4
            and self.axis in (-1, 3)
            and self.scale
            and self.center
            and not self.synchronized
            and not self.renorm
            and one_of_several() is None
        )
        if not fused:
            return super().call(inputs, training=training, mask=mask)
        outputs, mean, variance = tf.compat.v1.nn.fused_batch_norm(
            inputs,
            ops.convert_to_tensor(self.gamma),
            ops.convert_to_tensor(self.beta),
            epsilon=self.epsilon,
            is_training=True,
        )
        # The kernel returns the unbiased variance; Keras averages the biased one.
        count = ops.cast(ops.size(inputs) // inputs.shape[-1], variance.dtype)
        variance = variance * (count - 1.0) / count
        keep = self.momentum
        self.moving_mean.assign(self.moving_mean * keep + mean * (1.0 - keep))
        self.moving_variance.assign(self.moving_variance * keep + variance * (1.0 - keep))
        return outputs


@keras.saving.register_keras_serializable(package="swr_keras")
class SubSpectralNormalization(FusedBatchNormalization):
    """Batch norm with its own statistics and affine for each frequency sub-band.

    The frequency axis is cut into `groups` contiguous sub-bands of equal width; each pair of
    sub-band and channel is normalised as a channel of its own, so each of gamma, beta and the
    moving statistics has `groups * channels` values, sub-band major.

    Args:
        groups: Number of sub-bands; must divide the number of frequencies.
        momentum, epsilon, **kwargs: As `keras.layers.BatchNormalization`.

    Call arguments:
        inputs: `(batch, time, frequency, channels)`.
        training: Whether to use the statistics of the batch and to update the moving ones.

    Raises:
        ValueError: If the input is not of rank 4 or its frequencies aren't divisible by `groups`.

    Source: Chang et al., "SubSpectral Normalization for Neural Audio Data Processing" (2021), as
    used by Qualcomm-AI-research/bcresnet.
    """

    def __init__(self, groups=5, **kwargs):
        super().__init__(**kwargs)
        if self.axis not in (-1, 3):
            raise ValueError(f"Sub-bands need the channels last. Received: axis={self.axis}.")
        self.groups = groups

    def build(self, input_shape):
        if len(input_shape) != 4 or not input_shape[2] or input_shape[2] % self.groups:
            raise ValueError(
                "Expected an input (batch, time, frequency, channels) with a number of "
                f"frequencies divisible by groups={self.groups}. Received: shape={input_shape}."
            )
        super().build((*input_shape[:2], input_shape[2] // self.groups, self._width(input_shape)))
        self.input_spec = keras.layers.InputSpec(
            ndim=4, axes={2: input_shape[2], 3: input_shape[3]}
        )

    def _width(self, shape):
        return self.groups * shape[3]

    def call(self, inputs, training=None, mask=None):
        time, (frequencies, channels) = ops.shape(inputs)[1], inputs.shape[2:]
        bands = ops.reshape(inputs, (-1, self.groups, frequencies // self.groups, channels))
        bands = ops.transpose(bands, (0, 2, 1, 3))
        folded = (-1, time, frequencies // self.groups, self.groups * channels)
        outputs = super().call(ops.reshape(bands, folded), training=training)
        outputs = ops.reshape(outputs, ops.shape(bands))
        return ops.reshape(ops.transpose(outputs, (0, 2, 1, 3)), ops.shape(inputs))

    def compute_output_shape(self, input_shape):
        return input_shape

    def get_config(self):
        return {**super().get_config(), "groups": self.groups}


STATISTICS = ("moving_mean", "moving_variance")
_AFFINE = ("gamma", "beta")


class TaskNormalization(keras.layers.Layer):
    """Says what of the batch norm layer mixed with it belongs to the task.

    A mixin: put it in front of a batch norm class.

    Args:
        mode: `"statistics"`: the moving mean and variance are the task's, gamma and beta stay
            frozen (section 2.1 of arXiv 2302.13435). `"affine"`: gamma and beta are trained, too
            (its ablation "+BN-affine"). `"shift"`: beta is trained, gamma stays frozen. `"frozen"`:
            the layer normalises with the base's statistics in training as well, and nothing of it
            changes. `"owned"`: a gate decides between the layer as `"affine"` has it (open) and as
            `"frozen"` has it (closed).

    Attributes:
        gate: Of mode `"owned"`, a scalar `keras.Variable`, 1.0 at first; else `None`.
        is_open: Of mode `"owned"`, whether the gate is open, once it's known for good: then only
            one of the two is computed. `None`: the gate decides at each call.
        frozen: Of mode `"owned"`, dict of the base's values by name, `keras.Variable`; the layer's
            own `gamma`, `beta` and statistics are the task's.
    """

    MODES = ("statistics", "affine", "shift", "frozen", "owned")

    def __init__(self, mode="statistics", **kwargs):
        super().__init__(**kwargs)
        check_mode(mode)
        self.mode = mode
        self.gate: Any = None
        self.is_open: bool | None = None
        self.frozen = {}

    def build(self, input_shape):
        super().build(input_shape)
        if self.mode == "owned":
            own = {name: getattr(self, name) for name in (*_AFFINE, *STATISTICS)}
            self.gate = self._constant("gate", (), "ones")
            self.frozen = {
                name: self._constant(f"frozen_{name}", variable.shape, "zeros")
                for name, variable in own.items()
                if variable is not None
            }

    def _constant(self, name, shape, initializer):
        return super().add_weight(
            name=name, shape=shape, initializer=initializer, trainable=False, autocast=False
        )

    def add_weight(self, *args, name=None, trainable=True, **kwargs):
        is_owned = self.mode in ("affine", "owned") or (self.mode == "shift" and name == "beta")
        return super().add_weight(*args, name=name, trainable=trainable and is_owned, **kwargs)

    def call(self, inputs, training=None, mask=None):
        training = training and self.mode != "frozen"
        if self.mode != "owned" or self.is_open:
            return super().call(inputs, training=training, mask=mask)
        own = [getattr(self, name) for name in self.frozen]
        with keras.StatelessScope(zip(own, self.frozen.values(), strict=True)):
            closed = super().call(inputs, training=False, mask=mask)
        if self.is_open is False:
            return closed
        outputs = super().call(inputs, training=training, mask=mask)
        return closed + ops.cast(self.gate, outputs.dtype) * (outputs - closed)

    def decide(self, is_open: bool, *, for_good: bool):
        """Opens or closes the gate of mode `"owned"`, for good or until it's assigned again."""
        self.is_open = is_open if for_good else None
        self.gate.assign(float(is_open))

    def get_config(self):
        return {**super().get_config(), "mode": self.mode}

    def start_from(self, norm: keras.layers.BatchNormalization):
        """Takes the values of a built batch norm layer of the base.

        From then on training keeps the sign of each gamma: folded into an int8 kernel, a scale that
        changes its sign would change the kernel's bytes, which tasks share.
        """
        if self.gamma is not None and self.mode in ("affine", "owned"):
            self.gamma.constraint = KeepSign(norm.gamma.numpy())
        for name in (*_AFFINE, *STATISTICS):
            if getattr(self, name) is not None:
                getattr(self, name).assign(getattr(norm, name))
                if name in self.frozen:
                    self.frozen[name].assign(getattr(norm, name))

    def give_to(self, norm: keras.layers.BatchNormalization):
        """Gives a plain batch norm layer the values that are computed with."""
        values = self.frozen if self.gate is not None and not self.gate.numpy() else {}
        for name in (*_AFFINE, *STATISTICS):
            if getattr(norm, name) is not None:
                getattr(norm, name).assign(values.get(name, getattr(self, name)))

    def task_variables(self) -> dict:
        """Returns the variables that are the task's, by name."""
        every = (*STATISTICS, *_AFFINE)
        owned = () if self.is_open is False else every
        names = {
            "statistics": STATISTICS,
            "affine": every,
            "shift": (*STATISTICS, "beta"),
            "owned": owned,
            "frozen": (),
        }[self.mode]
        variables = {name: getattr(self, name) for name in names}
        return {name: variable for name, variable in variables.items() if variable is not None}


class KeepSign(keras.constraints.Constraint):
    """Keeps each value on its side of zero, at least a thousandth as far away as a given one.

    Args:
        values: Those given, an array of the variable's shape; where one is zero, any value may be.
    """

    def __init__(self, values: np.ndarray):
        self.values = values

    def __call__(self, w):
        least = 1e-3 * abs(self.values)
        kept = ops.sign(self.values) * ops.maximum(w * ops.sign(self.values), least)
        return ops.where(self.values == 0, w, kept)


def check_mode(mode: str):
    """Raises ValueError unless `mode` is a batch norm mode of `TaskNormalization`."""
    if mode not in TaskNormalization.MODES:
        raise ValueError(
            f"The batch norm mode must be one of {TaskNormalization.MODES}. Received: {mode!r}."
        )


@keras.saving.register_keras_serializable(package="swr_keras")
class SWRBatchNormalization(TaskNormalization, BatchNormalizationOverReplicas):
    """`keras.layers.BatchNormalization` with a `mode` that says what a task owns of it."""


@keras.saving.register_keras_serializable(package="swr_keras")
class SWRFusedBatchNormalization(TaskNormalization, FusedBatchNormalization):
    """`FusedBatchNormalization` with a `mode` that says what a task owns of it."""


@keras.saving.register_keras_serializable(package="swr_keras")
class SWRSubSpectralNormalization(TaskNormalization, SubSpectralNormalization):
    """`SubSpectralNormalization` with a `mode` that says what a task owns of it."""
