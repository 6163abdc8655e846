"""From clips in memory to batches of features: `tf.data` data sets for training and evaluation."""

from collections.abc import Callable, Sequence

import numpy as np
import tensorflow as tf

from swr_keras.data.augmentation import (
    NoiseBank,
    add_noise_gain,
    add_noise_snr,
    shift_and_add_noise,
    spec_augment,
    split_seed,
    time_shift,
)
from swr_keras.data.clips import INT16_SCALE, Split
from swr_keras.data.features import LogMel

_MAX_SHIFT_SECONDS = 0.1
_EVALUATION_BATCH = 128
_Transform = Callable[[tf.Tensor, tf.Tensor, tf.Tensor], tf.Tensor]


def training_dataset(
    split: Split,
    noise: Sequence[np.ndarray],
    features: LogMel,
    *,
    batch_size: int,
    seed: int,
    silence_label: int | None,
    noise_snr_db: tuple[float, float] | None = None,
    spec_augment_freq_width: int | None = None,
    augment: bool = True,
) -> tf.data.Dataset:
    """Shuffled, augmented batches; one pass is one epoch, and every epoch differs.

    Waveforms get `shift_and_add_noise` (or `time_shift` alone, where there is no noise or an SNR is
    asked), features `spec_augment`. `seed`, with TensorFlow's global seed where one is set, fixes
    everything: a data set made again repeats its epochs in the same order.

    Args:
        split: the clips.
        noise: background recordings, float32 `(samples,)` each, at least a clip long. May be empty
            where nothing needs noise.
        features: the front end.
        batch_size: clips a batch; the last batch of an epoch may hold fewer.
        seed: of the order and all augmentation.
        silence_label: label of the all-zero clips, which always get noise; None without such.
        noise_snr_db: `(low, high)`: instead of BC-ResNet's noise of small random gain, every clip
            gets noise at an SNR drawn from this range, in dB.
        spec_augment_freq_width: see `spec_augment_freq_width()`; None for no SpecAugment.
        augment: False leaves out shift, BC-ResNet's noise and SpecAugment; silence and
            `noise_snr_db` are conditions of the data and stay.

    Returns:
        batches `(features, labels)`: float32 `(batch, frames, mels, 1)`, int32 `(batch,)`.

    Raises:
        ValueError: needed noise is missing, noise is shorter than a clip, or `noise_snr_db` is
            reversed.
    """
    bank = _noise_bank(split, noise, silence_label, noise_snr_db)
    max_shift = round(_MAX_SHIFT_SECONDS * features.sample_rate_hz)

    def transform(audio: tf.Tensor, labels: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
        wave_seed, noise_seed, mask_seed = split_seed(seed, 3)
        is_silence = _is_silence(labels, silence_label)
        if augment and bank is not None and noise_snr_db is None:
            audio = shift_and_add_noise(audio, bank, wave_seed, is_silence, max_shift)
        else:
            if augment:
                audio = time_shift(audio, wave_seed, max_shift)
            audio = _add_condition(audio, bank, noise_seed, is_silence, noise_snr_db)
        inputs = features(audio)
        if augment and spec_augment_freq_width is not None:
            inputs = spec_augment(inputs, mask_seed, spec_augment_freq_width)
        return inputs

    clips = len(split.labels)
    rows = tf.data.Dataset.range(clips).shuffle(clips, seed=seed, reshuffle_each_iteration=True)
    draws = tf.data.Dataset.random(seed=seed, rerandomize_each_iteration=True)
    seeds = draws.batch(2, drop_remainder=True).map(lambda pair: tf.cast(pair, tf.int32))
    return _batches(split, rows, seeds, batch_size, transform).prefetch(tf.data.AUTOTUNE)


def evaluation_dataset(
    split: Split,
    noise: Sequence[np.ndarray],
    features: LogMel,
    *,
    batch_size: int,
    silence_label: int | None,
    noise_snr_db: tuple[float, float] | None = None,
    seed: int = 0,
) -> tf.data.Dataset:
    """Batches in the split's order, the same at every pass, for every `batch_size`.

    Nothing is shifted or masked. Silence gets a noise crop scaled by U(0, 1). The features are
    computed once, here, and kept in memory.

    Args:
        split: the clips.
        noise: as in `training_dataset`.
        features: the front end.
        batch_size: clips a batch; the last batch may hold fewer.
        silence_label: label of the all-zero clips; None without such.
        noise_snr_db: `(low, high)`: every other clip gets noise at an SNR drawn from this range,
            in dB. None: no noise.
        seed: of the noise.

    Returns:
        batches `(features, labels)`: float32 `(batch, frames, mels, 1)`, int32 `(batch,)`.

    Raises:
        ValueError: needed noise is missing, noise is shorter than a clip, or `noise_snr_db` is
            reversed.
    """
    bank = _noise_bank(split, noise, silence_label, noise_snr_db)

    def transform(audio: tf.Tensor, labels: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
        is_silence = _is_silence(labels, silence_label)
        return features(_add_condition(audio, bank, seed, is_silence, noise_snr_db))

    rows = tf.data.Dataset.range(len(split.labels))
    seeds = tf.data.Dataset.counter().map(lambda step: tf.stack([seed, tf.cast(step, tf.int32)]))
    batches = _batches(split, rows, seeds, _EVALUATION_BATCH, transform)
    computed = np.concatenate([inputs for inputs, _ in batches.as_numpy_iterator()])
    with tf.device("CPU:0"):
        dataset = tf.data.Dataset.from_tensor_slices((computed, split.labels))
    return dataset.batch(batch_size).prefetch(tf.data.AUTOTUNE)


def _batches(
    split: Split,
    rows: tf.data.Dataset,
    seeds: tf.data.Dataset,
    batch_size: int,
    transform: _Transform,
) -> tf.data.Dataset:
    with tf.device("CPU:0"):
        audio, labels = tf.constant(split.audio), tf.constant(split.labels)

    def prepare(rows: tf.Tensor, seed: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        batch_labels = tf.gather(labels, rows)
        waveform = tf.cast(tf.gather(audio, rows), tf.float32) / INT16_SCALE
        return transform(waveform, batch_labels, seed), batch_labels

    batches = tf.data.Dataset.zip(rows.batch(batch_size), seeds)
    return batches.map(prepare, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True)


def _noise_bank(
    split: Split,
    noise: Sequence[np.ndarray],
    silence_label: int | None,
    snr_db: tuple[float, float] | None,
) -> NoiseBank | None:
    samples = split.audio.shape[1]
    if snr_db is not None and snr_db[0] > snr_db[1]:
        raise ValueError(f"noise_snr_db must be (low, high). Received: noise_snr_db={snr_db}.")
    if not noise:
        if silence_label is not None or snr_db is not None:
            raise ValueError(
                "Silence and noise_snr_db need background recordings. Received: noise is empty. "
                "Pass SpeechCommands.noise()."
            )
        return None
    shortest = min(len(recording) for recording in noise)
    if shortest < samples:
        raise ValueError(
            f"Every noise must hold at least a clip's {samples} samples. Received: {shortest}."
        )
    return NoiseBank.from_arrays(noise)


def _is_silence(labels: tf.Tensor, silence_label: int | None) -> tf.Tensor:
    if silence_label is None:
        return tf.zeros_like(labels, tf.bool)
    return tf.equal(labels, silence_label)


def _add_condition(
    audio: tf.Tensor,
    bank: NoiseBank | None,
    seed: tf.Tensor,
    is_silence: tf.Tensor,
    snr_db: tuple[float, float] | None,
) -> tf.Tensor:
    if bank is None:
        return audio
    if snr_db is None:
        return add_noise_gain(audio, bank, seed, is_silence, max_gain=0.0)
    return add_noise_snr(audio, bank, seed, is_silence, snr_db)
