"""What a model must be to serve as a base."""

import keras

from swr_keras.graph import is_graph, walk
from swr_keras.layers.reparametrized_model import policy_layers


def check_base(base: keras.Model) -> None:
    """Raises ValueError unless a model is a built Functional or Sequential one of plain layers."""
    if not isinstance(base, keras.Model) or not is_graph(base) or not base.built:
        raise ValueError(
            "The base must be a Functional or Sequential model with its input shape known. "
            f"Received: {base} of type {type(base).__name__}. Rebuild a subclassed model with "
            "`keras.Model(inputs, outputs)`; give a Sequential model an `Input` or build it."
        )
    if policy_layers(base):
        raise ValueError(
            f"Model '{base.name}' is reparametrized already: {list(policy_layers(base))[:3]}... "
            "Call `merge` on it first."
        )
    for path, layer in walk(base):
        if isinstance(layer, keras.layers.SpectralNormalization):
            raise ValueError(
                f"Layer '{path}' is a SpectralNormalization, which changes the kernel in training "
                "even when frozen. Rebuild the base with the layer inside it in its place."
            )
