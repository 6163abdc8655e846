"""The gate: an int8 model leaves only if TFLite Micro's own kernels compute it rightly."""

import dataclasses
from typing import Any

import numpy as np

from swr_keras.export.errors import ExportError
from swr_keras.export.flatbuffer import FlatBuffer, read_model
from swr_keras.export.lite_model import LiteModel
from swr_keras.export.micro import has_micro
from swr_keras.export.micro_operators import MICRO_OPERATORS

_MICRO = "TFLite Micro"
_MAX_RANK = 4
_MAX_LSB = 1
_BLOCK_OPERATORS = ("SPACE_TO_BATCH_ND", "BATCH_TO_SPACE_ND")
# The converter's smallest step is 8e-9; kernels stop the process where they meet it.
_MIN_SCALE = 1e-7
_FLOATS = ("float16", "float32", "float64", "bfloat16")


@dataclasses.dataclass(frozen=True)
class Verification:
    """What `verify_int8` found.

    Attributes:
        operators: Names of the operators in order of execution.
        engines: What ran the model: LiteRT's reference kernels, and TFLite Micro's where they are
            installed.
        num_inputs: Number of examples that were run.
        max_lsb: Largest difference between an output on TFLite Micro and on LiteRT's reference
            kernels, in steps of the output's int8 grid; `None` if TFLite Micro's were not run.
        differing: Share of the output values that differ; likewise.
    """

    operators: tuple[str, ...]
    engines: tuple[str, ...]
    num_inputs: int
    max_lsb: int | None = None
    differing: float | None = None

    @property
    def on_micro(self) -> bool:
        """Whether TFLite Micro's kernels ran the model."""
        return self.max_lsb is not None


def verify_int8(model: Any, inputs: Any) -> Verification:
    """Checks that an int8 model is safe for TFLite Micro, by its contents and by running it.

    TFLite Micro trusts the shapes in the file and has its own kernels, so a model that is right
    on LiteRT can silently be wrong on a device. The model passes if no size is dynamic, no
    dilated convolution was left in pieces, no tensor has more than four axes or is float, input
    and output are int8, TFLite Micro has every operator, its outputs don't depend on what the
    arena held before, and they are within 1 LSB of LiteRT's reference kernels. Where TFLite
    Micro's kernels aren't installed, the last two can't be tested, and the result says so.

    Args:
        model: A model as for `LiteModel`.
        inputs: Real features `(n, *input_shape[1:])` to run, such as some calibration examples.

    Returns:
        A `Verification`.

    Raises:
        ExportError: If the model fails; names the tensor or operator and the cure.
        ValueError: If `inputs` are empty, of another shape or not finite.
    """
    contents = read_model(model)
    _check_contents(contents)
    reference = LiteModel(contents, engine="litert")
    q = reference.quantize(inputs)
    if not len(q):
        raise ValueError(f"Expected at least one example. Received: shape={q.shape}.")
    expected = reference.predict_int8(q)
    litert = f"LiteRT, {reference.kernels} kernels"
    operators = tuple(operator.name for operator in contents.operators)
    if not has_micro():
        return Verification(operators, (litert,), len(q))
    difference = np.abs(_run_micro(contents, q).astype(int) - expected)
    max_lsb, differing = int(difference.max()), float(np.mean(difference > 0))
    if max_lsb > _MAX_LSB:
        raise ExportError(
            f"Output '{contents.outputs[0].name}' differs by {max_lsb} LSB between TFLite "
            f"Micro and LiteRT's reference kernels, in {differing:.1%} of the values of "
            f"{len(q)} examples. Expected at most {_MAX_LSB}. Replace the operator that TFLite "
            f"Micro computes differently, one of: {', '.join(sorted(set(operators)))}."
        )
    return Verification(operators, (litert, _MICRO), len(q), max_lsb, differing)


def _check_contents(contents: FlatBuffer) -> None:
    for kind, tensors in (("Input", contents.inputs), ("Output", contents.outputs)):
        for tensor in tensors:
            if tensor.dtype != "int8":
                raise ExportError(
                    f"{kind} '{tensor.name}' is {tensor.dtype}, not int8. Set the converter's "
                    "inference_input_type and inference_output_type to tf.int8, or use "
                    "`convert_int8`."
                )
    for operator in contents.operators:
        _check_operator(operator)
    for tensor in contents.tensors:
        _check_shape(tensor)
    # Others, such as the intermediates of an LSTM, only say how something was quantized.
    for operator in contents.operators:
        for tensor in (*operator.inputs, *operator.outputs):
            _check_type(tensor)


def _check_operator(operator):
    outputs = ", ".join(tensor.name for tensor in operator.outputs)
    if operator.name in _BLOCK_OPERATORS:
        raise ExportError(
            f"{operator.name} (writes '{outputs}') is what the converter leaves of a dilated "
            "convolution when the batch is unknown; TFLite Micro computes it wrongly. Convert "
            "with a batch of 1: `convert_int8`, or `deploy_graph` before your own converter."
        )
    if operator.name not in MICRO_OPERATORS:
        raise ExportError(
            f"TFLite Micro has no operator {operator.name} (writes '{outputs}'). Replace the "
            "layer by one that TFLite Micro has and train again."
        )
    floats = [tensor.dtype for tensor in operator.outputs if tensor.dtype in _FLOATS]
    if floats and operator.name != "DEQUANTIZE":
        raise ExportError(
            f"{operator.name} (writes '{outputs}') computes in {floats[0]}: the converter has no "
            "int8 form of it, or had no calibration examples. Convert with calibration examples; "
            "if it stays, replace the layer by one with an int8 kernel and train again."
        )
    for tensor in operator.outputs:
        if tensor.dtype == "int8" and tensor.scale is not None and tensor.scale < _MIN_SCALE:
            raise ExportError(
                f"{operator.name} writes '{tensor.name}', whose values vanish: one int8 step is "
                f"{tensor.scale:.1e}. Check that the model is trained, batch-norm statistics "
                "included, and that the calibration examples are real features."
            )


def _check_shape(tensor):
    if tensor.is_dynamic:
        raise ExportError(
            f"Tensor '{tensor.name}' of shape {tensor.shape} has a size that is only known at run "
            "time, which TFLite Micro can't infer. Convert with a batch of 1 and fixed sizes: "
            "`convert_int8`, or `deploy_graph` before your own converter."
        )
    if len(tensor.shape) > _MAX_RANK:
        raise ExportError(
            f"Tensor '{tensor.name}' has {len(tensor.shape)} axes, shape {tensor.shape}; kernels "
            f"for devices leave more than {_MAX_RANK} unwritten. Merge axes with a reshape."
        )


def _check_type(tensor):
    if tensor.dtype in _FLOATS:
        raise ExportError(
            f"Tensor '{tensor.name}' is {tensor.dtype}: part of the model isn't quantized. "
            "Convert to int8 alone, with calibration examples: `convert_int8`."
        )


def _run_micro(contents, q):
    """Runs a fresh arena and one that other inputs dirtied before each example."""
    outputs = LiteModel(contents, engine="tflm").predict_int8(q)
    noise = np.random.default_rng(0).integers(-128, 128, q.shape, "int8")
    mixed = np.stack([noise, q], axis=1).reshape(-1, *q.shape[1:])
    dirtied = LiteModel(contents, engine="tflm").predict_int8(mixed)[1::2]
    if not np.array_equal(outputs, dirtied):
        changed = np.mean((outputs != dirtied).reshape(len(q), -1).any(axis=1))
        raise ExportError(
            f"The outputs of {changed:.0%} of {len(q)} examples on TFLite Micro depend on what its "
            "arena held before: an operator leaves part of its output unwritten, or the model "
            "keeps a state. Look for tensors of wrong shape and for variables."
        )
    return outputs
