"""An int8 `.tflite` model that is used like a Keras model."""

import math
from collections.abc import Iterable
from typing import Any, Literal

import numpy as np
from ai_edge_litert.interpreter import Interpreter, OpResolverType

from swr_keras.export.arena import refusal
from swr_keras.export.errors import ExportError
from swr_keras.export.flatbuffer import read_model
from swr_keras.export.micro import micro_runtime


class LiteModel:
    """Runs an int8 `.tflite` model on the host, one example at a time.

    Both engines are exact stand-ins for a device rather than fast: `"litert"` uses LiteRT's
    *reference* kernels (not XNNPACK, which differs by 1-2 LSB), `"tflm"` the reference kernels
    of TFLite Micro, which agree with them within 1 LSB and refuse what a device refuses.

    Args:
        model: What `convert_int8` returned, or the contents or path of a `.tflite` file, with one
            int8 input and one int8 output.
        engine: `"litert"` or `"tflm"` (extra `micro`).

    Attributes:
        kernels: `"reference"`, or `"optimised"` where LiteRT has no others of an operator.
        input_shape: Shape of the input, batch of 1 included.
        output_shape: Shape of the output, batch of 1 included.
        input_scale, input_zero_point: `real = scale * (int8 - zero_point)` of the input.
        output_scale, output_zero_point: Likewise of the output.

    Raises:
        ExportError: If the file is damaged, isn't int8 with one input and one output, has
            dynamic sizes or is refused by the engine.
        ImportError: If the package of the engine isn't installed.

    Example:
        >>> model = LiteModel("task.tflite", engine="tflm")
        >>> logits = model.predict(features)
    """

    def __init__(
        self,
        model: Any,
        *,
        engine: Literal["litert", "tflm"] = "litert",
    ):
        if engine not in _ENGINES:
            raise ValueError(f"`engine` must be 'litert' or 'tflm'. Received: engine={engine!r}.")
        contents = read_model(model)
        _check_interface(contents)
        self.engine = engine
        self._engine = _ENGINES[engine](contents)
        self.kernels = self._engine.kernels
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

    def evaluate(
        self, x: Any, y: Any = None, *, threshold: float | None = None
    ) -> dict[str, float]:
        """Measures the accuracy on labelled examples.

        Args:
            x: Features `(n, *input_shape[1:])`, or, without `y`, a `tf.data.Dataset` or another
                iterable of batches `(features, labels)`.
            y: Class indices `(n,)` or `(n, 1)`; of a model with one output, 0 or 1.
            threshold: Of a model with one output: what an output must exceed to say 1. Default:
                0.5 for a sigmoid, which ends at 0 and 1, else 0, for a logit.

        Returns:
            `accuracy`, the share of examples whose largest output is the label's. Of a model with
            one output, the share on the right side of the threshold, and beside it `recall`, the
            share of the ones that were found, and `precision`, the share of ones among those
            found (each NaN where there is none): of rare ones, accuracy says little.

        Raises:
            ValueError: If there is no example, features and labels differ in number, or the label
                of a single output is neither 0 nor 1.
        """
        batches: Iterable = x if y is None else [(x, y)]
        found, wanted = [], []
        for features, labels in batches:
            labels = np.asarray(labels)
            if labels.size != len(features):
                raise ValueError(
                    "Expected one class index per example. Received: "
                    f"{len(features)} examples and labels of shape {labels.shape}."
                )
            found.append(self.predict(features).reshape(len(features), self._num_outputs))
            wanted.append(labels.ravel())
        if not sum(map(len, wanted)):
            raise ValueError("No examples to evaluate. Received: an empty data set.")
        outputs, truth = np.concatenate(found), np.concatenate(wanted)
        if outputs.shape[1] > 1:
            return {"accuracy": float(np.mean(outputs.argmax(axis=1) == truth))}
        if not np.isin(truth, (0, 1)).all():
            raise ValueError(
                f"A single output is compared with labels 0 and 1. Received: {np.unique(truth)}."
            )
        limit = self._usual_threshold() if threshold is None else threshold
        return _binary_scores(outputs[:, 0] > limit, truth == 1)

    @property
    def _num_outputs(self):
        return math.prod(self.output_shape[1:])

    def _usual_threshold(self):
        """Halfway for the grid of a sigmoid, whose 256 steps go from 0 to 1."""
        sigmoid = self.output_zero_point == -128 and np.isclose(self.output_scale, 1 / 256)
        return 0.5 if sigmoid else 0.0

    def _check_shape(self, x):
        if x.ndim != len(self.input_shape) or x.shape[1:] != self.input_shape[1:]:
            raise ValueError(
                f"Expected examples of shape (n, {', '.join(map(str, self.input_shape[1:]))}). "
                f"Received: shape={x.shape}."
            )


def litert_interpreter(data: bytes, *, keep_activations: bool = False) -> tuple[Interpreter, str]:
    """Returns what runs a model on LiteRT, and whether by reference or by optimised kernels.

    Raises:
        ExportError: If LiteRT refuses the model.
    """
    # Some operators, such as ELU, LiteRT has among its optimised kernels alone.
    for kernels, resolver in _LITERT_KERNELS.items():
        try:
            interpreter = Interpreter(
                model_content=data,
                experimental_op_resolver_type=resolver,
                experimental_preserve_all_tensors=keep_activations,
            )
            interpreter.allocate_tensors()
            interpreter.invoke()
            return interpreter, kernels
        except (RuntimeError, ValueError) as error:
            reason = error
    raise ExportError(f"LiteRT refuses the model: {reason}") from reason


class _LiteRTEngine:
    def __init__(self, contents):
        self._interpreter, self.kernels = litert_interpreter(contents.data)
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
    kernels = "reference"

    def __init__(self, contents):
        runtime = micro_runtime()
        self._names = sorted({operator.name for operator in contents.operators})
        try:
            self._interpreter = runtime.Interpreter.from_bytes(
                contents.data, arena_size=contents.arena_limit_bytes
            )
        except RuntimeError as error:
            raise ExportError(
                f"TFLite Micro refuses the model: {refusal(contents) or error} Operators of the "
                f"model: {', '.join(self._names)}."
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
        try:
            self._interpreter.invoke()
        except RuntimeError as error:
            raise ExportError(
                f"TFLite Micro can't compute the model: {error} Operators of the model: "
                f"{', '.join(self._names)}."
            ) from error
        # The wheel returns a view into the arena.
        return self._interpreter.get_output(0).copy()


_LITERT_KERNELS = {
    "reference": OpResolverType.BUILTIN_REF,
    "optimised": OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES,
}
_ENGINES: dict[str, Any] = {"litert": _LiteRTEngine, "tflm": _MicroEngine}


def _binary_scores(found, truth):
    both = np.count_nonzero(found & truth)

    def share(of):
        return both / np.count_nonzero(of) if of.any() else float("nan")

    return {
        "accuracy": float(np.mean(found == truth)),
        "recall": share(truth),
        "precision": share(found),
    }


def _micro_tensor(details):
    quantization = details["quantization_parameters"]
    if not len(quantization["scales"]):
        raise ExportError(
            "Input or output has no int8 scale on TFLite Micro. Convert the model with "
            "`convert_int8`."
        )
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
