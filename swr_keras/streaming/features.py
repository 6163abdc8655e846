"""Features of a stream: the front end runs over it once, as on a device."""

from typing import Protocol

import numpy as np
import tensorflow as tf

from swr_keras.audio import FrontEnd, MicroFrontend
from swr_keras.audio.clips import to_int16
from swr_keras.audio.features import MelFrontEnd
from swr_keras.audio.micro_frontend import MicroFrontendState


class StreamFeatures(Protocol):
    """What turns a stream into frames, piece by piece; the pieces' lengths don't matter.

    Attributes:
        sample_rate_hz: Rate of the audio, in Hz.
        hop_samples: Step between frames, in samples.
    """

    sample_rate_hz: int
    hop_samples: int

    def feed(self, audio: np.ndarray) -> np.ndarray:
        """Hears what comes next.

        Args:
            audio: Float32 `(any,)` in [-1, 1].

        Returns:
            Float32 `(frames, features, 1)`, the frames that are complete now.
        """

    def frame_end(self, frame: int) -> int:
        """Returns how many samples must have been heard for a frame to be complete."""


def stream_features(front_end: FrontEnd) -> StreamFeatures:
    """Returns a front end in the state in which a stream begins.

    `MicroFrontend` starts fresh and adapts to the noise as it listens, so that after some seconds
    it gives what it gives for a clip after `warm_up_seconds` of the same noise. The frames of
    `LogMel` and `MFCC` depend on the samples below their window alone, and equal those of a clip
    but where a window reaches beyond the clip's ends, which is padded there.

    Args:
        front_end: The front end that the network was trained on.

    Raises:
        ValueError: If its frames depend on the whole clip, as those of `EmbeddingMel` do, which end
            at a distance below the clip's largest value.
    """
    if isinstance(front_end, MicroFrontend):
        return _MicroStream(front_end)
    if isinstance(front_end, MelFrontEnd):
        return _MelStream(front_end)
    raise ValueError(
        "Only front ends whose frames don't depend on the whole clip run over a stream: "
        f"MicroFrontend, LogMel and MFCC. Received: {front_end}."
    )


class _MicroStream:
    def __init__(self, front_end):
        self.sample_rate_hz = front_end.sample_rate_hz
        self.hop_samples = front_end.hop_samples
        self._window = front_end.window_samples
        self._state = MicroFrontendState()

    def feed(self, audio):
        return self._state.feed(to_int16(audio))

    def frame_end(self, frame):
        return frame * self.hop_samples + self._window


class _MelStream:
    """Frames centred on each hop, of pieces that overlap by what their windows reach beyond."""

    def __init__(self, front_end):
        self.sample_rate_hz = front_end.sample_rate_hz
        self.hop_samples = front_end.hop_samples
        self._front_end = front_end
        self._reach = front_end.window_samples - front_end.window_samples // 2
        self._overlap = -(-self._reach // self.hop_samples)
        self._heard = np.empty(0, np.float32)
        self._skipped = 0

    def feed(self, audio):
        heard = np.concatenate([self._heard, np.asarray(audio, np.float32)])
        complete = (len(heard) - self._reach) // self.hop_samples + 1
        if complete <= self._skipped or len(heard) <= 2 * self._reach:
            self._heard = heard
            return np.empty((0, self._front_end.num_mels, 1), np.float32)
        frames = self._front_end(tf.constant(heard[None])).numpy()[0, self._skipped : complete]
        kept = max(0, complete - self._overlap)
        self._heard = heard[kept * self.hop_samples :]
        self._skipped = complete - kept
        return frames

    def frame_end(self, frame):
        return frame * self.hop_samples + self._reach
