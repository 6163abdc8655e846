"""Convolutions, dense layers and pools as steps."""

import numpy as np

from swr_keras.device.plain_c.constants import Array, Struct
from swr_keras.device.plain_c.graph import Operator, Tensor
from swr_keras.device.plain_c.movement import every
from swr_keras.device.plain_c.packing import WIDE, pack_biases, pack_scales
from swr_keras.device.plain_c.scaling import UNLIMITED, check_range, fixed_point, limits
from swr_keras.device.plain_c.steps import Step

_CHANNEL_BYTES = 20  # Of an SwrChannel.
_SUM_BYTES = 4
_SAME = 0
_LARGEST_INPUT = 255  # From its zero point.


def convolution(operator: Operator) -> list[Step]:
    """CONV_2D."""
    source, kernel = operator.activation(0), operator.constant(1)
    if kernel.shape[3] != source.shape[3]:
        raise operator.refusal("it has groups. Use one convolution for each.")
    window = _window(operator, kernel.shape[1:3], operator.options)
    return [_step(operator, "swr_convolve", window, kernel, kernel.reshape(len(kernel), -1))]


def depthwise(operator: Operator) -> list[Step]:
    """DEPTHWISE_CONV_2D."""
    source, kernel = operator.activation(0), operator.constant(1)
    if kernel.shape[3] % source.shape[3]:
        raise operator.refusal(f"{source.shape[3]} channels don't divide {kernel.shape[3]}.")
    window = _window(operator, kernel.shape[1:3], operator.options)
    weights = kernel.reshape(-1, kernel.shape[3]).T
    return [_step(operator, "swr_convolve_depthwise", window, kernel, weights)]


def dense(operator: Operator) -> list[Step]:
    """FULLY_CONNECTED, as a convolution of one pixel a row."""
    source, kernel = operator.activation(0), operator.constant(1)
    units, count = kernel.shape
    rows = source.size // count
    window = dict.fromkeys(
        ("batches", "in_width", "out_width", "kernel_height", "kernel_width", "stride_y")
        + ("stride_x", "dilation_y", "dilation_x"),
        1,
    )
    window |= {"in_height": rows, "out_height": rows, "in_channels": count, "out_channels": units}
    return [_step(operator, "swr_convolve", window, kernel, kernel)]


def pool(operator: Operator) -> list[Step]:
    """AVERAGE_POOL_2D and MAX_POOL_2D."""
    options = operator.options
    window = _window(operator, (options.filterHeight, options.filterWidth), options)
    if (options.filterHeight, options.filterWidth) == (1, 1) and limits(operator) == UNLIMITED:
        return [every(operator, options.strideH, options.strideW)]
    average = operator.name == "AVERAGE_POOL_2D"
    operation = Struct.of("SwrPool", window=Struct.of("SwrWindow", **window), **limits(operator))
    kernel = "swr_pool_average" if average else "swr_pool_largest"
    return [Step(kernel, operation, (operator.activation(0),), operator.output)]


def _window(operator, kernel, options):
    source, output = operator.activation(0).shape, operator.output.shape
    strides = options.strideH, options.strideW
    dilations = (
        getattr(options, "dilationHFactor", 1) or 1,
        getattr(options, "dilationWFactor", 1) or 1,
    )
    pads = [
        _pad(*sizes) if options.padding == _SAME else 0
        for sizes in zip(source[1:3], output[1:3], kernel, strides, dilations, strict=True)
    ]
    return {
        "batches": source[0],
        "in_height": source[1],
        "in_width": source[2],
        "in_channels": source[3],
        "out_height": output[1],
        "out_width": output[2],
        "out_channels": output[3],
        "kernel_height": int(kernel[0]),
        "kernel_width": int(kernel[1]),
        "stride_y": strides[0],
        "stride_x": strides[1],
        "dilation_y": dilations[0],
        "dilation_x": dilations[1],
        "pad_top": pads[0],
        "pad_left": pads[1],
    }


def _pad(size, out, kernel, stride, dilation):
    """Returns the padding ahead; where the sum is odd, there is one more behind."""
    return max(0, (out - 1) * stride + (kernel - 1) * dilation + 1 - size) // 2


def _step(operator: Operator, kernel: str, window, weights, by_channel) -> Step:
    """Makes the step of what has weights, also given as `(channels, weights of each)`."""
    source, output = operator.activation(0), operator.output
    input_scale, scales = _scales(operator, source, len(by_channel))
    biases = _biases(operator, len(by_channel))
    _check_sums(operator, input_scale, scales, biases, by_channel)
    period, repeats = _repetition([scales] if biases is None else [scales, biases])
    packed_scales, least_exponent = pack_scales(_once(scales, period, repeats))
    packed_biases, bias_shift = (
        (None, WIDE) if biases is None else pack_biases(_once(biases, period, repeats))
    )
    operation = Struct.of(
        "SwrConvolution",
        window=Struct.of("SwrWindow", **window),
        kernel=Array.of("int8_t", weights.ravel()),
        biases=packed_biases,
        scales=packed_scales,
        input_scale=input_scale,
        output_scale=output.scale,
        period=period,
        repeats=repeats,
        bias_shift=bias_shift,
        least_exponent=least_exponent,
        input_zero_point=source.zero_point,
        output_zero_point=output.zero_point,
        **limits(operator),
    )
    sums = _SUM_BYTES * len(by_channel) if kernel == "swr_convolve_depthwise" else 0
    return Step(
        kernel,
        operation,
        (source,),
        output,
        scratch_bytes=_CHANNEL_BYTES * len(by_channel) + (sums or 2 * by_channel[0].size),
        in_place=(0,) if _row_by_row(window) else (),
        in_place_bytes=window["out_width"] * window["out_channels"],
    )


def _row_by_row(window):
    """Whether a row of the output depends on that row of the input alone, and is no longer."""
    ahead = window["in_width"] * window["in_channels"]
    return (
        window["kernel_height"] == window["stride_y"] == 1
        and window["out_width"] * window["out_channels"] <= ahead
    )


def _scales(operator, source: Tensor, channels: int):
    """Returns the input's scale and those of the kernel, so that TFLite multiplies them."""
    kernel = operator.operand(1)
    scales = kernel.scales
    if kernel.zero_points.any() or len(scales) not in (1, channels):
        raise operator.refusal(
            f"its weights have {len(scales)} scales for {channels} channels, or a zero point."
        )
    if operator.name == "FULLY_CONNECTED" and len(scales) == 1:
        # Their product is a float32.
        return 1.0, np.repeat(np.float32(source.scale) * scales[0], channels)
    return source.scale, scales if len(scales) == channels else np.repeat(scales[0], channels)


def _biases(operator, channels):
    """Returns the biases, or `None` where all are 0."""
    if len(operator.inputs) < 3 or operator.inputs[2] is None:
        return None
    biases = operator.constant(2)
    if biases.dtype != np.int32 or biases.shape != (channels,):
        raise operator.refusal("its bias isn't int32, one for each channel.")
    return biases if biases.any() else None


def _repetition(arrays):
    """Returns the length of what all arrays repeat, and how often before something else comes.

    Sub-spectral normalization scales the channels of neighbouring bands alike.
    """
    count = len(arrays[0])
    found = (count, 1)
    for period in (each for each in range(1, count) if count % each == 0):
        for repeats in (
            each for each in range(2, count // period + 1) if count // period % each == 0
        ):
            blocks = [array.reshape(-1, repeats, period) for array in arrays]
            if repeats > found[1] and all((block == block[:, :1]).all() for block in blocks):
                found = period, repeats
    return found


def _once(array, period, repeats):
    return array.reshape(-1, repeats, period)[:, 0].ravel()


def _check_sums(operator, input_scale, scales, biases, by_channel):
    for scale in (input_scale, operator.output.scale, *scales[scales != 0]):
        if not np.finfo(np.float32).tiny <= scale < np.inf:
            raise operator.refusal(f"a scale of {scale} is none. Train and convert again.")
    sums = _LARGEST_INPUT * np.abs(by_channel.astype(np.int64)).sum(axis=1)
    sums += 0 if biases is None else np.abs(biases.astype(np.int64))
    for scale, largest in zip(scales.astype(float), sums, strict=True):
        _, shift = fixed_point(input_scale * scale / operator.output.scale)
        check_range(operator, int(largest), shift)
