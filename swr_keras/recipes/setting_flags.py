"""Command-line flags derived from settings: each field is a flag."""

import dataclasses
import types
import typing
from collections.abc import Iterator, Sequence
from typing import Any, TypeVar

from absl import flags

from swr_keras.jobs.schema import conform

T = TypeVar("T")


def parse(settings_class: type[T], argv: Sequence[str]) -> T:
    """Reads settings from a command line, `--flagfile` included.

    Args:
        settings_class: A dataclass whose fields are dataclasses of settings, or settings made by
            `recipes.settings.setting`.
        argv: The command line, the program's name first. What is no flag goes to the field that is
            `positional`.

    Raises:
        flags.Error: If a flag is unknown or its value of another type, or an argument no flag and
            no field takes those.
        ValueError: If a value is out of range.
    """
    values = define(settings_class)
    values.set_gnu_getopt()
    rest = values(argv)[1:]
    taken = [field.name for field, _ in _leaves(settings_class) if _is_positional(field)]
    if rest and not taken:
        raise flags.Error(f"Unknown arguments: {rest}. Flags take the form --name=value.")
    found = values.flag_values_dict() | dict.fromkeys(taken, tuple(rest))
    return _build(settings_class, found)


def define(settings_class: type) -> flags.FlagValues:
    """Returns the flags of settings, in a container of their own."""
    values = flags.FlagValues()
    for field, hint in _leaves(settings_class):
        if not _is_positional(field):
            _define(field, hint, values)
    return values


def as_flat(settings: Any) -> dict[str, Any]:
    """Returns settings as one dict by name of the flag."""
    flat: dict[str, Any] = {}
    for field in dataclasses.fields(settings):
        value = getattr(settings, field.name)
        flat |= as_flat(value) if dataclasses.is_dataclass(value) else {field.name: value}
    return flat


def from_flat(settings_class: type[T], flat: Any, where: str) -> T:
    """Returns the settings that were written as one dict; the reverse of `as_flat`.

    Fields that it lacks have their defaults, and what is no field is left out.

    Args:
        settings_class: As for `parse`.
        flat: What a file of settings held.
        where: What the file is, for messages.

    Raises:
        ValueError: If it is no dict, or a value is of another type or out of range.
    """
    if not isinstance(flat, dict):
        raise ValueError(f"{where} must be an object. Received: {flat!r:.200}.")
    hints = typing.get_type_hints(settings_class)
    arguments: dict[str, Any] = {}
    for field in dataclasses.fields(typing.cast(Any, settings_class)):
        name, hint = field.name, hints[field.name]
        if dataclasses.is_dataclass(hint):
            arguments[name] = from_flat(typing.cast(type, hint), flat, where)
        elif name in flat:
            arguments[name] = conform(flat[name], hint, f"{where}['{name}']")
    return settings_class(**arguments)


def _is_positional(field):
    return field.metadata["positional"]


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
            arguments[field.name] = _converted(field.name, values[field.name], hint)
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
