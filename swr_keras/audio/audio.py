"""Reading one audio file into memory, with every check a keyword clip must pass."""

import os
from collections.abc import Callable
from typing import BinaryIO

import numpy as np
import soundfile
import soxr

from swr_keras.audio.regular_files import check_regular
from swr_keras.messages import legible

MIN_CLIP_SECONDS = 0.1
MAX_SECONDS = 3600
_MAX_PEAK = 2.0
_RATES_HZ = (1000, 768_000)
_MAX_FRAMES = 2**28
_BLOCK = 2**20
# Writers that don't know the length in advance declare 0 or about the largest number.
_UNKNOWN_WAV_BYTES = 0x7FFFF000


class AudioError(ValueError):
    """An audio file that can't be used; the message names the file, the reason and the remedy."""


def read_audio(
    path: str | os.PathLike[str],
    sample_rate_hz: int = 16000,
    *,
    resample: bool = False,
    reader: str = "soundfile",
) -> np.ndarray:
    """Reads a mono file: WAV, FLAC, or what else libsndfile reads (Ogg, MP3, AIFF).

    Args:
        path: The file.
        sample_rate_hz: Rate of the returned samples, in Hz.
        resample: Convert a file recorded at another rate (soxr, quality "HQ"). Without it such a
            file is an error.
        reader: `"soundfile"`, or `"tensorflow_io"` (optional extra `tensorflow-io`; it misreads
            WAV files of 32-bit integers).

    Returns:
        Float32 `(samples,)` in [-1, 1].

    Raises:
        AudioError: If the file is not a regular file, not readable as audio, cut off, empty, not
            mono, at another rate or one outside 1 to 768 kHz, shorter than 0.1 s, longer than an
            hour, or holds NaN, infinite or unscaled samples.
        ImportError: If `reader` is "tensorflow_io" and its native operations don't load.
        ValueError: If the reader is unknown.
    """
    if reader not in _READERS:
        raise ValueError(f"reader must be one of {sorted(_READERS)}. Received: reader={reader!r}.")
    path = os.fspath(path)
    name = legible(path)
    try:
        check_regular(path)
    except ValueError as error:
        raise AudioError(str(error)) from error
    frames, rate_hz = _READERS[reader](path)
    _check_rate(name, rate_hz)
    audio = _checked_mono(name, frames)
    if rate_hz != sample_rate_hz:
        if not resample:
            raise AudioError(
                f"{name}: the sample rate is {rate_hz} Hz, expected {sample_rate_hz} Hz. "
                "Pass resample=True to convert it while reading."
            )
        audio = soxr.resample(audio, rate_hz, sample_rate_hz, quality="HQ")
    seconds = len(audio) / sample_rate_hz
    if seconds < MIN_CLIP_SECONDS:
        raise AudioError(
            f"{name}: the clip holds {len(audio)} samples ({seconds:.4g} s), expected at least "
            f"{MIN_CLIP_SECONDS} s. Remove it or record it again."
        )
    return np.clip(audio, -1.0, 1.0)


def fit_length(audio: np.ndarray, samples: int) -> np.ndarray:
    """Returns exactly `samples` samples: the centre of a longer clip, a shorter one zero-padded.

    The padding goes to the end, as in the Speech Commands baselines.

    Args:
        audio: `(any,)`.
        samples: The wanted length.

    Returns:
        `(samples,)`, same dtype.
    """
    if len(audio) >= samples:
        start = (len(audio) - samples) // 2
        return audio[start : start + samples]
    return np.pad(audio, (0, samples - len(audio)))


def _checked_mono(name: str, frames: np.ndarray) -> np.ndarray:
    samples, channels = frames.shape
    if samples == 0:
        raise AudioError(f"{name}: the file holds 0 samples. Remove it or record it again.")
    if channels != 1:
        raise AudioError(
            f"{name}: the file has {channels} channels, expected 1. Convert it to mono first."
        )
    audio = frames[:, 0]
    if not np.isfinite(audio).all():
        bad = np.count_nonzero(~np.isfinite(audio))
        raise AudioError(
            f"{name}: {bad} of {samples} samples are NaN or infinite. "
            "Remove the file or export it again."
        )
    peak = np.abs(audio).max()
    if peak > _MAX_PEAK:
        raise AudioError(
            f"{name}: float samples reach {peak:g}, expected the range [-1, 1]. "
            "Scale them or export the file as 16-bit PCM."
        )
    return audio


def _check_rate(name: str, rate_hz: int) -> None:
    low, high = _RATES_HZ
    if not low <= rate_hz <= high:
        raise AudioError(
            f"{name}: the sample rate is {rate_hz} Hz, expected {low} to {high} Hz. "
            "Remove the file or export it again."
        )


def _check_header(name: str, sound: soundfile.SoundFile) -> None:
    _check_rate(name, sound.samplerate)
    if sound.channels != 1:
        raise AudioError(
            f"{name}: the file has {sound.channels} channels, expected 1. Convert it to mono first."
        )
    _check_length(name, sound.frames, sound.samplerate)


def _check_length(name: str, frames: int, rate_hz: int) -> None:
    if frames > min(MAX_SECONDS * rate_hz, _MAX_FRAMES):
        raise AudioError(
            f"{name}: the file declares or holds {frames} samples at {rate_hz} Hz, expected at "
            f"most {MAX_SECONDS} s and {_MAX_FRAMES} samples. Cut it, or export it again."
        )


def _read_blocks(name: str, sound: soundfile.SoundFile) -> np.ndarray:
    blocks = [np.zeros((0, 1), np.float32)]
    held = 0
    while held < sound.frames:
        block = sound.read(min(_BLOCK, sound.frames - held), dtype="float32", always_2d=True)
        if not len(block):
            raise AudioError(
                f"{name}: cut off after {held} of {sound.frames} samples. Copy or export it again."
            )
        blocks.append(block)
        held += len(block)
    return np.concatenate(blocks)


def _check_complete(path: str, file: BinaryIO) -> None:
    """Refuses a WAV file that ends before its samples do, which libsndfile reads without a word."""
    size = os.fstat(file.fileno()).st_size
    header = file.read(12)
    if header[:4] == b"RIFF" and header[8:] == b"WAVE":
        while len(chunk := file.read(8)) == 8:
            length = int.from_bytes(chunk[4:], "little")
            if chunk[:4] == b"data":
                held = size - file.tell()
                if held < length < _UNKNOWN_WAV_BYTES:
                    raise AudioError(
                        f"{legible(path)}: cut off after {held} of {length} bytes of samples. "
                        "Copy or export it again."
                    )
                break
            file.seek(length + length % 2, os.SEEK_CUR)
    file.seek(0)


def _not_audio(path: str, reason: object) -> AudioError:
    return AudioError(
        f"{legible(path)}: can't be read as audio ({reason}). "
        "Expected WAV, FLAC, Ogg, MP3 or AIFF; remove it or export it again."
    )


def _read_with_soundfile(path: str) -> tuple[np.ndarray, int]:
    try:
        # Given a path, soundfile refuses names that aren't UTF-8.
        with open(path, "rb") as file:
            _check_complete(path, file)
            with soundfile.SoundFile(file) as sound:
                _check_header(legible(path), sound)
                return _read_blocks(legible(path), sound), sound.samplerate
    except soundfile.LibsndfileError as error:
        raise _not_audio(path, error.error_string) from error
    except OSError as error:
        raise _not_audio(path, error.strerror) from error


def _read_with_tensorflow_io(path: str) -> tuple[np.ndarray, int]:
    import tensorflow as tf

    try:
        import tensorflow_io as tfio  # pyright: ignore[reportMissingImports]

        stream = tfio.audio.AudioIOTensor(path)
        frames = stream.to_tensor().numpy()
    except (ImportError, NotImplementedError) as error:
        raise ImportError(
            'reader="tensorflow_io" needs the native operations of tensorflow-io, which load with '
            f"TensorFlow 2.16 and 2.17 only. Received: TensorFlow {tf.__version__} ({error}). "
            'Use reader="soundfile", or install the extra `tensorflow-io` with one of those '
            "versions."
        ) from error
    except (tf.errors.OpError, UnicodeEncodeError) as error:
        raise _not_audio(path, error) from error
    return _pcm_to_float(frames), int(stream.rate)


def _pcm_to_float(frames: np.ndarray) -> np.ndarray:
    if frames.dtype == np.uint8:
        frames = (frames - 128.0) / 128.0
    elif frames.dtype != np.float32:
        frames = frames / -float(np.iinfo(frames.dtype).min)
    return frames.astype(np.float32)


_READERS: dict[str, Callable[[str], tuple[np.ndarray, int]]] = {
    "soundfile": _read_with_soundfile,
    "tensorflow_io": _read_with_tensorflow_io,
}
