"""A long stream of which it is known what is said when: clips at random times in noise."""

import dataclasses
import functools
from collections.abc import Iterator, Sequence

import numpy as np

from swr_keras.audio.clips import INT16_SCALE, Split
from swr_keras.audio.keyword_corpus import SILENCE, is_keyword
from swr_keras.streaming.evaluation import Truth, Utterance

_BLOCK_SECONDS = 10


@dataclasses.dataclass(frozen=True)
class MixedStream:
    """Clips at random times in background noise, the same for the same seed.

    All clips of words, keywords or not, come once in random order, or as many as fill half of the
    stream; the time between them is random. The noise has the same power throughout: every 10 s
    another crop of a random recording begins, repeated where it is shorter. A clip has the SNR that
    is drawn for it, the ratio of its mean power, padding included, to that of the noise; the noise
    is as loud as makes the typical clip keep its level. Audio is made in blocks of 10 s, each from
    the seed and its number, so memory stays small.

    Attributes:
        clips: The clips, with their labels.
        labels: Names of the classes.
        noise: Background recordings, float32 `(samples,)` each.
        seconds: Length of the stream.
        snr_db: Lowest and highest SNR in dB.
        seed: Of order, times, SNR and noise.
        sample_rate_hz: Rate of clips and noise, in Hz.

    Raises:
        ValueError: If there is no noise or no clip with sound, or the stream is shorter than two
            clips.
    """

    clips: Split
    labels: tuple[str, ...]
    noise: Sequence[np.ndarray]
    seconds: float
    snr_db: tuple[float, float]
    seed: int = 0
    sample_rate_hz: int = 16000

    def __post_init__(self):
        if not self.noise:
            raise ValueError("A stream needs background recordings. Received: no noise.")
        if not len(self._sounding):
            raise ValueError("A stream needs clips of words. Received: none with any sound.")
        if self._room < 1:
            raise ValueError(
                f"A stream is at least as long as two clips. Received: seconds={self.seconds:g}, "
                f"and clips of {self.clips.audio.shape[1] / self.sample_rate_hz:g} s."
            )

    @property
    def samples(self) -> int:
        """Length in samples."""
        return round(self.seconds * self.sample_rate_hz)

    @property
    def num_clips(self) -> int:
        """How many clips of words are in it."""
        return len(self._starts)

    @property
    def truth(self) -> Truth:
        """What is said in it: the keywords, each where its clip lies."""
        length = self.clips.audio.shape[1]
        return Truth(
            tuple(
                Utterance(
                    self.labels[self.clips.labels[row]],
                    start / self.sample_rate_hz,
                    (start + length) / self.sample_rate_hz,
                )
                for row, start in zip(self._rows, self._starts, strict=True)
                if is_keyword(self.labels[self.clips.labels[row]])
            ),
            self.samples / self.sample_rate_hz,
        )

    def blocks(self) -> Iterator[np.ndarray]:
        """Yields the audio, float32 `(samples,)` in [-1, 1] each, of 10 s but for the last one."""
        size = _BLOCK_SECONDS * self.sample_rate_hz
        length = self.clips.audio.shape[1]
        for number, begin in enumerate(range(0, self.samples, size)):
            block = self._background(number, min(size, self.samples - begin))
            end = begin + len(block)
            first = np.searchsorted(self._starts, begin - length, "right")
            last = np.searchsorted(self._starts, end, "left")
            for place in range(first, last):
                start = self._starts[place]
                low, high = max(begin, start), min(end, start + length)
                clip = self.clips.audio[self._rows[place]][low - start : high - start]
                block[low - begin : high - begin] += self._gains[place] * (clip / INT16_SCALE)
            yield np.clip(block, -1.0, 1.0).astype(np.float32)

    def _background(self, number, samples):
        random = np.random.default_rng([self.seed, 1, number])
        recording = self.noise[int(random.integers(len(self.noise)))]
        crop = np.resize(np.roll(recording, -random.integers(len(recording))), samples)
        power = np.mean(np.square(crop, dtype=float))
        return crop * np.sqrt(self._noise_power / power if power else 0.0)

    @property
    def _room(self):
        """How many clips fill half of the stream."""
        return self.samples // (2 * self.clips.audio.shape[1])

    @functools.cached_property
    def _sounding(self):
        silent = [index for index, label in enumerate(self.labels) if label == SILENCE]
        words = ~np.isin(self.clips.labels, silent)
        return np.flatnonzero(words & self.clips.audio.any(axis=1))

    @functools.cached_property
    def _rows(self):
        random = np.random.default_rng([self.seed, 0])
        return random.permutation(self._sounding)[: self._room]

    @functools.cached_property
    def _starts(self):
        length = self.clips.audio.shape[1]
        free = self.samples - len(self._rows) * length
        random = np.random.default_rng([self.seed, 2])
        gaps = np.sort(random.integers(0, free + 1, len(self._rows)))
        return gaps + np.arange(len(self._rows)) * length

    @functools.cached_property
    def _powers(self):
        clips = (self.clips.audio[row] / INT16_SCALE for row in self._rows)
        return np.array([np.mean(np.square(clip)) for clip in clips])

    @functools.cached_property
    def _noise_power(self):
        return np.median(self._powers) / 10 ** (np.mean(self.snr_db) / 10)

    @functools.cached_property
    def _gains(self):
        random = np.random.default_rng([self.seed, 3])
        snr_db = random.uniform(*self.snr_db, len(self._rows))
        return np.sqrt(self._noise_power * 10 ** (snr_db / 10) / self._powers)
