r"""Results of several keyword-spotting runs side by side, as Markdown tables.

Runs that differ in nothing but seed, paths and backbone are compared, and averaged over seeds with
95 % confidence intervals:

  python -m swr_keras.recipes.kws_table runs/seed0 runs/seed1 runs/seed2
"""

import sys
from collections.abc import Sequence

from swr_keras.recipes import launch


def main(folders: Sequence[str]) -> int:
    """Prints the comparison; returns the exit status."""
    from swr_keras.jobs.comparison import comparison
    from swr_keras.jobs.run import Run
    from swr_keras.recipes.kws_settings import KwsSettings
    from swr_keras.recipes.setting_flags import as_flat

    try:
        print(comparison([Run.load(folder) for folder in folders], as_flat(KwsSettings())))
    except ValueError as error:
        print(f"Error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    launch.prepare()
    sys.exit(main(sys.argv[1:]))
