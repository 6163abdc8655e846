"""Speech from espeak-ng, by the library that the package `espeakng-loader` brings."""

import contextlib
import importlib
import json
import platform
import struct
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import BinaryIO, cast

import numpy as np

from swr_keras.audio.clips import INT16_SCALE
from swr_keras.messages import first_few

_WORKER = Path(__file__).with_name("espeak_worker.py")
_RANGES = {"words_per_minute": (80, 450), "pitch": (0, 99), "pitch_range": (0, 99)}


class Espeak:
    """A running espeak-ng. Use it in a `with` statement, which ends it.

    It runs in a process of its own: what the library says depends on all it said before, so only a
    fresh process that says the same words in the same order gives the same samples again.

    Attributes:
        sample_rate_hz: Of the speech.
        version: Of espeak-ng.
        voices: Names of the voices, one a language or accent, such as `"en-GB-scotland"`.
        variants: Names of the variants, which make other speakers of a voice, such as `"m3"`.

    Raises:
        ImportError: If `espeakng-loader` isn't installed.
        ChildProcessError: If the library doesn't start.
    """

    def __init__(self) -> None:
        folder, library = _installed()
        data = folder / "espeak-ng-data"
        self.voices = frozenset(path.name for path in (data / "lang").rglob("*") if path.is_file())
        self.variants = frozenset(path.name for path in (data / "voices" / "!v").glob("*"))
        self._errors = tempfile.TemporaryFile()
        # -I -S: the worker needs neither the user's paths nor installed packages.
        self._process = subprocess.Popen(
            [sys.executable, "-I", "-S", str(_WORKER), str(library)],
            cwd=folder,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
        )
        self._requests = cast(BinaryIO, self._process.stdin)
        self._answers = cast(BinaryIO, self._process.stdout)
        try:
            started = json.loads(self._receive())
        except BaseException:
            self.close()
            raise
        self.sample_rate_hz: int = started["sample_rate_hz"]
        self.version: str = started["version"]

    def __enter__(self) -> "Espeak":
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def close(self) -> None:
        """Ends the process."""
        self._process.kill()
        self._process.wait()
        for file in (self._requests, self._answers, self._errors):
            with contextlib.suppress(OSError):
                file.close()

    def check_names(self, voices: Iterable[str], variants: Iterable[str]) -> None:
        """Raises ValueError where espeak-ng lacks one of them: it would keep silent about it."""
        wanted = {f"voice {name}" for name in set(voices) - self.voices}
        wanted |= {f"variant {name}" for name in set(variants) - self.variants}
        if wanted:
            raise ValueError(
                f"espeak-ng {self.version} lacks voices that are asked for: "
                f"{first_few(sorted(wanted))}\n"
                "Names are those of its files, case included. Use others, or the version of "
                "espeakng-loader that has them (0.2.4 or later)."
            )

    def say(
        self,
        text: str,
        voice: str,
        variant: str,
        *,
        words_per_minute: int = 175,
        pitch: int = 50,
        pitch_range: int = 50,
    ) -> np.ndarray:
        """Says something.

        Args:
            text: The words; pinyin with tone digits for the voice `"cmn-Latn-pinyin"`.
            voice: One of `voices`.
            variant: One of `variants`.
            words_per_minute: From 80 to 450.
            pitch: From 0 to 99.
            pitch_range: From 0, monotonous, to 99.

        Returns:
            Float32 `(samples,)` in [-1, 1], at `sample_rate_hz`.

        Raises:
            ValueError: If a name is unknown, a number out of range, or there is nothing to say.
            ChildProcessError: If the process of espeak-ng ended.
        """
        self.check_names([voice], [variant])
        numbers = {"words_per_minute": words_per_minute, "pitch": pitch, "pitch_range": pitch_range}
        for name, value in numbers.items():
            low, high = _RANGES[name]
            if not low <= value <= high:
                raise ValueError(f"{name} must be from {low} to {high}. Received: {name}={value}.")
        self._send(json.dumps({"text": text, "voice": f"{voice}+{variant}", **numbers}))
        samples = np.frombuffer(self._receive(), np.int16) / np.float32(INT16_SCALE)
        if not samples.any():
            raise ValueError(f"espeak-ng says nothing for {text!r} by {voice}+{variant}.")
        return samples

    def _send(self, line: str) -> None:
        try:
            self._requests.write(line.encode() + b"\n")
            self._requests.flush()
        except OSError as error:
            raise self._ended() from error

    def _receive(self) -> bytes:
        header = self._answers.read(4)
        if len(header) < 4:
            raise self._ended()
        (length,) = struct.unpack("<I", header)
        message = self._answers.read(length)
        if len(message) < length:
            raise self._ended()
        return message

    def _ended(self) -> ChildProcessError:
        status = self._process.wait()
        self._errors.seek(0)
        said = self._errors.read().decode(errors="replace").strip().splitlines()
        return ChildProcessError(
            f"The process of espeak-ng ended (status {status}): {said[-1] if said else 'no word'}\n"
            "Reinstall it: pip install --force-reinstall espeakng-loader"
        )


def _installed() -> tuple[Path, Path]:
    """Returns the folder that holds `espeak-ng-data`, and the library."""
    try:
        loader = importlib.import_module("espeakng_loader")
    except ImportError as error:
        raise ImportError(
            'Synthetic speech needs espeakng-loader: pip install "swr-keras[synth]"\n'
            "It has wheels for Linux (x86_64, glibc), macOS and Windows. Received: "
            f"{platform.system()} {platform.machine()}. Elsewhere, copy a corpus built on such a "
            "machine, or use recordings."
        ) from error
    return Path(loader.get_data_path()).parent, Path(loader.get_library_path())
