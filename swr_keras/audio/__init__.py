"""Audio data: reading, keyword data sets, features, augmentation, input pipelines."""

from collections.abc import Callable
from typing import Any

from swr_keras.audio.audio import AudioError, fit_length, read_audio
from swr_keras.audio.augmentation import (
    NoiseBank,
    add_noise_gain,
    add_noise_snr,
    shift_and_add_noise,
    spec_augment,
    spec_augment_freq_width,
    time_shift,
)
from swr_keras.audio.clips import Split
from swr_keras.audio.embedding_mel import EmbeddingMel
from swr_keras.audio.features import FrontEnd, LogMel
from swr_keras.audio.mc_kws import MandarinKWS
from swr_keras.audio.mfcc import MFCC
from swr_keras.audio.micro_frontend import MicroFrontend
from swr_keras.audio.pipeline import evaluation_dataset, training_dataset
from swr_keras.audio.speech_commands import GSC_KEYWORDS, SpeechCommands
from swr_keras.audio.splits import Fold
from swr_keras.audio.synthetic import (
    SYNTHETIC_BASE_WORDS,
    SYNTHETIC_KEYWORDS,
    SYNTHETIC_UNKNOWN_WORDS,
    synthetic_corpus,
)

FRONT_ENDS: dict[str, Callable[[int], FrontEnd]] = {
    "log_mel": LogMel,
    "mfcc": MFCC,
    "micro_frontend": MicroFrontend,
    "embedding_mel": EmbeddingMel,
}
"""The front ends by name; each takes the sample rate in Hz."""

_LARGEST = 1_000_000  # Far beyond any sensible rate or length.
_BY_CLASS: dict[str, Callable[..., FrontEnd]] = {
    each.__name__: each for each in (LogMel, MFCC, MicroFrontend, EmbeddingMel)
}


def front_end_from(description: Any) -> FrontEnd:
    """Returns the front end that a manifest describes.

    Args:
        description: Its `class` and `parameters`, as JSON gave them.

    Raises:
        ImportError: If it needs a package that isn't installed.
        ValueError: If it describes none of these front ends.
    """
    try:
        parameters = description["parameters"]
        if any(abs(value) > _LARGEST for value in parameters.values()):
            raise TypeError(f"a parameter beyond {_LARGEST:,}")
        return _BY_CLASS[description["class"]](**parameters)
    except (AttributeError, KeyError, TypeError) as error:
        raise ValueError(
            f"Expected the `class`, one of {list(_BY_CLASS)}, and the `parameters` of a front end. "
            f"Received: {description!r:.300} ({error})."
        ) from None


__all__ = [
    "FRONT_ENDS",
    "GSC_KEYWORDS",
    "MFCC",
    "SYNTHETIC_BASE_WORDS",
    "SYNTHETIC_KEYWORDS",
    "SYNTHETIC_UNKNOWN_WORDS",
    "AudioError",
    "EmbeddingMel",
    "Fold",
    "FrontEnd",
    "LogMel",
    "MandarinKWS",
    "MicroFrontend",
    "NoiseBank",
    "SpeechCommands",
    "Split",
    "add_noise_gain",
    "add_noise_snr",
    "evaluation_dataset",
    "fit_length",
    "front_end_from",
    "read_audio",
    "shift_and_add_noise",
    "spec_augment",
    "spec_augment_freq_width",
    "synthetic_corpus",
    "time_shift",
    "training_dataset",
]
