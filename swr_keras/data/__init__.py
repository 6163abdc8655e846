"""Audio data: reading, keyword data sets, features, augmentation, input pipelines."""

from swr_keras.data.audio import AudioError, fit_length, read_audio
from swr_keras.data.augmentation import (
    NoiseBank,
    add_noise_gain,
    add_noise_snr,
    shift_and_add_noise,
    spec_augment,
    spec_augment_freq_width,
    time_shift,
)
from swr_keras.data.clips import Split
from swr_keras.data.features import LogMel
from swr_keras.data.pipeline import evaluation_dataset, training_dataset
from swr_keras.data.speech_commands import SpeechCommands

__all__ = [
    "AudioError",
    "LogMel",
    "NoiseBank",
    "SpeechCommands",
    "Split",
    "add_noise_gain",
    "add_noise_snr",
    "evaluation_dataset",
    "fit_length",
    "read_audio",
    "shift_and_add_noise",
    "spec_augment",
    "spec_augment_freq_width",
    "time_shift",
    "training_dataset",
]
