"""The streaming recipe, from a bundle to detections."""

import pathlib
import sys
from collections.abc import Iterable, Iterator, Mapping

import numpy as np

from swr_keras.audio import AudioError, MicroFrontend, read_audio
from swr_keras.audio.keyword_corpus import audio_files
from swr_keras.recipes.microphone import microphone
from swr_keras.recipes.stream_bundle import Ears, open_bundle
from swr_keras.recipes.stream_measure import load_recordings, measure
from swr_keras.recipes.stream_settings import StreamSettings
from swr_keras.reporting.curve import write_curve
from swr_keras.streaming import Detection, Detector, Listener

_BLOCK_SECONDS = 10
_NEVER_WARM = (
    "Note: these models were trained on clips that the front end heard from a fresh state. In a "
    "stream it has adapted to the noise, so they hear worse; train with --warm_up_seconds=2."
)


def run(settings: StreamSettings) -> None:
    """Runs the recipe and prints what it hears.

    Raises:
        FileNotFoundError: If there is no bundle, or no manifest beside it.
        ImportError: If an extra is needed that isn't installed.
        OSError: If the curve can't be written.
        ValueError: If bundle, recordings or the microphone can't be used.
    """
    paths = [path for name in settings.files for path in _recordings(name)]
    ears = open_bundle(settings.bundle, settings.task, settings.engine)
    _listener(ears, settings)  # What can't listen is refused before recordings are read.
    if isinstance(ears.front_end, MicroFrontend) and not ears.front_end.warm_up_seconds:
        print(_NEVER_WARM, flush=True)
    if settings.measures:
        thresholds = _measured(ears, settings)
    else:
        thresholds = dict.fromkeys(ears.labels, settings.given_threshold)
    problems = []
    for path in paths:
        try:
            _hear_file(path, ears, settings, thresholds)
        except AudioError as error:
            problems.append(str(error))
    if problems:
        listed = "\n  ".join(problems)
        raise ValueError(f"{len(problems)} of {len(paths)} recordings can't be used:\n  {listed}")
    if settings.microphone:
        print("Listening; stop with Ctrl-C.", flush=True)
        blocks = microphone(ears.front_end.sample_rate_hz)
        _say(_detections(blocks, _listener(ears, settings), ears, settings, thresholds))


def _measured(ears, settings):
    tasks, noise = load_recordings(settings, ears)
    found = [measure(task, ears, settings, noise) for task in tasks.values()]
    for each in found:
        print(each, flush=True)
    if settings.curve:
        write_curve(settings.curve, {each.task: each.curves["testing"] for each in found})
        print(f"Curve of the test clips written to {settings.curve}")
    return {each.task: each.threshold for each in found}


def _hear_file(path, ears, settings, thresholds):
    listener = _listener(ears, settings)
    rate_hz = listener.sample_rate_hz
    audio = read_audio(
        path,
        rate_hz,
        resample=settings.corpora.resample,
        reader=settings.corpora.audio_reader,
    )
    needed = max(listener.window_samples.values())
    if len(audio) < needed:
        raise AudioError(
            f"{path}: holds {len(audio) / rate_hz:.3g} s, but the networks see {needed / rate_hz:g}"
            " s at once. Give longer recordings."
        )
    print(path, flush=True)
    blocks = _blocks(audio, rate_hz)
    if not _say(_detections(blocks, listener, ears, settings, thresholds)):
        print("  nothing detected", flush=True)


def _blocks(audio, rate_hz) -> Iterator[np.ndarray]:
    """Yields a recording piece by piece; a terminal shows how far it is."""
    size = _BLOCK_SECONDS * rate_hz
    for start in range(0, len(audio), size):
        if sys.stdout.isatty():
            reached = f"{_clock(start / rate_hz)} of {_clock(len(audio) / rate_hz)}"
            print(f"  {reached}", end="\r", flush=True)
        yield audio[start : start + size]


def _clock(seconds):
    minutes, hundredths = divmod(round(100 * seconds), 6000)
    return f"{minutes}:{hundredths / 100:05.2f}"


def _listener(ears: Ears, settings: StreamSettings) -> Listener:
    return Listener(ears.front_end, ears.networks, stride=settings.stride)


def _detections(
    blocks: Iterable[np.ndarray],
    listener: Listener,
    ears: Ears,
    settings: StreamSettings,
    thresholds: Mapping[str, float],
) -> Iterable[tuple[str, Detection]]:
    """Yields what is detected by task, in order of time within each block."""
    detectors = {
        name: Detector(
            listener.handling(
                name,
                labels,
                smoothing_ms=settings.smoothing_ms,
                refractory_ms=settings.refractory_ms,
            ),
            thresholds[name],
        )
        for name, labels in ears.labels.items()
    }
    for block in blocks:
        found = [
            (name, detection)
            for name, probabilities in listener.feed(block).items()
            for detection in detectors[name].feed(probabilities)
        ]
        yield from sorted(found, key=lambda each: each[1].time_seconds)


def _say(detections: Iterable[tuple[str, Detection]]) -> int:
    count = 0
    for task, found in detections:
        time = _clock(found.time_seconds)
        print(f"  {time:>8}  {task:<16}  {found.label:<16}  {found.score:.2f}", flush=True)
        count += 1
    return count


def _recordings(name: str) -> list[pathlib.Path]:
    path = pathlib.Path(name)
    if not path.is_dir():
        return [path]
    found = list(audio_files(path))
    if not found:
        raise ValueError(f"The folder '{name}' holds no recordings. Give one that does.")
    return found
