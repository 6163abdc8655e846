"""The process behind `Espeak`: reads one utterance a line, answers with its samples.

Run as a script with the path of the library; the data folder `espeak-ng-data` is in the working
directory, as the library cuts longer paths off. Needs the standard library only.
"""

import ctypes
import json
import signal
import struct
import sys

_SYNCHRONOUS = 2
_DONT_EXIT = 0x8000
_RATE, _VOLUME, _PITCH, _RANGE = 1, 2, 3, 4
_POSITION_CHARACTER = 1
_UTF8 = 1
# Of 100 at which some variants clip inside the library.
_QUIET = 20

_Callback = ctypes.CFUNCTYPE(
    ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.c_void_p
)


def serve(library_path: str) -> None:
    """Answers until the input ends: first with rate and version, then with int16 samples."""
    chunks: list[bytes] = []

    @_Callback
    def collect(samples, count, events):
        if samples and count > 0:
            chunks.append(ctypes.string_at(samples, 2 * count))
        return 0

    library = ctypes.CDLL(library_path)
    library.espeak_Info.restype = ctypes.c_char_p
    sample_rate_hz = library.espeak_Initialize(_SYNCHRONOUS, 0, b"espeak-ng-data", _DONT_EXIT)
    if sample_rate_hz <= 0:
        sys.exit("espeak-ng can't read its data.")
    library.espeak_SetSynthCallback(collect)
    version = library.espeak_Info(None).decode()
    _answer(json.dumps({"sample_rate_hz": sample_rate_hz, "version": version}).encode())
    for line in sys.stdin.buffer:
        chunks.clear()
        _speak(library, **json.loads(line))
        _answer(b"".join(chunks))


def _speak(
    library: ctypes.CDLL,
    text: str,
    voice: str,
    words_per_minute: int,
    pitch: int,
    pitch_range: int,
) -> None:
    status = library.espeak_SetVoiceByName(voice.encode())
    if status != 0:
        sys.exit(f"espeak-ng refuses the voice {voice!r} (status {status}).")
    parameters = {_RATE: words_per_minute, _VOLUME: _QUIET, _PITCH: pitch, _RANGE: pitch_range}
    for parameter, value in parameters.items():
        library.espeak_SetParameter(parameter, value, 0)
    encoded = text.encode()
    size = ctypes.c_size_t(len(encoded) + 1)
    status = library.espeak_Synth(encoded, size, 0, _POSITION_CHARACTER, 0, _UTF8, None, None)
    if status != 0:
        sys.exit(f"espeak-ng can't say {text!r} (status {status}).")


def _answer(message: bytes) -> None:
    sys.stdout.buffer.write(struct.pack("<I", len(message)) + message)
    sys.stdout.buffer.flush()


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    serve(sys.argv[1])
