"""The constant tables of the audio front end in C, `tflite/frontend`.

TFLite Micro's front end computes them when it starts, in single precision but for the FFT's. What
is rounded where is followed here, so that a device needs neither the code nor the memory for it.
"""

import math

import numpy as np

_WINDOW = 480
_SAMPLES = 512
_HZ_PER_BIN = 31.25
_FIRST_BIN = 5
# The single-precision log1p of newlib and glibc, off by one unit here and there, makes these bins'
# weights one higher.
_HIGHER = (149, 221)
_CHANNELS = 40
_LOWEST_HZ, _HIGHEST_HZ = 125, 7500
_FRACTION = 2**15 - 1
_GAIN_BITS = 21
_NOISE_BITS = 7
_OFFSET, _STRENGTH = 80, 0.95
_LARGEST_GAIN = 2**15 - 1
_OCTAVES = 32
_SEGMENTS = 128
_LOG_BITS = 16
_COLUMNS = 100

_HEAD = '/* Written by swr_keras/device/frontend_tables.py. */\n#include "swr_frontend_stages.h"\n'


def frontend_tables() -> str:
    """Returns the text of `tflite/frontend/swr_frontend_tables.c`."""
    widths, weights = _bands()
    tables = [
        _table("int16_t swr_window[SWR_FRONTEND_WINDOW]", _window()),
        _table("uint32_t swr_twiddles[kSwrTwiddles]", _twiddles()),
        _table("uint32_t swr_splits[kSwrSplits]", _splits()),
        _table("uint8_t swr_widths[SWR_FRONTEND_CHANNELS + 1]", widths),
        _table("uint16_t swr_weights[kSwrWeights]", weights),
        _table(
            "int16_t swr_gains[kSwrOctaves][3]",
            ["{" + ", ".join(map(str, row)) + "}" for row in _gains()],
        ),
        _table("uint16_t swr_log_corrections[kSwrLogSegments + 1]", _log_corrections()),
    ]
    return "\n".join([_HEAD, *tables])


def _table(declaration, values):
    lines = ["   "]
    for value in values:
        if len(lines[-1]) + len(f" {value},") > _COLUMNS:
            lines.append("   ")
        lines[-1] += f" {value},"
    return "\n".join([f"const {declaration} = {{", *lines, "};", ""])


def _round(value):
    return math.floor(value + 0.5)


def _in_12_bits(value):
    return math.floor(np.float32(2**12) * value + np.float32(0.5))


def _window():
    """A raised cosine with 12 bits of fraction."""
    turn = np.float32(2 * math.pi) / np.float32(_WINDOW)
    cosines = (np.float32(math.cos(turn * np.float32(i + 0.5))) for i in range(_WINDOW))
    return [_in_12_bits(np.float32(0.5) - np.float32(0.5) * cosine) for cosine in cosines]


def _turned(phase):
    """The complex number of a phase, the real part in the lower half of a word."""
    real, imaginary = _round(_FRACTION * math.cos(phase)), _round(_FRACTION * math.sin(phase))
    return f"0x{(imaginary & 0xFFFF) << 16 | real & 0xFFFF:08x}"


def _twiddles():
    points = _SAMPLES // 2
    return [_turned(-2 * math.pi * i / points) for i in range(3 * (points // 4 - 1) + 1)]


def _splits():
    points = _SAMPLES // 2
    return [_turned(-math.pi * ((i + 1) / points + 0.5)) for i in range(points // 2)]


def _mel(hz):
    return np.float32(1127) * np.float32(math.log1p(np.float32(hz) / np.float32(700)))


def _bands():
    """How many bins each channel falls over, and its weights there, with 12 bits of fraction."""
    lowest, highest = _mel(_LOWEST_HZ), _mel(_HIGHEST_HZ)
    step = (highest - lowest) / np.float32(_CHANNELS + 1)
    edges = [lowest, *(lowest + step * np.float32(i + 1) for i in range(_CHANNELS + 1))]
    widths, weights, first = [], [], _FIRST_BIN
    for start, end in zip(edges, edges[1:], strict=False):
        last = first
        while _mel(last * _HZ_PER_BIN) <= end:
            share = (end - _mel(last * _HZ_PER_BIN)) / (end - start)
            weights.append(_in_12_bits(share) + (last in _HIGHER))
            last += 1
        widths.append(last - first)
        first = last
    return widths, weights


def _gain(noise):
    raised = np.float32(noise / 2**_NOISE_BITS) + np.float32(_OFFSET)
    power = np.float32(float(raised) ** -float(np.float32(_STRENGTH)))
    gain = np.float32(2**_GAIN_BITS) * power
    return _LARGEST_GAIN if gain > _LARGEST_GAIN else int(gain + np.float32(0.5))


def _gains():
    """The gain where the noise needs so many bits: at the start, and how it goes on from there."""
    rows = [(_gain(0), 0, 0), (_gain(1), 0, 0)]
    for bits in range(2, _OCTAVES + 1):
        start = 2 ** (bits - 1)
        value = _gain(start)
        middle = _gain(start + start // 2) - value
        end = _gain(min(2 * start, 2**_OCTAVES - 1)) - value
        rows.append((value, 4 * middle - end, 2 * end - 4 * middle))
    return rows


def _log_corrections():
    """What the binary logarithm of 1 + x is above x."""
    points = (i / _SEGMENTS for i in range(_SEGMENTS + 1))
    return [_round((math.log2(1 + x) - x) * 2**_LOG_BITS) for x in points]
