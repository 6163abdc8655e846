"""Settings of recipes that say what is heard: recordings, and the noise in them."""

import dataclasses
import math

from swr_keras.audio.long_clips import LONG_CLIPS
from swr_keras.audio.splits import SPLIT_BY, Fold
from swr_keras.recipes.settings import Settings, setting

Range = tuple[float, float]


def check_range_db(name: str, snr: Range | None) -> None:
    """Raises ValueError if a range of the SNR isn't two finite numbers in order."""
    finite = snr is None or (len(snr) == 2 and all(map(math.isfinite, snr)))
    if not finite or (snr and snr[0] > snr[1]):
        raise ValueError(f"`{name}` is the lowest and the highest SNR in dB. Received: {snr}.")


@dataclasses.dataclass(frozen=True)
class Recordings(Settings):
    """Which recordings the tasks are made of, but for the fold of a cross-validation."""

    data_dir: tuple[str, ...] | None = setting(
        None,
        "Folders of recordings, comma-separated, one a task, in the layout of Speech Commands: "
        "<folder>/<word>/<speaker>_nohash_<n>.wav (or FLAC, Ogg, MP3, AIFF) and "
        "<folder>/_background_noise_/; or in MagicHub's, with a words.json. Default: synthetic "
        "English and Mandarin, made on first use, and a base of other English words.",
    )
    base_data_dir: tuple[str, ...] | None = setting(
        None,
        "Folders, as for --data_dir, whose words the base is trained on. Default: those of the "
        "tasks.",
    )
    test_dir: tuple[str, ...] | None = setting(
        None,
        "For each folder, one with the clips to test on, by class, such as the test set of Speech "
        "Commands; an empty entry for none. Default: the folders' own test lists.",
    )
    noise_dir: str | None = setting(None, "Background recordings for folders in MagicHub's layout.")
    keywords: tuple[str, ...] | None = setting(
        None, "Words to spot, over all folders. Default: all but --unknown_words."
    )
    unknown_words: tuple[str, ...] | None = setting(
        None, "Words of the class 'unknown', over all folders. Default: all but --keywords."
    )
    unknown_cap: float | None = setting(
        None,
        "Most clips of unknown words, as a share of the keywords' clips; 0.1 in the 12-class "
        "benchmark. Default: all.",
        at_least=0,
    )
    share_unknown: bool = setting(
        True, "Whether tasks share the base's classes 'unknown' and 'silence'."
    )
    silence: bool = setting(True, "Whether there is a class 'silence', made of the noises.")
    clip_seconds: float = setting(1.0, "Length of a clip in seconds.", at_least=0.1)
    long_clips: str = setting(
        "refuse",
        "What becomes of recordings longer than a clip: the part of most energy, the start or the "
        "centre is kept; 'refuse' keeps the centre too, but refuses those of more than one and a "
        "half times a clip.",
        choices=LONG_CLIPS,
    )
    split_by: str = setting(
        "speaker",
        "How clips without split lists are split: by speaker, or, for one speaker alone, by take. "
        "MagicHub's layout is always split by speaker.",
        choices=SPLIT_BY,
    )
    folds: int | None = setting(
        None,
        "Number of folds of a cross-validation over speakers, of which one tests, the next one "
        "validates and the others train; lists of the folders don't count then.",
    )
    skip_unreadable: bool = setting(
        False, "Whether to leave out clips that can't be used, and list them."
    )
    resample: bool = setting(False, "Whether to accept other sample rates than 16 kHz.")
    audio_reader: str = setting(
        "soundfile",
        "Library that decodes the clips.",
        choices=("soundfile", "tensorflow_io"),
    )

    def __post_init__(self):
        super().__post_init__()
        for name in ("data_dir", "base_data_dir"):
            folders = getattr(self, name)
            if folders is not None and not all(folders or [""]):
                raise ValueError(f"An entry of `{name}` names no folder. Received: {folders}.")
        if self.folds is not None:
            Fold(0, self.folds)


@dataclasses.dataclass(frozen=True)
class Corpora(Recordings):
    """Which recordings the tasks are made of."""

    fold: int = setting(0, "Which of the --folds tests, from 0.")

    def __post_init__(self):
        super().__post_init__()
        if self.folds is not None:
            Fold(self.fold, self.folds)
        elif self.fold:
            raise ValueError(f"`fold` needs the number of `folds`. Received: fold={self.fold}.")

    @property
    def speaker_fold(self) -> Fold | None:
        """The fold of a cross-validation; `None` without one."""
        return None if self.folds is None else Fold(self.fold, self.folds)


@dataclasses.dataclass(frozen=True)
class Noise(Settings):
    """How noisy it is."""

    train_snr_db: Range | None = setting(
        None,
        "Lowest and highest SNR in the tasks' training in dB. Default: the paper's noise, of "
        "random gain; for synthetic speech 0,20.",
    )
    base_snr_db: Range | None = setting(
        None,
        "Likewise in the training of the base. Default: the paper's noise; for synthetic speech "
        "0,20.",
    )
    test_snr_db: Range | None = setting(
        None,
        "Lowest and highest SNR at validation and test in dB, over the whole clip. Default: no "
        "noise; for synthetic speech 0,10.",
    )
    held_out_noise: float = setting(
        0.0,
        "Share of each recording of noise, at its end, that only the test hears; for synthetic "
        "speech a third.",
        at_least=0,
    )
    unheard_noise_dir: str | None = setting(
        None, "Folder of other noises, in which models are tested once more."
    )

    def __post_init__(self):
        super().__post_init__()
        if self.held_out_noise >= 1:
            raise ValueError(f"`held_out_noise` must be below 1. Received: {self.held_out_noise}.")
        for name in ("train_snr_db", "base_snr_db", "test_snr_db"):
            check_range_db(name, getattr(self, name))
