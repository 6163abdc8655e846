"""From clips in memory to batches of features: `tf.data` data sets for training and evaluation."""

from collections.abc import Callable, Sequence

import numpy as np
import tensorflow as tf

from swr_keras.audio.augmentation import (
    NoiseBank,
    add_noise_gain,
    add_noise_snr,
    shift_and_add_noise,
    spec_augment,
    split_seed,
    time_shift,
)
from swr_keras.audio.clips import INT16_SCALE, Split
from swr_keras.audio.features import FrontEnd
from swr_keras.audio.micro_frontend import MicroFrontend

_MAX_SHIFT_SECONDS = 0.1
_EVALUATION_BATCH = 128
_Transform = Callable[[tf.Tensor, tf.Tensor, tf.Tensor], tf.Tensor]


def training_dataset(
    split: Split,
    noise: Sequence[np.ndarray],
    features: FrontEnd,
    *,
    batch_size: int,
    seed: int,
    silence_label: int | Sequence[int] | None,
    noise_snr_db: tuple[float, float] | None = None,
    spec_augment_freq_width: int | None = None,
    augment: bool = True,
    first_epoch: int | None = None,
) -> tf.data.Dataset:
    """Shuffled, augmented batches; one pass is one epoch, and every epoch differs.

    Waveforms get `shift_and_add_noise` (or `time_shift` alone, where there is no noise or an SNR is
    asked), features `spec_augment`. `seed`, with TensorFlow's global seed where one is set, fixes
    everything: a data set made again repeats its epochs in the same order.

    Args:
        split: The clips.
        noise: Background recordings, float32 `(samples,)` each, at least a clip long. May be empty
            where nothing needs noise.
        features: The front end.
        batch_size: Clips a batch; the last batch of an epoch may hold fewer.
        seed: Of the order and all augmentation.
        silence_label: Label (or labels) of silence; its clips that aren't `recorded` always get
            noise. None without such a class.
        noise_snr_db: `(low, high)`: instead of BC-ResNet's noise of small random gain, every clip
            gets noise at an SNR drawn from this range, in dB. The signal's power is the mean over
            the whole clip, padding included.
        spec_augment_freq_width: See `spec_augment_freq_width()`; None for no SpecAugment.
        augment: False leaves out shift, BC-ResNet's noise and SpecAugment; silence and
            `noise_snr_db` are conditions of the data and stay.
        first_epoch: A number makes the data set endless: one epoch after the other from this one
            on, the same each time, to go on with a training that stopped. Tell `fit` its
            `steps_per_epoch` then, since it iterates a finite data set more often than it trains.

    Returns:
        Batches `(features, labels)`: float32 `(batch, frames, mels, 1)`, int32 `(batch,)`.

    Raises:
        ValueError: If needed noise is missing, noise is shorter than a clip, or `noise_snr_db` is
            reversed.
    """
    is_silence = _awaits_noise(split, silence_label)
    bank = _noise_bank(split, noise, is_silence, noise_snr_db)
    max_shift = round(_MAX_SHIFT_SECONDS * features.sample_rate_hz)

    def transform(audio: tf.Tensor, is_silence: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
        wave_seed, noise_seed, mask_seed = split_seed(seed, 3)
        if augment and bank is not None and noise_snr_db is None:
            event = (bank, wave_seed, is_silence, max_shift)
            heard = shift_and_add_noise(audio, *event)
            background = shift_and_add_noise(tf.zeros_like(audio), *event)
        else:
            if augment:
                audio = time_shift(audio, wave_seed, max_shift)
            heard = _add_condition(audio, bank, noise_seed, is_silence, noise_snr_db)
            background = heard - audio
        inputs = _compute(features, heard, background)
        if augment and spec_augment_freq_width is not None:
            inputs = spec_augment(inputs, mask_seed, spec_augment_freq_width)
        return inputs

    clips = len(split.labels)
    if first_epoch is None:
        numbers = tf.data.Dataset.random(seed=seed, rerandomize_each_iteration=True).take(1)
        cardinality = -(-clips // batch_size)
    else:
        numbers = tf.data.Dataset.counter(first_epoch)
        cardinality = tf.data.INFINITE_CARDINALITY
    indices = numbers.flat_map(
        lambda number: _epoch(clips, batch_size, tf.stack([seed, tf.cast(number, tf.int32)]))
    ).apply(tf.data.experimental.assert_cardinality(cardinality))
    return _batches(split, is_silence, indices, transform).prefetch(tf.data.AUTOTUNE)


def evaluation_dataset(
    split: Split,
    noise: Sequence[np.ndarray],
    features: FrontEnd,
    *,
    batch_size: int,
    silence_label: int | Sequence[int] | None,
    noise_snr_db: tuple[float, float] | None = None,
    seed: int = 0,
) -> tf.data.Dataset:
    """Batches in the split's order, the same at every pass, for every `batch_size`.

    Nothing is shifted or masked. Silence that isn't `recorded` gets a noise crop scaled by U(0, 1).
    The features are computed once, here, and kept in memory.

    Args:
        split: The clips.
        noise: As in `training_dataset`.
        features: The front end.
        batch_size: Clips a batch; the last batch may hold fewer.
        silence_label: Label of silence; None without such a class.
        noise_snr_db: `(low, high)`: every other clip gets noise at an SNR drawn from this range,
            in dB, as in `training_dataset`. None: no noise.
        seed: Of the noise.

    Returns:
        Batches `(features, labels)`: float32 `(batch, frames, mels, 1)`, int32 `(batch,)`.

    Raises:
        ValueError: If needed noise is missing, noise is shorter than a clip, or `noise_snr_db` is
            reversed.
    """
    is_silence = _awaits_noise(split, silence_label)
    bank = _noise_bank(split, noise, is_silence, noise_snr_db)

    def transform(audio: tf.Tensor, is_silence: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
        heard = _add_condition(audio, bank, seed, is_silence, noise_snr_db)
        return _compute(features, heard, heard - audio)

    rows = tf.data.Dataset.range(len(split.labels)).batch(_EVALUATION_BATCH)
    batches = _batches(split, is_silence, tf.data.Dataset.zip(rows, _seeds(seed)), transform)
    computed = np.concatenate([inputs for inputs, _ in batches.as_numpy_iterator()])
    with tf.device("CPU:0"):
        dataset = tf.data.Dataset.from_tensor_slices((computed, split.labels))
    return dataset.batch(batch_size).prefetch(tf.data.AUTOTUNE)


def _epoch(clips: int, batch_size: int, seed: tf.Tensor) -> tf.data.Dataset:
    """Batches of rows in the order of an epoch that a seed `(2,)` stands for, with a seed each."""
    rows = tf.random.experimental.stateless_shuffle(tf.range(clips), seed=seed)
    batches = tf.data.Dataset.from_tensor_slices(rows).batch(batch_size)
    steps = tf.data.Dataset.counter()
    return tf.data.Dataset.zip(
        batches, steps.map(lambda step: tf.random.experimental.stateless_fold_in(seed, step))
    )


def _seeds(first: int) -> tf.data.Dataset:
    return tf.data.Dataset.counter().map(lambda step: tf.stack([first, tf.cast(step, tf.int32)]))


def _batches(
    split: Split, is_silence: np.ndarray, indices: tf.data.Dataset, transform: _Transform
) -> tf.data.Dataset:
    with tf.device("CPU:0"):
        audio, labels = tf.constant(split.audio), tf.constant(split.labels)
        silence = tf.constant(is_silence)

    def prepare(rows: tf.Tensor, seed: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        waveform = tf.cast(tf.gather(audio, rows), tf.float32) / INT16_SCALE
        return transform(waveform, tf.gather(silence, rows), seed), tf.gather(labels, rows)

    return indices.map(prepare, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True)


def _noise_bank(
    split: Split,
    noise: Sequence[np.ndarray],
    is_silence: np.ndarray,
    snr_db: tuple[float, float] | None,
) -> NoiseBank | None:
    samples = split.audio.shape[1]
    if snr_db is not None and snr_db[0] > snr_db[1]:
        raise ValueError(f"noise_snr_db must be (low, high). Received: noise_snr_db={snr_db}.")
    if not noise:
        if is_silence.any() or snr_db is not None:
            raise ValueError(
                "Silence and noise_snr_db need background recordings. Received: noise is empty. "
                "Pass the data set's noise()."
            )
        return None
    shortest = min(len(recording) for recording in noise)
    if shortest < samples:
        raise ValueError(
            f"Every noise must hold at least a clip's {samples} samples. Received: {shortest}."
        )
    return NoiseBank.from_arrays(noise)


def _awaits_noise(split: Split, silence_label: int | Sequence[int] | None) -> np.ndarray:
    is_silence = np.zeros(len(split.labels), bool)
    if silence_label is not None:
        rows = np.flatnonzero(np.isin(split.labels, silence_label))
        recorded = split.audio[rows].any(axis=1) if split.recorded is None else split.recorded[rows]
        is_silence[rows] = ~recorded
    return is_silence


def _compute(features: FrontEnd, heard: tf.Tensor, background: tf.Tensor) -> tf.Tensor:
    """Computes features; a front end with a memory first hears the noise that was added."""
    if isinstance(features, MicroFrontend) and features.warm_up_seconds:
        return features(heard, background)
    return features(heard)


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
