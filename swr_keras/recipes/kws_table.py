r"""Results of several keyword-spotting runs side by side, as Markdown tables.

Runs that differ in nothing but seed, fold, paths and backbone are compared, and averaged over seeds
or folds with 95 % confidence intervals:

  python -m swr_keras.recipes.kws_table runs/seed0 runs/seed1 runs/seed2
"""

import sys
from collections.abc import Sequence

from swr_keras.recipes import launch


def main(argv: Sequence[str]) -> int:
    """Runs the command line, see `command.main`."""
    from swr_keras.recipes import command
    from swr_keras.recipes.kws_table_run import TableSettings, run

    return command.main(argv, TableSettings, __doc__, run, interrupted="Interrupted.")


if __name__ == "__main__":
    launch.prepare()
    sys.exit(main(sys.argv))
