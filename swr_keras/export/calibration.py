"""Which calibration examples may set the range of activations."""

import keras
import numpy as np
from keras import ops, tree

from swr_keras.export.trace import inference_graph


def extremeness(model: keras.Model, examples: np.ndarray) -> np.ndarray:
    """Scores how far each example drives the activations of a model.

    The range of an int8 activation is that of its largest value over all calibration examples. A
    single odd one (digital silence, whose log-mel is the logarithm of the floor) can widen ranges
    so far that all others lose most of their steps. An example's score is the largest ratio, over
    all activations, of its magnitude to the median magnitude over examples.

    Args:
        model: A model with batch 1, as `deploy_graph` returns it.
        examples: float32 `(n, *input_shape[1:])`.

    Returns:
        float32 `(n,)`, around 1 for ordinary examples.
    """
    magnitudes = _magnitude_probe(model).predict(examples, batch_size=1, verbose=0)
    typical = np.median(magnitudes, axis=0)
    return np.max(magnitudes / np.where(typical > 0, typical, 1.0), axis=1)


def _magnitude_probe(model):
    """A model that gives the largest magnitude of every activation, `(1, activations)`."""
    graph = inference_graph(model)
    activations = [
        tensor
        for call in graph.calls
        for tensor in tree.flatten(call.output)
        if tensor.dtype == "float32"
    ]
    magnitudes = [ops.reshape(ops.max(ops.abs(tensor)), (1, 1)) for tensor in activations]
    return keras.Model(graph.inputs, ops.concatenate(magnitudes, axis=-1))
