"""What a head tells of the loss that trains it."""

import keras

from swr_keras.graph import walk


def classification_loss(model: keras.Model) -> keras.losses.Loss:
    """Returns the sparse cross-entropy for a model that ends in logits or in a softmax."""
    *_, (_, last) = walk(getattr(model, "model", model))
    softmax = getattr(last, "activation", None) is keras.activations.softmax
    softmax = softmax or isinstance(last, keras.layers.Softmax)
    return keras.losses.SparseCategoricalCrossentropy(from_logits=not softmax)
