"""Synthetic speech in a cache on disk: two keyword tasks, and other words to train a base on."""

import dataclasses
import hashlib
import json
import os
import wave
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np

from swr_keras.audio.audio import read_audio
from swr_keras.audio.clips import to_int16
from swr_keras.audio.espeak import Espeak
from swr_keras.audio.synthetic_channel import SAMPLE_RATE_HZ, Channel, centred, trimmed, warped
from swr_keras.audio.synthetic_noise import background_noises
from swr_keras.audio.synthetic_speakers import ACCENTS, Speaker, draw_speakers
from swr_keras.files import complete_folder, default_cache

SYNTHETIC_KEYWORDS = {
    "english": ("yes", "no", "up", "down", "left", "right", "on", "off", "stop", "go"),
    "mandarin": (
        "shi4de5",
        "bu2shi4",
        "xiang4shang4",
        "xiang4xia4",
        "xiang4zuo3",
        "xiang4you4",
        "da3kai1",
        "guan1bi4",
        "ting2zhi3",
        "chu1fa1",
    ),
}
"""Keywords by task: those of Speech Commands, and their translations in the same order."""

SYNTHETIC_UNKNOWN_WORDS = {
    "english": ("town", "cup", "light", "bird", "happy", "seven"),
    "mandarin": ("xiang1xia4", "jing4zhi3", "gang1bi3", "ni3hao3", "xie4xie5", "zai4jian4"),
}
"""Words of the class `_unknown_` by task; the first three sound like a keyword."""

SYNTHETIC_BASE_WORDS = (
    *("zero", "one", "two", "three", "four", "five", "six", "nine"),
    *("bed", "cat", "dog", "house", "sheila", "tree", "visual", "wow"),
)
"""English words, none of them of a task, for a base that is to learn other words later."""

_VERSION = 2
_BASE = "words"
_FOLDERS = (*SYNTHETIC_KEYWORDS, _BASE)
_MANDARIN_VOICE = "cmn-Latn-pinyin"
_MAX_SPEECH_SECONDS = 0.95
_MAX_WORDS_PER_MINUTE = 450
_BABBLE_CLIPS = 300
_CLIP_BYTES = 33_000
_NOISE_BYTES = 8_000_000
_HELD_OUT_LISTS = {"validation": "validation_list.txt", "testing": "testing_list.txt"}
# First numbers of the seeds of what is drawn here; speakers have 0.
_CHANNEL, _UNKNOWN, _CLIPS, _NOISES = range(1, 5)


def synthetic_corpus(
    cache: str | os.PathLike[str] | None = None,
    *,
    speakers: int = 280,
    seed: int = 0,
    progress: Callable[[float], None] | None = None,
) -> dict[str, Path]:
    """Returns the folders of the two tasks and of the base's words, which the first call builds.

    Each is in the layout of Speech Commands: every speaker says the ten keywords and one unknown
    word of each language, and the base's words, once. A tenth of the speakers validates, a third
    tests; they share neither a person nor a variant of the synthesiser with training. The persons
    are the same in all folders. The default is 1,749 training clips, 308 for validation and 1,023
    for testing a language: with the base's words 340 MB, built within two minutes. One machine
    builds the same bytes every time; another may not.

    The folder is complete or absent: an interrupted build leaves none, and of several processes
    that build it at once, one wins and the others use its folder.

    Args:
        cache: Folder for the corpus. None: `swr_keras` in `$XDG_CACHE_HOME` or in `~/.cache`.
        speakers: Number of persons, at least 12.
        seed: Of everything drawn.
        progress: Called with the finished share, from 0 to 1, while the corpus is built.

    Returns:
        `{"english": folder, "mandarin": folder, "words": folder}`, the last one for the base.
        `corpus.json` beside them describes speakers.

    Raises:
        ImportError: If `espeakng-loader` isn't installed, and the corpus isn't built yet.
        OSError: If the cache can't be written, the disk is full, or espeak-ng doesn't work.
        ValueError: If an argument is impossible, or espeak-ng lacks a voice.
    """
    drawn = draw_speakers(speakers, seed)
    description = {
        "version": _VERSION,
        "seed": seed,
        "keywords": SYNTHETIC_KEYWORDS,
        "unknown_words": SYNTHETIC_UNKNOWN_WORDS,
        "base_words": SYNTHETIC_BASE_WORDS,
        "speakers": [dataclasses.asdict(speaker) for speaker in drawn],
    }
    text = json.dumps(description, indent=1)
    name = f"synthetic-{hashlib.sha256(text.encode()).hexdigest()[:12]}"
    folder = (default_cache() if cache is None else Path(cache)) / name
    if not folder.is_dir():
        with Espeak() as espeak, complete_folder(folder, _num_bytes(drawn)) as temporary:
            espeak.check_names([*ACCENTS, _MANDARIN_VOICE], [person.variant for person in drawn])
            (temporary / "corpus.json").write_text(text)
            steps = len(_FOLDERS) * (len(drawn) + 1)
            for step, _ in enumerate(_write_folders(temporary, espeak, drawn, seed)):
                if progress:
                    progress(step / steps)
        if progress:
            progress(1.0)
    return {name: folder / name for name in _FOLDERS}


def _num_bytes(speakers: Sequence[Speaker]) -> int:
    words = sum(len(words) + 1 for words in SYNTHETIC_KEYWORDS.values()) + len(SYNTHETIC_BASE_WORDS)
    return words * len(speakers) * _CLIP_BYTES + len(_FOLDERS) * _NOISE_BYTES


def _write_folders(
    folder: Path, espeak: Espeak, speakers: Sequence[Speaker], seed: int
) -> Iterator[None]:
    """Writes the folders; yields after each speaker and after the noise of each."""
    channels = [
        Channel(speaker, np.random.default_rng([_CHANNEL, seed, index]))
        for index, speaker in enumerate(speakers)
    ]
    for number, task in enumerate(_FOLDERS):
        random = np.random.default_rng([_UNKNOWN, seed, number])
        words = _words(task, speakers, random)
        names: dict[str, list[str]] = {"training": [], "validation": [], "testing": []}
        for index, (speaker, channel) in enumerate(zip(speakers, channels, strict=True)):
            random = np.random.default_rng([_CLIPS, seed, number, index])
            for word in words[speaker]:
                voice = _MANDARIN_VOICE if task == "mandarin" else speaker.accent
                speech = centred(say_word(espeak, word, voice, speaker))
                name = f"{word}/{speaker.name}_nohash_0.wav"
                _write_wav(folder / task / name, channel.record(speech, random))
                names[speaker.split].append(name)
            yield
        for split, file in _HELD_OUT_LISTS.items():
            (folder / task / file).write_text("".join(f"{name}\n" for name in names[split]))
        random = np.random.default_rng([_NOISES, seed, number])
        babblers = random.permutation(names["training"])[:_BABBLE_CLIPS]
        clips = [read_audio(folder / task / name) for name in babblers]
        for kind, noise in background_noises(clips, random).items():
            _write_wav(folder / task / "_background_noise_" / f"{kind}.wav", noise)
        yield


def _words(
    task: str, speakers: Sequence[Speaker], random: np.random.Generator
) -> dict[Speaker, tuple[str, ...]]:
    """Gives every speaker the words to say."""
    if task == _BASE:
        return dict.fromkeys(speakers, SYNTHETIC_BASE_WORDS)
    unknown = _unknown_words(SYNTHETIC_UNKNOWN_WORDS[task], speakers, random)
    return {speaker: (*SYNTHETIC_KEYWORDS[task], unknown[speaker]) for speaker in speakers}


def _unknown_words(
    words: Sequence[str], speakers: Sequence[Speaker], random: np.random.Generator
) -> dict[Speaker, str]:
    """Gives every speaker a word; within a split, all words serve equally often."""
    chosen: dict[Speaker, str] = {}
    for split in ("training", "validation", "testing"):
        members = [speaker for speaker in speakers if speaker.split == split]
        shuffled = random.permutation(np.resize(words, len(members))).tolist()
        chosen |= dict(zip(members, shuffled, strict=True))
    return chosen


def say_word(espeak: Espeak, word: str, voice: str, speaker: Speaker) -> np.ndarray:
    """Lets a speaker say a word, faster where it would last more than 0.95 s.

    Returns:
        Float32 `(samples,)` at 16 kHz, trimmed.
    """
    words_per_minute = speaker.words_per_minute
    while True:
        said = espeak.say(
            word,
            voice,
            speaker.variant,
            words_per_minute=words_per_minute,
            pitch=speaker.pitch,
            pitch_range=speaker.pitch_range,
        )
        speech = trimmed(warped(said, espeak.sample_rate_hz, speaker.warp))
        fits = len(speech) <= _MAX_SPEECH_SECONDS * SAMPLE_RATE_HZ
        if fits or words_per_minute == _MAX_WORDS_PER_MINUTE:
            return speech
        words_per_minute = min(round(1.2 * words_per_minute), _MAX_WORDS_PER_MINUTE)


def _write_wav(path: Path, audio: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(SAMPLE_RATE_HZ)
        file.writeframes(to_int16(audio).tobytes())
