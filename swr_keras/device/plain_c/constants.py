"""Constants of C that are equal if their contents are, and the bytes they take on a device."""

import dataclasses
from collections.abc import Iterator
from typing import Any, TypeAlias

import numpy as np

POINTER_BYTES = 4
"""Of a pointer on the microcontrollers that the sizes are counted for."""

_SIZES = {"int8_t": 1, "uint8_t": 1, "int16_t": 2, "uint16_t": 2, "int32_t": 4, "uint32_t": 4}
_SIZES |= {"float": 4, "pointer": POINTER_BYTES}

_WINDOW = (
    "batches in_height in_width in_channels out_height out_width out_channels kernel_height "
    "kernel_width stride_y stride_x dilation_y dilation_x pad_top pad_left"
).split()
_OPERANDS = {"broadcast": "pointer", "first": "pointer", "second": "pointer"}
_ZERO_POINTS = dict.fromkeys(
    ("first_zero_point", "second_zero_point", "output_zero_point", "low", "high"), "int8_t"
)

FIELDS: dict[str, dict[str, str]] = {
    "SwrWindow": dict.fromkeys(_WINDOW, "uint16_t"),
    "SwrScale": {"multiplier": "int32_t", "shift": "int8_t"},
    "SwrConvolution": {
        **dict.fromkeys(("window", "kernel", "biases", "scales"), "pointer"),
        **dict.fromkeys(("input_scale", "output_scale"), "float"),
        **dict.fromkeys(("period", "repeats"), "uint16_t"),
        **dict.fromkeys(("bias_shift", "least_exponent"), "uint8_t"),
        **dict.fromkeys(("input_zero_point", "output_zero_point", "low", "high"), "int8_t"),
    },
    "SwrPool": {"window": "pointer", "low": "int8_t", "high": "int8_t"},
    "SwrBroadcast": dict.fromkeys(("sizes", "first_strides", "second_strides"), "uint32_t[4]"),
    "SwrSum": {
        **_OPERANDS,
        **dict.fromkeys(("first_scale", "second_scale", "output_scale"), "SwrScale"),
        **_ZERO_POINTS,
        "subtract": "uint8_t",
    },
    "SwrProduct": {**_OPERANDS, "output_scale": "SwrScale", **_ZERO_POINTS},
    "SwrExtreme": {**_OPERANDS, "smaller": "uint8_t"},
    "SwrTable": {"table": "pointer", "count": "uint32_t"},
    "SwrLogistic": {
        "count": "uint32_t",
        "scale": "SwrScale",
        "radius": "int16_t",
        "input_zero_point": "int8_t",
    },
    "SwrReduction": {"sizes": "uint32_t[4]", "strides": "uint32_t[4]", "output_count": "uint32_t"},
    "SwrMean": {
        "reduction": "pointer",
        "scale": "SwrScale",
        "zero_sum": "int32_t",
        "divisor": "int32_t",
        "output_zero_point": "int8_t",
    },
    "SwrReducedExtreme": {"reduction": "pointer", "smallest": "uint8_t"},
    "SwrMove": {
        **dict.fromkeys(("from", "to"), "uint32_t"),
        "sizes": "uint32_t[5]",
        **dict.fromkeys(("from_strides", "to_strides"), "int32_t[5]"),
    },
    "SwrCopy": {"move": "pointer", "constant": "pointer"},
    "SwrFill": {"count": "uint32_t", "value": "int8_t"},
    "SwrSelection": {
        **dict.fromkeys(("rows", "columns"), "pointer"),
        **dict.fromkeys(
            ("batches", "in_height", "in_width", "out_height", "out_width", "channels"), "uint16_t"
        ),
    },
    "SwrSoftmax": {
        "rows": "uint32_t",
        "depth": "uint16_t",
        "least_difference": "int16_t",
        "scale": "SwrScale",
    },
    "SwrStep": {
        "kernel": "pointer",
        "input": "uint16_t[2]",
        **dict.fromkeys(("output", "scratch"), "uint16_t"),
    },
    "SwrProgram": {
        "steps": "pointer",
        **dict.fromkeys(("step_count", "trunk_count", "input", "output"), "uint16_t"),
        "keeps_trunk": "uint8_t",
    },
    "SwrTask": {
        **dict.fromkeys(("name", "labels", "program", "operations"), "pointer"),
        **dict.fromkeys(("input_count", "output_count"), "uint32_t"),
        **dict.fromkeys(("input_scale", "output_scale"), "float"),
        **dict.fromkeys(("input_zero_point", "output_zero_point"), "int8_t"),
    },
}
"""The structs that are constants in C, with their fields and types in the order of C."""


@dataclasses.dataclass(frozen=True)
class Array:
    """An array: the C type of its elements, and their little-endian bytes."""

    ctype: str
    data: bytes

    @classmethod
    def of(cls, ctype: str, values: Any) -> "Array":
        dtype = np.float32 if ctype == "float" else np.dtype(ctype.removesuffix("_t"))
        values = np.asarray(values)
        stored = values.astype(dtype)
        if not np.array_equal(stored, values):
            raise OverflowError(f"Values up to {np.abs(values).max()} don't fit {ctype}.")
        return cls(ctype, stored.astype(stored.dtype.newbyteorder("<")).tobytes())

    @property
    def values(self) -> np.ndarray:
        name = "float32" if self.ctype == "float" else self.ctype.removesuffix("_t")
        return np.frombuffer(self.data, np.dtype(name).newbyteorder("<"))


Value: TypeAlias = "int | float | tuple[int, ...] | Array | Struct | None"


@dataclasses.dataclass(frozen=True)
class Struct:
    """A struct of `FIELDS`, with its values in that order; arrays and structs are pointed to,
    but a `SwrScale` is part of the struct itself."""

    ctype: str
    values: tuple[Value, ...]

    @classmethod
    def of(cls, ctype: str, **values: Value) -> "Struct":
        fields = FIELDS[ctype]
        if set(values) - set(fields):
            raise TypeError(f"{ctype} has fields {list(fields)}. Received: {list(values)}.")
        for name, value in values.items():
            if isinstance(value, tuple) and not fields[name].endswith(f"[{len(value)}]"):
                raise TypeError(f"{name} of {ctype} is {fields[name]}. Received: {value}.")
            for number in value if isinstance(value, tuple) else (value,):
                if isinstance(number, int) and not _fits(number, fields[name]):
                    raise OverflowError(f"{name}={number} doesn't fit {fields[name]} of {ctype}.")
        return cls(ctype, tuple(values.get(name) for name in fields))

    @property
    def fields(self) -> Iterator[tuple[str, str, Value]]:
        """Yields name, type and value of each field."""
        for (name, ctype), value in zip(FIELDS[self.ctype].items(), self.values, strict=True):
            yield name, ctype, value


Constant: TypeAlias = Array | Struct


def _fits(number, ctype):
    limits = np.iinfo(ctype.partition("_t")[0])
    return limits.min <= number <= limits.max


def size_of(ctype: str, *, pointer_bytes: int = POINTER_BYTES) -> int:
    """Returns the bytes of a type."""
    return _layout(ctype, pointer_bytes)[0]


def _layout(ctype, pointer_bytes):
    """Returns size and alignment."""
    if ctype == "pointer":
        return pointer_bytes, pointer_bytes
    if ctype in _SIZES:
        return _SIZES[ctype], _SIZES[ctype]
    if ctype.endswith("]"):
        element, count = ctype.removesuffix("]").split("[")
        size, alignment = _layout(element, pointer_bytes)
        return size * int(count), alignment
    end, widest = 0, 1
    for field in FIELDS[ctype].values():
        size, alignment = _layout(field, pointer_bytes)
        end = -(-end // alignment) * alignment + size
        widest = max(widest, alignment)
    return -(-end // widest) * widest, widest


def bytes_of(constant: Constant) -> int:
    """Returns the bytes of a constant, without what it points to."""
    return len(constant.data) if isinstance(constant, Array) else size_of(constant.ctype)


def with_pointees(constant: Constant) -> Iterator[Constant]:
    """Yields all that a constant points to, directly or not, then the constant itself."""
    if isinstance(constant, Struct):
        for _, ctype, value in constant.fields:
            if ctype == "pointer" and isinstance(value, Array | Struct):
                yield from with_pointees(value)
    yield constant
