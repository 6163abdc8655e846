"""What the table of several keyword-spotting runs is asked, and how it is made."""

import dataclasses

from swr_keras.jobs.comparison import comparison
from swr_keras.jobs.run import Run
from swr_keras.recipes.kws_settings import KwsSettings
from swr_keras.recipes.setting_flags import as_flat
from swr_keras.recipes.settings import Settings, setting


@dataclasses.dataclass(frozen=True)
class TableSettings(Settings):
    """Which runs are compared."""

    runs: tuple[str, ...] = setting((), "Folders of runs.", positional=True)


def run(settings: TableSettings) -> None:
    """Prints the table.

    Raises:
        ValueError: If a folder has no results, or runs differ in more than seed, fold, paths
            and backbone, or can't be averaged.
    """
    runs = [Run.load(folder) for folder in settings.runs]
    print(comparison(runs, as_flat(KwsSettings())))
