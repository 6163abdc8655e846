"""An int8 `.tflite` model that is used like a Keras model."""

import os
import pathlib
from collections.abc import Iterable
from typing import Any, Literal

import numpy as np
from ai_edge_litert.interpreter import Interpreter, OpResolverType
from tflite_micro import runtime

from swr_keras.export.flatbuffer import ExportError, read_flatbuffer


class LiteModel:
    """Runs an int8 `.tflite` model on the host, one example at a time.

    Both engines are exact stand-ins for a device rather than fast: `"litert"` uses LiteRT's
    *reference* kernels (not XNNPACK, which differs by 1-2 LSB), `"tflm"` the reference kernels
    of TFLite Micro, which agree with them within 1 LSB and refuse what a device refuses.

    Args:
        data: Contents or path of a `.tflite` file with one int8 input and one int8 output.
        engine: `"litert"` or `"tflm"`.

    Attributes:
        input_shape: Shape of the input, batch of 1 included.
        output_shape: Shape of the output, batch of 1 included.
        input_scale, input_zero_point: `real = scale * (int8 - zero_point)` of the input.
        output_scale, output_zero_point: Likewise of the output.

    Raises:
        ExportError: If the file is damaged, isn't int8 with one input and one output, has
            dynamic sizes or is refused by the engine.

    Example:
        >>> model = LiteModel("task.tflite", engine="tflm")
        >>> logits = model.predict(features)
    """

    def __init__(
        self,
        data: bytes | str | os.PathLike,
        *,
        engine: Literal["litert", "tflm"] = "litert",
    ):
        if engine not in _ENGINES:
            raise ValueError(f"`engine` must be 'litert' or 'tflm'. Received: engine={engine!r}.")
        if not isinstance(data, bytes):
            data = pathlib.Path(data).read_bytes()
        contents = read_flatbuffer(data)
        _check_interface(contents)
        self.engine = engine
        self._engine = _ENGINES[engine](data, contents)
        self.input_shape, self.input_scale, self.input_zero_point = self._engine.input
        self.output_shape, self.output_scale, self.output_zero_point = self._engine.output

    def quantize(self, x: Any) -> np.ndarray:
        """Rounds real features to the input's int8 grid (half to even) and clips to its range.

        Args:
            x: `(n, *input_shape[1:])`, any real type.

        Returns:
            int8 array of the same shape.

        Raises:
            ValueError: If the shape is another one or a value isn't finite.
        """
        x = np.asarray(x, "float64")
        self._check_shape(x)
        if not np.isfinite(x).all():
            raise ValueError(
                f"Features must be finite. Received: {np.count_nonzero(~np.isfinite(x))} NaN or "
                "infinite values; check the feature extraction."
            )
        q = np.rint(x / self.input_scale) + self.input_zero_point
        return np.clip(q, -128, 127).astype("int8")

    def predict_int8(self, q: np.ndarray) -> np.ndarray:
        """Computes the int8 outputs `(n, *output_shape[1:])` of int8 inputs.

        Raises:
            ValueError: If `q` isn't int8 or of another shape than `(n, *input_shape[1:])`.
        """
        q = np.asarray(q)
        self._check_shape(q)
        if q.dtype != np.int8:
            raise ValueError(f"Expected int8; use `quantize`. Received: dtype={q.dtype}.")
        outputs = [self._engine.run(example[np.newaxis]) for example in q]
        return np.concatenate(outputs) if outputs else np.empty((0, *self.output_shape[1:]), "int8")

    def predict(self, x: Any) -> np.ndarray:
        """Computes dequantised float32 outputs `(n, *output_shape[1:])` of real features `x`."""
        outputs = self.predict_int8(self.quantize(x)).astype("float32")
        return (outputs - self.output_zero_point) * np.float32(self.output_scale)

    def evaluate(self, x: Any, y: Any = None) -> dict[str, float]:
        """Measures the accuracy on labelled examples.

        Args:
            x: Features `(n, *input_shape[1:])`, or, without `y`, a `tf.data.Dataset` or another
                iterable of batches `(features, labels)`.
            y: Class indices `(n,)` or `(n, 1)`.

        Returns:
            `{"accuracy": share of examples whose largest output is the label's}`.

        Raises:
            ValueError: If there is no example, or features and labels differ in number.
        """
        batches: Iterable = x if y is None else [(x, y)]
        correct = total = 0
        for features, labels in batches:
            labels = np.asarray(labels)
            if labels.size != len(features):
                raise ValueError(
                    "Expected one class index per example. Received: "
                    f"{len(features)} examples and labels of shape {labels.shape}."
                )
            correct += np.sum(self.predict(features).argmax(axis=-1) == labels.ravel())
            total += labels.size
        if not total:
            raise ValueError("No examples to evaluate. Received: an empty data set.")
        return {"accuracy": float(correct / total)}

    def _check_shape(self, x):
        if x.ndim != len(self.input_shape) or x.shape[1:] != self.input_shape[1:]:
            raise ValueError(
                f"Expected examples of shape (n, {', '.join(map(str, self.input_shape[1:]))}). "
                f"Received: shape={x.shape}."
            )


class _LiteRTEngine:
    def __init__(self, data, contents):
        self._interpreter = Interpreter(
            model_content=data, experimental_op_resolver_type=OpResolverType.BUILTIN_REF
        )
        try:
            self._interpreter.allocate_tensors()
        except (RuntimeError, ValueError) as error:
            raise ExportError(f"LiteRT refuses the model: {error}") from error
        (inputs,) = self._interpreter.get_input_details()
        (outputs,) = self._interpreter.get_output_details()
        self._input_index, self._output_index = inputs["index"], outputs["index"]
        self.input, self.output = (
            (tuple(int(n) for n in tensor["shape"]), *tensor["quantization"])
            for tensor in (inputs, outputs)
        )

    def run(self, q):
        self._interpreter.set_tensor(self._input_index, q)
        self._interpreter.invoke()
        return self._interpreter.get_tensor(self._output_index)


class _MicroEngine:
    def __init__(self, data, contents):
        try:
            self._interpreter = runtime.Interpreter.from_bytes(
                data, arena_size=contents.arena_limit_bytes
            )
        except RuntimeError as error:
            names = sorted({operator.name for operator in contents.operators})
            raise ExportError(
                f"TFLite Micro refuses the model: {error}. It writes the operator and the reason "
                f"to stderr. Operators of the model: {', '.join(names)}."
            ) from error
        self.input, self.output = (
            _micro_tensor(details)
            for details in (
                self._interpreter.get_input_details(0),
                self._interpreter.get_output_details(0),
            )
        )

    def run(self, q):
        self._interpreter.set_input(q, 0)
        self._interpreter.invoke()
        # The wheel returns a view into the arena.
        return self._interpreter.get_output(0).copy()


_ENGINES: dict[str, Any] = {"litert": _LiteRTEngine, "tflm": _MicroEngine}


def _micro_tensor(details):
    quantization = details["quantization_parameters"]
    return (
        tuple(int(n) for n in details["shape"]),
        float(quantization["scales"][0]),
        int(quantization["zero_points"][0]),
    )


def _check_interface(contents):
    for kind, tensors in (("input", contents.inputs), ("output", contents.outputs)):
        if len(tensors) != 1:
            raise ExportError(
                f"Expected one {kind}. Received: {[tensor.name for tensor in tensors]}. Export "
                f"a model with a single {kind}."
            )
        (tensor,) = tensors
        if tensor.dtype != "int8" or tensor.is_dynamic:
            size = ", dynamic" if tensor.is_dynamic else ""
            raise ExportError(
                f"Expected an int8 {kind} of fixed shape. Received: '{tensor.name}' "
                f"({tensor.dtype}{size}). Convert the model with `convert_int8`."
            )
