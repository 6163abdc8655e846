"""What every recipe's command line has in common."""

import logging
import sys
from collections.abc import Callable, Sequence
from typing import Any

from absl import flags

from swr_keras.recipes import setting_flags

_HELP = ("--help", "-help", "--helpshort", "-h", "-?")


def main(
    argv: Sequence[str],
    settings_class: type,
    text: str | None,
    run: Callable[[Any], None],
    interrupted: str = "Interrupted. The same command goes on from here.",
) -> int:
    """Reads settings from a command line and runs a recipe with them.

    Args:
        argv: The command line, the program's name first.
        settings_class: The recipe's settings.
        text: What the recipe does, for `--help`.
        run: Runs the recipe.
        interrupted: What is said when a person stops it.

    Returns:
        The exit code: 0, or 1 for an error, whose message is printed, or 130 if interrupted.
    """
    if set(argv[1:]) & set(_HELP):
        print(f"{text}\n\nFlags:\n{setting_flags.define(settings_class).get_help()}")
        return 0
    # TensorFlow's Python side warns of graphs traced for each model anew.
    logging.getLogger("tensorflow").setLevel(logging.ERROR)
    try:
        run(setting_flags.parse(settings_class, argv))
    except KeyboardInterrupt:
        print(f"\n{interrupted}", file=sys.stderr)
        return 130
    except flags.Error as error:
        print(f"Error: {error}\nPass --help to see the flags.", file=sys.stderr)
        return 1
    except (ValueError, OSError, ImportError, FloatingPointError) as error:
        print(f"\nError: {error}", file=sys.stderr)
        return 1
    return 0
