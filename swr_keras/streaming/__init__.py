"""Keywords in a stream of audio, as a device hears them: scores, detection, evaluation."""

from swr_keras.streaming.detection import Candidates, Detection, Detector, Handling
from swr_keras.streaming.evaluation import (
    Operation,
    Truth,
    Utterance,
    best_within,
    curve,
    score,
)
from swr_keras.streaming.features import StreamFeatures, stream_features
from swr_keras.streaming.listener import Listener
from swr_keras.streaming.mixing import MixedStream
from swr_keras.streaming.scores import Network, SlidingWindows, class_probabilities

__all__ = [
    "Candidates",
    "Detection",
    "Detector",
    "Handling",
    "Listener",
    "MixedStream",
    "Network",
    "Operation",
    "SlidingWindows",
    "StreamFeatures",
    "Truth",
    "Utterance",
    "best_within",
    "class_probabilities",
    "curve",
    "score",
    "stream_features",
]
