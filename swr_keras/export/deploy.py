"""The inference-only graph that is handed to the int8 converter."""

import dataclasses
from collections import Counter

import keras
from keras import tree

from swr_keras.export import folding
from swr_keras.export.trace import inference_graph
from swr_keras.graph import Call, bind, inputs_like, substitute


def deploy_graph(model: keras.Model) -> keras.Model:
    """Builds an inference-only model that converts well to int8 and to TFLite Micro.

    The result computes the same as `model(x, training=False)` within float32 rounding, with these
    differences in its graph:

    - the batch is 1, so that the converter knows every shape and can fuse dilated convolutions;
    - batch norm that directly follows a convolution or dense layer (linear, with no other
      consumer) is folded into its kernel and bias;
    - sub-spectral normalization is a 1x1 depthwise convolution over frequencies times channels,
      without transposes and tensors of more than four axes;
    - the scale that its sub-bands share is in the convolution before it;
    - other batch norm over the channels of a 3-D or 4-D tensor is a 1x1 depthwise convolution;
    - up-sampling is a resizing;
    - dropout, noise and random augmentation are gone, nested models are flattened, mixed precision
      is float32.

    Args:
        model: A Functional or built Sequential model, possibly nested, of any number of inputs
            and outputs. It isn't changed.

    Returns:
        A Functional model with new weights, from `(1, ...)` to `(1, ...)`.

    Raises:
        ValueError: If the model or a model in it is subclassed or not built, if the size of an
            input other than the batch is unknown, or if a layer is called with `training=True`.
    """
    graph = _equalize(_fold_batch_norms(inference_graph(model)))
    inputs = inputs_like(graph.inputs)
    values: dict[int, keras.KerasTensor] = {}
    bind(values, graph.inputs, inputs)
    times_called: Counter[int] = Counter()
    for call in graph.calls:
        args, kwargs = substitute((call.args, call.kwargs), values)
        again = times_called[call.operation.name]
        name = f"{call.operation.name}_call_{again}" if again else call.operation.name
        bind(values, call.output, _at_inference(call.operation, args, kwargs, name))
        times_called[call.operation.name] += 1
    return keras.Model(inputs, substitute(graph.outputs, values), name=model.name)


def _at_inference(operation, args, kwargs, name):
    rank = len(args[0].shape) if args and isinstance(args[0], keras.KerasTensor) else 0
    if isinstance(operation, keras.layers.UpSampling2D):
        return _up_sampled(operation, args[0])
    if folding.is_sub_spectral_norm(operation):
        return folding.sub_spectral_norm_as_convolution(operation, args[0], name=name)
    if rank in (3, 4) and folding.is_batch_norm(operation, rank):
        return folding.batch_norm_as_convolution(operation, args[0], name=name)
    return operation(*args, **kwargs)


def _up_sampled(layer, inputs):
    """Repeats rows and columns by a resizing, which devices have, where Keras tiles."""
    first = layer.data_format == "channels_first"
    height, width = inputs.shape[2:] if first else inputs.shape[1:3]
    size = (height * layer.size[0], width * layer.size[1])
    return keras.ops.image.resize(
        inputs, size, interpolation=layer.interpolation, data_format=layer.data_format
    )


def _fold_batch_norms(graph):
    producers = _private_producers(graph, folding.is_linear)
    folded: dict[int, Call | None] = {}
    for call in graph.calls:
        producer = producers.get(id(call.args[0])) if call.args else None
        if producer and folding.is_batch_norm(call.operation, len(producer.output.shape)):
            layer = folding.fold(producer.operation, call.operation, producer.args[0].shape)
            folded[id(producer)] = None
            folded[id(call)] = dataclasses.replace(producer, operation=layer, output=call.output)
    return _replace_calls(graph, folded)


def _equalize(graph):
    """Equalizes the input of sub-spectral normalization; max pooling may stand before it."""
    producers = _private_producers(graph, folding.is_linear)
    poolings = _private_producers(graph, lambda layer: type(layer) is keras.layers.MaxPooling2D)
    equalized: dict[int, Call | None] = {}
    for call in graph.calls:
        if not (folding.is_sub_spectral_norm(call.operation) and call.operation.scale):
            continue
        pooling = poolings.get(id(call.args[0]))
        producer = producers.get(id((pooling or call).args[0]))
        if producer:
            layer, norm = folding.equalize(
                producer.operation, call.operation, producer.args[0].shape
            )
            equalized[id(producer)] = dataclasses.replace(producer, operation=layer)
            equalized[id(call)] = dataclasses.replace(call, operation=norm)
    return _replace_calls(graph, equalized)


def _private_producers(graph, accepts):
    """Calls of the accepted layers that are called once and feed one other call, by output."""
    used = Counter(id(leaf) for leaf in tree.flatten(graph.outputs))
    for call in graph.calls:
        used.update(id(leaf) for leaf in tree.flatten((call.args, call.kwargs)))
    times_called = Counter(id(call.operation) for call in graph.calls)
    return {
        id(call.output): call
        for call in graph.calls
        if accepts(call.operation)
        and times_called[id(call.operation)] == 1
        and used[id(call.output)] == 1
    }


def _replace_calls(graph, replaced):
    calls = [replaced.get(id(call), call) for call in graph.calls]
    return dataclasses.replace(graph, calls=[call for call in calls if call])
