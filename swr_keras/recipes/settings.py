"""What settings of recipes are: dataclasses, one for each concern, composed by each recipe.

Flags are derived from them: a field is a flag, its `help` the help. A default keeps what a file
written before the field existed meant.
"""

import dataclasses
import math
from collections.abc import Sequence
from typing import Any

from swr_keras.messages import legible


def setting(
    default: Any,
    help_text: str,
    *,
    at_least: float | None = None,
    choices: Sequence[str] | None = None,
    positional: bool = False,
) -> Any:
    """Declares a field that is a flag, or what stands on the command line without one.

    Args:
        default: Its default.
        help_text: What it is, for people.
        at_least: Smallest number that it may be.
        choices: All that it may be, besides the default.
        positional: Whether it takes the arguments that are no flags, a tuple of texts.
    """
    metadata = {
        "help": help_text,
        "at_least": at_least,
        "choices": choices,
        "positional": positional,
    }
    return dataclasses.field(default=default, metadata=metadata)


@dataclasses.dataclass(frozen=True)
class Settings:
    """Checks that numbers are finite and in range, names among their choices, texts in UTF-8."""

    def __post_init__(self):
        for field in dataclasses.fields(self):
            value, least = getattr(self, field.name), field.metadata.get("at_least")
            _check_texts(field.name, value if isinstance(value, tuple) else (value,))
            if isinstance(value, float) and not math.isfinite(value):
                raise ValueError(f"`{field.name}` must be finite. Received: {value}.")
            if value is not None and least is not None and value < least:
                raise ValueError(f"`{field.name}` must be at least {least:g}. Received: {value}.")
            choices = field.metadata.get("choices")
            if choices and value not in (*choices, field.default):
                raise ValueError(
                    f"`{field.name}` must be one of {list(choices)}. Received: {value!r}."
                )


def _check_texts(name, values):
    """Raises ValueError for bytes of a command line that no file of results could hold."""
    for text in values:
        if isinstance(text, str) and not _is_utf8(text):
            raise ValueError(
                f"`{name}` must be text in UTF-8. Received: {legible(text)}. Rename it, or name a "
                "link to it."
            )


def _is_utf8(text):
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
