"""The pickles of PyTorch's files, interpreted without running or importing what they name."""

import dataclasses
import pickletools
from collections.abc import Callable
from typing import Any, BinaryIO

_MOST_OPERATIONS = 2**22
_MOST_AXES = 8
_MARK = object()
_CONSTANTS = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False, "EMPTY_TUPLE": (), "MARK": _MARK}
_VALUES = (
    *("BININT", "BININT1", "BININT2", "LONG1", "BINFLOAT"),
    *("BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8", "BINSTRING", "SHORT_BINSTRING"),
)
_TUPLES = {"TUPLE1": 1, "TUPLE2": 2, "TUPLE3": 3}


@dataclasses.dataclass(frozen=True)
class Storage:
    """Values that tensors are made of.

    Attributes:
        kind: Class of torch, such as "FloatStorage".
        key: What the file calls it.
        count: Number of values.
    """

    kind: str
    key: str
    count: int


@dataclasses.dataclass(frozen=True)
class StoredTensor:
    """A tensor in a storage; offset and strides count values."""

    storage: Storage
    offset: int
    size: tuple[int, ...]
    stride: tuple[int, ...]


@dataclasses.dataclass(frozen=True)
class _Global:
    name: str


def read_pickle(file: BinaryIO) -> tuple[Any, dict[str, Storage]]:
    """Reads one pickle of what state dicts are made of; the file is left at its end.

    These are dicts with strings as keys (`OrderedDict` among them), lists, tuples, strings,
    numbers, and tensors.

    Returns:
        The value, tensors as `StoredTensor`, and the storages that it names, by key.

    Raises:
        ValueError: If it is damaged or has anything else.
    """
    machine = _Machine()
    try:
        for count, (operation, argument, _) in enumerate(pickletools.genops(file)):
            if count >= _MOST_OPERATIONS:
                raise ValueError(f"its pickle takes more than {_MOST_OPERATIONS:,} operations")
            machine.run(operation.name, argument)
    except (IndexError, KeyError, TypeError) as error:
        raise ValueError(f"its pickle is damaged ({type(error).__name__}: {error})") from None
    if len(machine.stack) != 1:
        raise ValueError("its pickle is damaged: it has no single value")
    return machine.stack[0], machine.storages


class _Machine:
    """The stack and memo of an unpickler, whose functions are those of `_FUNCTIONS` alone."""

    def __init__(self):
        self.stack: list[Any] = []
        self.memo: dict[int, Any] = {}
        self.storages: dict[str, Storage] = {}

    def run(self, name: str, argument: Any) -> None:
        if name in _CONSTANTS:
            self.stack.append(_CONSTANTS[name])
        elif name in _VALUES:
            self.stack.append(argument)
        elif name in ("BINGET", "LONG_BINGET"):
            self.stack.append(self.memo[argument])
        elif name in ("BINPUT", "LONG_BINPUT"):
            self.memo[argument] = self.stack[-1]
        elif name in _TUPLES:
            count = _TUPLES[name]
            self.stack[-count:] = [tuple(self.stack[-count:])]
        elif name not in ("PROTO", "FRAME", "STOP"):
            step = getattr(self, f"_{name.lower()}", None)
            if step is None:
                raise ValueError(f"its pickle has the operation {name}, which no state dict needs")
            step(argument)

    def _memoize(self, _):
        self.memo[len(self.memo)] = self.stack[-1]

    def _empty_dict(self, _):
        self.stack.append({})

    def _empty_list(self, _):
        self.stack.append([])

    def _tuple(self, _):
        self.stack.append(tuple(self._since_mark()))

    def _append(self, _):
        value = self.stack.pop()
        _expect(self.stack[-1], list).append(value)

    def _appends(self, _):
        values = self._since_mark()
        _expect(self.stack[-1], list).extend(values)

    def _setitem(self, _):
        value, key = self.stack.pop(), self.stack.pop()
        _expect(self.stack[-1], dict)[_expect(key, str)] = value

    def _setitems(self, _):
        values = self._since_mark()
        for key, value in zip(values[::2], values[1::2], strict=True):
            _expect(self.stack[-1], dict)[_expect(key, str)] = value

    def _global(self, argument):
        self.stack.append(_known(argument))

    def _stack_global(self, _):
        name, module = self.stack.pop(), self.stack.pop()
        self.stack.append(_known(f"{module} {name}"))

    def _reduce(self, _):
        arguments, function = _expect(self.stack.pop(), tuple), self.stack.pop()
        name = _expect(function, _Global).name
        if name not in _FUNCTIONS:
            raise ValueError(f"its pickle calls {name!r}, which is no function")
        self.stack.append(_FUNCTIONS[name](*arguments))

    def _build(self, _):
        """Leaves out the attributes of an `OrderedDict`: versions of modules."""
        self.stack.pop()
        _expect(self.stack[-1], dict)

    def _binpersid(self, _):
        kind, storage_class, key, _, count, *view = _expect(self.stack.pop(), tuple)
        if kind != "storage" or not isinstance(storage_class, _Global) or view not in ([], [None]):
            raise ValueError("its pickle refers to something else than a storage")
        module, _, name = storage_class.name.partition(" ")
        if module != "torch" or not name.endswith("Storage"):
            raise ValueError(f"its pickle refers to a storage of class {storage_class.name!r}")
        storage = Storage(name, _expect(key, str), _expect(count, int))
        if self.storages.setdefault(storage.key, storage) != storage:
            raise ValueError(f"its storage {storage.key[:40]!r} is declared twice, differently")
        self.stack.append(storage)

    def _since_mark(self):
        values = []
        while (value := self.stack.pop()) is not _MARK:
            values.append(value)
        return values[::-1]


def _ordered_dict(pairs=()):
    return {_expect(key, str): value for key, value in pairs}


def _rebuild_tensor(storage, offset, size, stride, *_):
    numbers = [_expect(n, int) for n in (offset, *_expect(size, tuple), *_expect(stride, tuple))]
    if min(numbers) < 0 or len(size) != len(stride) or len(size) > _MOST_AXES:
        raise ValueError(
            f"a tensor has the offset {offset!r:.40}, size {size!r:.80} and strides {stride!r:.80}"
        )
    return StoredTensor(_expect(storage, Storage), offset, size, stride)


def _rebuild_parameter(tensor, *_):
    return _expect(tensor, StoredTensor)


_FUNCTIONS: dict[str, Callable[..., Any]] = {
    "collections OrderedDict": _ordered_dict,
    "torch._utils _rebuild_parameter": _rebuild_parameter,
    "torch._utils _rebuild_tensor": _rebuild_tensor,
    "torch._utils _rebuild_tensor_v2": _rebuild_tensor,
}
_STORAGES = tuple(
    f"torch {name}Storage"
    for name in (
        *("Float", "Double", "Half", "BFloat16"),
        *("Long", "Int", "Short", "Char", "Byte", "Bool"),
    )
)


def _known(name):
    if name not in _FUNCTIONS and name not in _STORAGES:
        raise ValueError(f"it asks for {name.replace(' ', '.')[:80]!r}, which no state dict needs")
    return _Global(name)


def _expect(value, kind):
    if type(value) is not kind:
        found = type(value).__name__
        raise ValueError(f"its pickle has a {found} in the place of a {kind.__name__}")
    return value
