"""Command-line flags derived from settings: each field is a flag."""

import dataclasses
import types
import typing
from collections.abc import Iterator, Sequence
from typing import Any, TypeVar

from absl import flags

T = TypeVar("T")


def parse(settings_class: type[T], argv: Sequence[str]) -> T:
    """Reads settings from a command line, `--flagfile` included.

    Args:
        settings_class: A dataclass whose fields are dataclasses of settings, or settings made by
            `recipes.settings.setting`.
        argv: The command line, the program's name first.

    Raises:
        flags.Error: If a flag is unknown or its value of another type.
        ValueError: If a value is out of range.
    """
    values = define(settings_class)
    rest = values(argv)[1:]
    if rest:
        raise flags.Error(f"Unknown arguments: {rest}. Flags take the form --name=value.")
    return _build(settings_class, values)


def define(settings_class: type) -> flags.FlagValues:
    """Returns the flags of settings, in a container of their own."""
    values = flags.FlagValues()
    for field, hint in _leaves(settings_class):
        _define(field, hint, values)
    return values


def as_flat(settings: Any) -> dict[str, Any]:
    """Returns settings as one dict by name of the flag."""
    flat: dict[str, Any] = {}
    for field in dataclasses.fields(settings):
        value = getattr(settings, field.name)
        flat |= as_flat(value) if dataclasses.is_dataclass(value) else {field.name: value}
    return flat


def _leaves(settings_class) -> Iterator[tuple[dataclasses.Field, Any]]:
    hints = typing.get_type_hints(settings_class)
    for field in dataclasses.fields(settings_class):
        if dataclasses.is_dataclass(hints[field.name]):
            yield from _leaves(hints[field.name])
        else:
            yield field, hints[field.name]


def _define(field, hint, values):
    name, text = field.name, field.metadata["help"]
    kind, options = _without_none(hint), {"flag_values": values}
    if field.metadata.get("choices"):
        flags.DEFINE_enum(name, field.default, field.metadata["choices"], text, **options)
    elif typing.get_origin(kind) is tuple:
        default = None if field.default is None else [str(item) for item in field.default]
        flags.DEFINE_list(name, default, text, **options)
    elif kind is bool:
        flags.DEFINE_bool(name, field.default, text, **options)
    elif kind is int:
        flags.DEFINE_integer(name, field.default, text, **options)
    elif kind is float:
        flags.DEFINE_float(name, field.default, text, **options)
    else:
        flags.DEFINE_string(name, field.default, text, **options)


def _build(settings_class, values):
    hints = typing.get_type_hints(settings_class)
    arguments = {}
    for field in dataclasses.fields(settings_class):
        hint = hints[field.name]
        if dataclasses.is_dataclass(hint):
            arguments[field.name] = _build(hint, values)
        else:
            arguments[field.name] = _converted(field.name, values[field.name].value, hint)
    return settings_class(**arguments)


def _converted(name, value, hint):
    kind = _without_none(hint)
    if value is None or typing.get_origin(kind) is not tuple:
        return value
    item = typing.get_args(kind)[0]
    try:
        return tuple(item(each) for each in value)
    except ValueError as error:
        raise flags.IllegalFlagValueError(f"flag --{name}={','.join(value)}: {error}") from None


def _without_none(hint):
    if isinstance(hint, types.UnionType) or typing.get_origin(hint) is typing.Union:
        return next(kind for kind in typing.get_args(hint) if kind is not type(None))
    return hint
