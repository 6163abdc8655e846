"""What a task is worth on long streams, and the threshold that keeps false accepts rare."""

import dataclasses
import pathlib
import sys

import keras
import numpy as np

from swr_keras.audio.keyword_task import Hearing, KeywordTask
from swr_keras.files import read_json
from swr_keras.recipes.audio_settings import Noise
from swr_keras.recipes.kws_corpora import load_tasks, with_synthetic
from swr_keras.recipes.kws_settings import KwsSettings
from swr_keras.recipes.setting_flags import from_flat
from swr_keras.recipes.stream_bundle import Ears
from swr_keras.recipes.stream_settings import StreamSettings
from swr_keras.streaming import (
    Candidates,
    Listener,
    MixedStream,
    Operation,
    best_within,
    curve,
    score,
)

_USUAL_SNR_DB = (10.0, 10.0)
_SPLITS = ("validation", "testing")


@dataclasses.dataclass(frozen=True)
class Measured:
    """What was found of a task.

    Attributes:
        task: Its name.
        threshold: The threshold that was given or chosen.
        chosen: What it is worth on validation clips, and on test clips.
        curves: All thresholds, likewise.
        streams: The streams.
    """

    task: str
    threshold: float
    chosen: dict[str, Operation]
    curves: dict[str, list[Operation]]
    streams: dict[str, MixedStream]

    def __str__(self) -> str:
        lines = [f"{self.task}: threshold {self.threshold:.4f}"]
        for split in _SPLITS:
            found, stream = self.chosen[split], self.streams[split]
            said = sum(found.said.values())
            lines.append(
                f"  {split} clips, {stream.seconds / 60:g} min, seed {stream.seed}, "
                f"{stream.snr_db[0]:g} to {stream.snr_db[1]:g} dB, {said} keywords and "
                f"{stream.num_clips - said} unknown words: recall {found.recall:.1%}, "
                f"{found.false_accepts_per_hour:.2g} false accepts an hour ({found.false_accepts}, "
                f"{found.confusions} of them in the place of another keyword)"
            )
        words = self.chosen["testing"]
        lines += [
            f"    {word:<20} {words.heard.get(word, 0):>4} of {count:>4}  {share:>6.1%}"
            for (word, count), share in zip(
                words.said.items(), words.recall_by_word.values(), strict=True
            )
        ]
        return "\n".join(lines)


def load_recordings(settings: StreamSettings, ears: Ears) -> tuple[dict[str, KeywordTask], Noise]:
    """Reads the recordings of the tasks that listen, and how noisy it is.

    Raises:
        ValueError: If recordings are missing or can't be used, or their classes aren't those of
            the tasks.
    """
    source = _source(settings)
    hearing = Hearing(ears.front_end, seed=source.seed, held_out_noise=source.noise.held_out_noise)
    found = load_tasks(with_synthetic(source.corpora), hearing, source.seed)
    tasks = {task.name: task for task in found if task.name in ears.labels}
    for name, labels in ears.labels.items():
        received = tasks[name].labels if name in tasks else sorted(task.name for task in found)
        if received != labels:
            raise ValueError(
                f"Task '{name}' of the bundle has the classes {list(labels)}. Received: "
                f"{list(received)} of the recordings. Name its recordings, and its --keywords and "
                "--unknown_words, as in training."
            )
    return tasks, source.noise


def measure(task: KeywordTask, ears: Ears, settings: StreamSettings, noise: Noise) -> Measured:
    """Runs a task over a stream of validation clips, then over one of test clips."""
    minutes, rate = settings.stream_minutes, settings.false_accepts_per_hour
    if rate and rate * minutes < 60:
        print(
            f"Note: a single false accept in {minutes:g} min is {60 / minutes:.3g} an hour, so "
            "none is allowed. Pass a larger --stream_minutes.",
            flush=True,
        )
    streams = {
        split: MixedStream(
            task.splits[split],
            task.labels,
            recordings,
            60 * minutes,
            settings.snr_db or noise.test_snr_db or _USUAL_SNR_DB,
            seed=settings.seed or 0,
            sample_rate_hz=ears.front_end.sample_rate_hz,
        )
        for split, recordings in zip(_SPLITS, task.noise_parts, strict=True)
    }
    heard = {split: _listen(task.name, split, streams[split], ears, settings) for split in _SPLITS}
    curves = {split: curve(heard[split], streams[split].truth) for split in _SPLITS}
    threshold = settings.given_threshold
    if rate is not None:
        threshold = best_within(curves["validation"], rate).threshold
    chosen = {
        split: score(heard[split].detections(threshold), streams[split].truth, threshold)
        for split in _SPLITS
    }
    return Measured(task.name, threshold, chosen, curves, streams)


def _listen(name, split, stream, ears, settings):
    print(f"{name}: {settings.stream_minutes:g} min of {split} clips in noise", flush=True)
    listener = Listener(ears.front_end, {name: ears.networks[name]}, stride=settings.stride)
    bar = keras.utils.Progbar(
        round(stream.seconds), unit_name="second", verbose=1 if sys.stdout.isatty() else 2
    )
    heard, found = 0, []
    for block in stream.blocks():
        found.append(listener.feed(block)[name])
        heard += len(block)
        bar.update(round(heard / stream.sample_rate_hz))
    handling = listener.handling(
        name,
        ears.labels[name],
        smoothing_ms=settings.smoothing_ms,
        refractory_ms=settings.refractory_ms,
    )
    return Candidates.of(np.concatenate(found), handling)


def _source(settings):
    """Returns the settings of the training run, from its file or from flags."""
    if settings.corpora.data_dir:
        noise = Noise(held_out_noise=settings.held_out_noise)
        return KwsSettings(corpora=settings.corpora, noise=noise, seed=settings.seed or 0)
    path = pathlib.Path(settings.bundle).with_name("settings.json")
    try:
        flat = read_json(path, kind="the settings of a run")
    except FileNotFoundError:
        raise ValueError(
            f"There is no '{path}', which a run writes beside its bundles, to say which recordings "
            "its tasks were trained on. Pass --data_dir, and the other flags of recordings as in "
            "training."
        ) from None
    return from_flat(KwsSettings, flat, f"'{path}'").resolved()
