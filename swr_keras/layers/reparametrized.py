"""Keras' convolution and dense layers with frozen weights and a gated delta."""

import keras
from keras import ops


def _gated(name: str) -> property:
    """A weight attribute that reads as `frozen + gate * delta`."""

    def read(self):
        return self._effective(name)

    def write(self, value):
        if value is not self.frozen.get(name):
            raise AttributeError(
                f"`{name}` of layer '{self.name}' is computed as frozen + gate * delta and cannot "
                f"be set. Assign to `layer.frozen['{name}']` or `layer.delta['{name}']` instead."
            )

    return property(read, write)


class ReparametrizedLayer(keras.layers.Layer):
    """Computes with `W + s * dW` in place of every weight `W` of the Keras layer mixed with it.

    A mixin: put it in front of a Keras layer class. Each weight that the layer's own `build()`
    creates becomes a frozen, non-trainable weight and gets a zero-initialised trainable delta of
    the same shape beside it. A scalar non-trainable `gate`, 1.0 at first, multiplies the deltas.
    A weight regularizer acts on the delta, the part that is trained. Weights are stored in the
    layer's variable dtype and added there, before the cast to the compute dtype of mixed precision.

    Attributes:
        frozen: Dict of the frozen weights by name (`"kernel"`, `"bias"`, ...), `keras.Variable`.
        delta: Dict of their deltas, same names, shapes and dtypes.
        gate: Scalar `keras.Variable`.

    Raises:
        ValueError: At construction, for a weight constraint (it would have to hold for the sum,
            which no optimizer updates) or for `lora_rank`; later, for `enable_lora`.

    Source: eq. (1) of arXiv 2302.13435, section 2.1.
    """

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.frozen = {}
        self.delta = {}
        for option, value in vars(self).items():
            if option.endswith("_constraint") and value is not None:
                raise ValueError(
                    f"{type(self).__name__} does not support weight constraints, since the "
                    f"weight is a sum of a frozen and a trained part. Received: {option}={value}. "
                    "Remove the constraint, or use a regularizer, which acts on the trained part."
                )
        if getattr(self, "lora_rank", None):
            self.enable_lora(self.lora_rank)

    kernel = _gated("kernel")
    bias = _gated("bias")

    def enable_lora(self, rank, *args, **kwargs):
        raise ValueError(
            f"{type(self).__name__} replaces LoRA and cannot be combined with it. Received: "
            f"rank {rank} for layer '{self.name}'. Leave LoRA out, or enable it on plain layers."
        )

    def build(self, input_shape):
        self.gate = super().add_weight(
            name="gate", shape=(), initializer="ones", trainable=False, autocast=False
        )
        super().build(input_shape)

    def add_weight(self, *args, name=None, **kwargs):
        kwargs.update(trainable=False, autocast=False)
        regularizer = kwargs.pop("regularizer", None)
        frozen = super().add_weight(*args, name=name, **kwargs)
        self.frozen[name] = frozen
        self.delta[name] = super().add_weight(
            name=f"{name}_delta",
            shape=frozen.shape,
            dtype=frozen.dtype,
            initializer="zeros",
            regularizer=regularizer,
            trainable=True,
            autocast=False,
        )
        return frozen

    def _effective(self, name):
        if not self.built:
            raise AttributeError(f"Build the layer before reading `{name}`.")
        if name not in self.frozen:
            return None
        weight = ops.add(self.frozen[name], ops.multiply(self.gate, self.delta[name]))
        return ops.cast(weight, self.compute_dtype)

    def num_parameters(self) -> int:
        """Number of weights the layer owns when its gate is open (N_l of the paper)."""
        return sum(int(ops.size(weight)) for weight in self.frozen.values())

    def merged_weights(self) -> dict:
        """Returns `frozen + gate * delta` by weight name, as arrays of the variable dtype."""
        return {
            name: ops.convert_to_numpy(ops.add(frozen, ops.multiply(self.gate, self.delta[name])))
            for name, frozen in self.frozen.items()
        }

    def _variables_by_name(self):
        variables = {"gate": self.gate, **self.frozen}
        return variables | {f"{name}_delta": delta for name, delta in self.delta.items()}

    def save_own_variables(self, store):
        if self.built:
            for name, variable in self._variables_by_name().items():
                store[name] = variable

    def load_own_variables(self, store):
        variables = self._variables_by_name() if self.built else {}
        if set(store.keys()) != set(variables):
            raise ValueError(
                f"Layer '{self.name}' expected the variables {sorted(variables)}, "
                f"but the file has {sorted(store.keys())}. Load it into the model it was saved "
                "from; a plain Keras model is converted with `swr_keras.reparametrize`."
            )
        for name, variable in variables.items():
            variable.assign(store[name])


def _register(layer_class):
    return keras.saving.register_keras_serializable(package="swr_keras")(layer_class)


@_register
class SWRDense(ReparametrizedLayer, keras.layers.Dense):
    """`keras.layers.Dense` with frozen weights and a gated delta; same arguments and shapes."""


@_register
class SWRConv1D(ReparametrizedLayer, keras.layers.Conv1D):
    """`keras.layers.Conv1D` with frozen weights and a gated delta; same arguments and shapes."""


@_register
class SWRConv2D(ReparametrizedLayer, keras.layers.Conv2D):
    """`keras.layers.Conv2D` with frozen weights and a gated delta; same arguments and shapes."""


@_register
class SWRConv3D(ReparametrizedLayer, keras.layers.Conv3D):
    """`keras.layers.Conv3D` with frozen weights and a gated delta; same arguments and shapes."""


@_register
class SWRConv1DTranspose(ReparametrizedLayer, keras.layers.Conv1DTranspose):
    """`keras.layers.Conv1DTranspose` with frozen weights and a gated delta."""


@_register
class SWRConv2DTranspose(ReparametrizedLayer, keras.layers.Conv2DTranspose):
    """`keras.layers.Conv2DTranspose` with frozen weights and a gated delta."""


@_register
class SWRConv3DTranspose(ReparametrizedLayer, keras.layers.Conv3DTranspose):
    """`keras.layers.Conv3DTranspose` with frozen weights and a gated delta."""


@_register
class SWRDepthwiseConv1D(ReparametrizedLayer, keras.layers.DepthwiseConv1D):
    """`keras.layers.DepthwiseConv1D` with frozen weights and a gated delta."""


@_register
class SWRDepthwiseConv2D(ReparametrizedLayer, keras.layers.DepthwiseConv2D):
    """`keras.layers.DepthwiseConv2D` with frozen weights and a gated delta."""


class _Separable(ReparametrizedLayer):
    depthwise_kernel = _gated("depthwise_kernel")
    pointwise_kernel = _gated("pointwise_kernel")


@_register
class SWRSeparableConv1D(_Separable, keras.layers.SeparableConv1D):
    """`keras.layers.SeparableConv1D` with frozen weights and deltas under one gate."""


@_register
class SWRSeparableConv2D(_Separable, keras.layers.SeparableConv2D):
    """`keras.layers.SeparableConv2D` with frozen weights and deltas under one gate."""
