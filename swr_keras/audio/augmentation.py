"""Batched augmentations as pure functions of their seed.

Every seed is an int32 tensor of shape `(2,)` (a TensorFlow stateless seed): the same seed gives the
same result, and every clip of the batch gets its own draw. Nothing loops over the batch.

Source: the training recipe of BC-ResNet (arXiv 2106.04140), whose constants are the defaults.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import tensorflow as tf

_FREQ_WIDTHS = {1: None, 1.5: 1, 2: 3, 3: 5, 6: 7, 8: 7}


class NoiseBank(NamedTuple):
    """Background recordings laid end to end in one tensor, so that crops are one gather.

    Attributes:
        audio: Float32 `(total_samples,)`.
        starts: Int32 `(files,)`, where each recording begins in `audio`.
        lengths: Int32 `(files,)`, in samples.
    """

    audio: tf.Tensor
    starts: tf.Tensor
    lengths: tf.Tensor

    @classmethod
    def from_arrays(cls, recordings: Sequence[np.ndarray]) -> "NoiseBank":
        """Builds a bank from float32 arrays `(samples,)`; at least one is needed."""
        if not recordings:
            raise ValueError("A noise bank needs at least one recording. Received: none.")
        lengths = np.array([len(recording) for recording in recordings], np.int32)
        with tf.device("CPU:0"):
            return cls(
                tf.constant(np.concatenate(recordings), tf.float32),
                tf.constant(np.cumsum(lengths) - lengths, tf.int32),
                tf.constant(lengths),
            )

    def crops_like(self, audio: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
        """Returns float32 crops of random recordings, of the shape `(batch, samples)` of `audio`.

        Every recording must hold at least `samples` samples.
        """
        samples = _static_size(audio, 1)
        file_seed, start_seed = split_seed(seed, 2)
        files = tf.random.stateless_uniform(
            tf.shape(audio)[:1], file_seed, maxval=len(self.lengths), dtype=tf.int32
        )
        room = tf.gather(self.lengths, files) - samples + 1
        start = tf.gather(self.starts, files) + _uniform_int(start_seed, room)
        return tf.gather(self.audio, start[:, None] + tf.range(samples))


def split_seed(seed: tf.Tensor, num: int) -> list[tf.Tensor]:
    """Derives `num` independent seeds from one."""
    return tf.unstack(tf.random.split(seed, num))


def time_shift(audio: tf.Tensor, seed: tf.Tensor, max_shift_samples: int) -> tf.Tensor:
    """Delays or advances each clip by int(U(-max, max)) samples and fills with zeros.

    Args:
        audio: Float32 `(batch, samples)`.
        seed: Int32 `(2,)`.
        max_shift_samples: Bound of the shift.

    Returns:
        Float32 `(batch, samples)`.
    """
    bound = float(max_shift_samples)
    shift = tf.random.stateless_uniform(tf.shape(audio)[:1], seed, -bound, bound)
    padded = tf.pad(audio, [[0, 0], [max_shift_samples, max_shift_samples]])
    first = max_shift_samples - tf.cast(shift, tf.int32)
    return tf.gather(padded, first[:, None] + tf.range(_static_size(audio, 1)), batch_dims=1)


def add_noise_gain(
    audio: tf.Tensor,
    noise: NoiseBank,
    seed: tf.Tensor,
    is_silence: tf.Tensor,
    max_gain: float = 0.1,
) -> tf.Tensor:
    """Adds a noise crop scaled by U(0, max_gain), or by U(0, 1) to silence, and clips to [-1, 1].

    Args:
        audio: Float32 `(batch, samples)` in [-1, 1].
        noise: The recordings to crop.
        seed: Int32 `(2,)`.
        is_silence: Bool `(batch,)`.
        max_gain: Bound of the gain for clips that aren't silence; 0 leaves them untouched.

    Returns:
        Float32 `(batch, samples)` in [-1, 1].
    """
    crop_seed, gain_seed = split_seed(seed, 2)
    crops = noise.crops_like(audio, crop_seed)
    gain = tf.where(is_silence, 1.0, max_gain) * _uniform(gain_seed, is_silence)
    return tf.clip_by_value(audio + gain[:, None] * crops, -1.0, 1.0)


def add_noise_snr(
    audio: tf.Tensor,
    noise: NoiseBank,
    seed: tf.Tensor,
    is_silence: tf.Tensor,
    snr_db: tuple[float, float],
) -> tf.Tensor:
    """Adds a noise crop at a signal-to-noise ratio drawn from U(low, high) for each clip.

    The ratio is that of the mean powers of the whole clip, its padding included, and the crop,
    before the sum is clipped: speech that fills half of its clip is 3 dB louder than the ratio
    says. Silence has no power: it gets a crop scaled by U(0, 1).

    Args:
        audio: Float32 `(batch, samples)` in [-1, 1].
        noise: The recordings to crop.
        seed: Int32 `(2,)`.
        is_silence: Bool `(batch,)`.
        snr_db: `(low, high)` in dB.

    Returns:
        Float32 `(batch, samples)` in [-1, 1].
    """
    crop_seed, gain_seed = split_seed(seed, 2)
    crops = noise.crops_like(audio, crop_seed)
    draw = _uniform(gain_seed, is_silence)
    low, high = snr_db
    wanted_ratio = tf.pow(10.0, (low + (high - low) * draw) / 10.0)
    ratio = tf.math.divide_no_nan(_power(audio), _power(crops))
    gain = tf.where(is_silence, draw, tf.sqrt(ratio / wanted_ratio))
    return tf.clip_by_value(audio + gain[:, None] * crops, -1.0, 1.0)


def shift_and_add_noise(
    audio: tf.Tensor,
    noise: NoiseBank,
    seed: tf.Tensor,
    is_silence: tf.Tensor,
    max_shift_samples: int,
    probability: float = 0.8,
) -> tf.Tensor:
    """BC-ResNet's waveform augmentation: `time_shift`, then `add_noise_gain`, in one event.

    The event happens to a clip with `probability`, and always to silence.

    Args:
        audio: Float32 `(batch, samples)` in [-1, 1].
        noise: The recordings to crop.
        seed: Int32 `(2,)`.
        is_silence: Bool `(batch,)`.
        max_shift_samples: Bound of the shift.
        probability: Of the event.

    Returns:
        Float32 `(batch, samples)` in [-1, 1].
    """
    event_seed, shift_seed, noise_seed = split_seed(seed, 3)
    happens = is_silence | (_uniform(event_seed, is_silence) < probability)
    shifted = time_shift(audio, shift_seed, max_shift_samples)
    noisy = add_noise_gain(shifted, noise, noise_seed, is_silence)
    return tf.where(happens[:, None], noisy, audio)


def spec_augment(
    features: tf.Tensor,
    seed: tf.Tensor,
    max_freq_width: int,
    max_time_width: int = 20,
    num: int = 2,
) -> tf.Tensor:
    """Sets `num` frequency bands and `num` time spans of each clip to zero (arXiv 1904.08779).

    A width is int(U(0, max)), so always below its bound; places are uniform.

    Args:
        features: Float32 `(batch, frames, mels, 1)`.
        seed: Int32 `(2,)`.
        max_freq_width: Bound of a band, in mels.
        max_time_width: Bound of a span, in frames.
        num: Masks of each kind.

    Returns:
        Float32 `(batch, frames, mels, 1)`.
    """
    freq_seed, time_seed = split_seed(seed, 2)
    frames, mels = _static_size(features, 1), _static_size(features, 2)
    masks = tf.stack([tf.shape(features)[0], num])
    keep_mels = _keep_outside_spans(freq_seed, masks, mels, max_freq_width)
    keep_frames = _keep_outside_spans(time_seed, masks, frames, max_time_width)
    return features * keep_mels[:, None, :, None] * keep_frames[:, :, None, None]


def spec_augment_freq_width(tau: float) -> int | None:
    """Returns BC-ResNet's frequency mask bound for the width `tau`; None means no SpecAugment.

    Raises:
        ValueError: If `tau` is not one of the published widths.
    """
    if tau not in _FREQ_WIDTHS:
        raise ValueError(
            f"SpecAugment widths are published for tau in {list(_FREQ_WIDTHS)}. "
            f"Received: tau={tau}."
        )
    return _FREQ_WIDTHS[tau]


def _keep_outside_spans(seed: tf.Tensor, masks: tf.Tensor, size: int, max_width: int) -> tf.Tensor:
    width_seed, start_seed = split_seed(seed, 2)
    bound = float(min(max_width, size))
    width = tf.cast(tf.random.stateless_uniform(masks, width_seed, 0.0, bound), tf.int32)
    start = tf.expand_dims(_uniform_int(start_seed, size - width + 1), -1)
    position = tf.range(size)
    inside = (position >= start) & (position < start + tf.expand_dims(width, -1))
    return tf.cast(~tf.reduce_any(inside, axis=1), tf.float32)


def _static_size(tensor: tf.Tensor, axis: int) -> int:
    size = tensor.shape[axis]
    if size is None:
        raise ValueError(
            f"Augmentation needs clips of a known length. Received: shape={tensor.shape}. "
            "Set it with tf.ensure_shape."
        )
    return size


def _power(audio: tf.Tensor) -> tf.Tensor:
    return tf.reduce_mean(tf.square(audio), axis=1)


def _uniform(seed: tf.Tensor, like: tf.Tensor) -> tf.Tensor:
    return tf.random.stateless_uniform(tf.shape(like), seed)


def _uniform_int(seed: tf.Tensor, bounds: tf.Tensor) -> tf.Tensor:
    draw = _uniform(seed, bounds) * tf.cast(bounds, tf.float32)
    return tf.minimum(tf.cast(draw, tf.int32), bounds - 1)
