"""What the streaming recipe is asked to do."""

import dataclasses
import pathlib

from swr_keras.recipes.audio_settings import Corpora, Range, check_range_db
from swr_keras.recipes.settings import Settings, setting
from swr_keras.recipes.stream_bundle import ENGINES

_USUAL_THRESHOLD = 0.9


@dataclasses.dataclass(frozen=True)
class StreamSettings(Settings):
    """All that the recipe is asked to do; each field of each concern is a flag."""

    files: tuple[str, ...] = setting((), "Recordings, or folders of them.", positional=True)
    bundle: str = setting("", "The bundle (.bin), with its manifest (.json) beside it.")
    task: tuple[str, ...] | None = setting(
        None, "Tasks that listen, comma-separated. Default: all but 'base'."
    )
    engine: str = setting("litert", "What computes the models.", choices=tuple(ENGINES))
    stride: int = setting(
        10,
        "Frames from one window to the next, of 10 ms in most front ends. Fewer take more time and "
        "hear hardly more.",
        at_least=1,
    )
    smoothing_ms: float = setting(
        400.0, "Time that a score is the mean over, in milliseconds.", at_least=0
    )
    refractory_ms: float = setting(
        1000.0, "Time after a detection at which nothing is detected, in ms.", at_least=0
    )
    threshold: float | None = setting(
        None, "Score from which on a keyword is detected. Default: 0.9.", at_least=0
    )
    false_accepts_per_hour: float | None = setting(
        None,
        "Instead of --threshold: choose the lowest one that keeps to so many false accepts an hour "
        "on a stream of validation clips, and measure it on one of test clips.",
        at_least=0,
    )
    curve: str | None = setting(
        None, "File to draw recall against false accepts per hour in (.png or .svg)."
    )
    stream_minutes: float = setting(60.0, "Length of these streams in minutes.", at_least=0.1)
    snr_db: Range | None = setting(
        None, "Lowest and highest SNR in them in dB. Default: the run's --test_snr_db, else 10,10."
    )
    held_out_noise: float = setting(
        0.0, "With --data_dir: as it was for the run's training.", at_least=0
    )
    corpora: Corpora = Corpora()
    seed: int | None = setting(
        None,
        "Seed of these streams, and, with --data_dir, of the split, as in training. Default: 0.",
        at_least=0,
    )
    microphone: bool = setting(
        False, "Whether to listen to the microphone until interrupted (extra 'microphone')."
    )

    def __post_init__(self):
        super().__post_init__()
        if not self.bundle:
            raise ValueError("Name a bundle: --bundle=runs/kws/bundle_c0_1_int8.bin.")
        if self.threshold == 0:
            raise ValueError("`threshold` must be above 0. Received: 0.")
        if self.threshold is not None and self.false_accepts_per_hour is not None:
            raise ValueError(
                "The threshold is either given or chosen for a rate of false accepts. Received: "
                f"threshold={self.threshold}, "
                f"false_accepts_per_hour={self.false_accepts_per_hour}."
            )
        if not (self.files or self.microphone or self.measures):
            raise ValueError(
                "Nothing to listen to. Name recordings, or pass --microphone, "
                "--false_accepts_per_hour or --curve."
            )
        if self.curve and not self.curve.lower().endswith((".png", ".svg")):
            raise ValueError(f"`curve` is a .png or .svg file. Received: {self.curve!r}.")
        if self.curve and not pathlib.Path(self.curve).parent.is_dir():
            raise ValueError(f"`curve` goes to a folder that exists. Received: {self.curve!r}.")
        if self.held_out_noise >= 1:
            raise ValueError(f"`held_out_noise` must be below 1. Received: {self.held_out_noise}.")
        check_range_db("snr_db", self.snr_db)

    @property
    def given_threshold(self) -> float:
        """The threshold, where none is chosen."""
        return _USUAL_THRESHOLD if self.threshold is None else self.threshold

    @property
    def measures(self) -> bool:
        """Whether anything is measured on streams of clips."""
        return self.false_accepts_per_hour is not None or self.curve is not None
