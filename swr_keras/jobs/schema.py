"""Whether values that were read from a file have the types that their schema names."""

import dataclasses
import types
import typing
from typing import Any

_NAMES = {str: "text", int: "an integer", float: "a number", bool: "true or false"}


def conform(value: Any, hint: Any, where: str) -> Any:
    """Returns what JSON gave in the types of a schema: lists as tuples, dicts as dataclasses.

    Args:
        value: The value.
        hint: Its type: `Any`, `str`, `int`, `float`, `bool`, a dataclass, a `TypedDict` (which may
            have more keys), `list`, `tuple[X, ...]` or `dict` of these, or one of these or `None`.
        where: What the value is, for messages.

    Raises:
        ValueError: If it, or anything in it, is of another type; says where.
    """
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if hint is Any:
        return value
    if origin in (types.UnionType, typing.Union):
        return None if value is None else conform(value, arguments[0], where)
    if dataclasses.is_dataclass(hint):
        return _read_dataclass(value, hint, where)
    if typing.is_typeddict(hint):
        return _read_typed_dict(value, hint, where)
    if origin in (list, tuple) and isinstance(value, list | tuple):
        return origin(conform(v, arguments[0], f"{where}[{i}]") for i, v in enumerate(value))
    if origin is dict and isinstance(value, dict):
        return {name: conform(v, arguments[1], f"{where}[{name!r}]") for name, v in value.items()}
    if type(value) is hint or (hint is float and type(value) is int):
        return value
    expected = _NAMES.get(hint) or ("an object" if origin is dict else "a list")
    raise ValueError(f"{where} must be {expected}. Received: {value!r:.200}.")


def _read_dataclass(value, hint, where):
    fields = {field.name: field for field in dataclasses.fields(hint)}
    required = {
        name
        for name, field in fields.items()
        if field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING
    }
    values = _read_fields(value, typing.get_type_hints(hint), required, where)
    if unknown := sorted(set(values) - set(fields)):
        raise ValueError(f"{where} has unknown fields. Received: {unknown!r:.200}.")
    return hint(**values)


def _read_typed_dict(value, hint, where):
    return _read_fields(value, typing.get_type_hints(hint), hint.__required_keys__, where)


def _read_fields(value, hints, required, where):
    if not isinstance(value, dict):
        raise ValueError(f"{where} must be an object. Received: {value!r:.200}.")
    if missing := sorted(required - set(value)):
        raise ValueError(f"{where} lacks {missing}. Received: {sorted(value)!r:.200}.")
    return {
        name: conform(v, hints.get(name, Any), f"{where}['{name}']") for name, v in value.items()
    }
