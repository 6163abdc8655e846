r"""Keyword spotting: from folders of recordings to verified int8 models, one for each task.

Trains a base, on the words of all folders or on others, or takes one, learns for each folder which
layers to change at the target cost, trains these, and writes the merged models:

  python -m swr_keras.recipes.kws --data_dir=english,mandarin --target_cost=0.1

The run's folder gets a report.html. A run that was stopped goes on when called again.
"""

import sys
from collections.abc import Sequence

from swr_keras.recipes import launch


def main(argv: Sequence[str]) -> int:
    """Runs the command line, see `command.main`."""
    from swr_keras.recipes import command
    from swr_keras.recipes.kws_run import run
    from swr_keras.recipes.kws_settings import KwsSettings

    return command.main(argv, KwsSettings, __doc__, run)


if __name__ == "__main__":
    launch.prepare()
    sys.exit(main(sys.argv))
