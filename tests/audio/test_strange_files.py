import os

import numpy as np
import pytest
import soundfile

from swr_keras.audio import AudioError, SpeechCommands, read_audio
from swr_keras.audio.regular_files import read_text


def _declare_flac_samples(path, samples):
    soundfile.write(path, np.full(16000, 0.1), 16000)
    content = bytearray(path.read_bytes())
    content[21] = content[21] & 0xF0 | samples >> 32
    content[22:26] = (samples & 0xFFFFFFFF).to_bytes(4, "big")
    path.write_bytes(content)


def _cut(path):
    soundfile.write(path, np.full(16000, 0.1), 16000)
    path.write_bytes(path.read_bytes()[:16044])


CASES = {
    "fifo": (os.mkfifo, "not a regular file"),
    "folder": (os.mkdir, "not a regular file"),
    "device": (lambda path: path.symlink_to("/dev/zero"), "not a regular file"),
    "dangling": (lambda path: path.symlink_to("nowhere"), "No such file"),
    "rate_1": (lambda path: soundfile.write(path, np.zeros(160000), 1, format="WAV"), "is 1 Hz"),
    "endless": (lambda path: _declare_flac_samples(path, 2**36 - 1), "samples"),
    "zero": (lambda path: _declare_flac_samples(path, 0), "samples|audio"),
    "cut": (_cut, "cut off after 16000 of 32000 bytes"),
}


@pytest.mark.parametrize("case", CASES)
def test_strange_recordings_are_named_and_never_hang(tmp_path, case):
    make, reason = CASES[case]
    path = tmp_path / f"{case}.{'flac' if case in ('endless', 'zero') else 'wav'}"
    make(path)
    with pytest.raises(AudioError, match=f"{path.name}: .*({reason})"):
        read_audio(path, resample=True)


@pytest.mark.parametrize("case", ["fifo", "folder", "device", "dangling"])
def test_strange_texts_are_named_and_never_hang(tmp_path, case):
    make, reason = CASES[case]
    make(tmp_path / "list.txt")
    with pytest.raises(ValueError, match=f"list.txt: .*{reason}"):
        read_text(tmp_path / "list.txt")


@pytest.mark.parametrize("suffix", ["ogg", "mp3", "aiff", "wave"])
def test_reads_what_libsndfile_reads(tmp_path, suffix):
    path = tmp_path / f"clip.{suffix}"
    tone = 0.3 * np.sin(2 * np.pi * 440 * np.arange(16000) / 16000)
    soundfile.write(path, tone, 16000, format="WAV" if suffix == "wave" else None)
    audio = read_audio(path)
    assert abs(len(audio) - 16000) < 2000
    assert 0.15 < np.abs(audio).max() < 0.6


@pytest.mark.parametrize("argument", ["clip_seconds", "unknown_cap"])
@pytest.mark.parametrize("value", [float("nan"), float("inf"), -1.0, 0.0])
def test_bad_numbers_name_the_argument(corpus, argument, value):
    with pytest.raises(ValueError, match=f"{argument} must be .* Received: {argument}="):
        SpeechCommands(corpus, keywords=["yes"], **{argument: value})


def test_what_is_left_out_is_named(corpus, write):
    assert SpeechCommands(corpus, keywords=["yes"]).left_out == ()
    write(corpus / "yes" / "nested" / "ann_nohash_9.wav")
    write(corpus / "beside.wav")
    (corpus / "yes" / "ann_nohash_9.m4a").write_bytes(b"")
    (corpus / "empty").mkdir()
    left_out = SpeechCommands(corpus, keywords=["yes"]).left_out
    assert left_out == ("beside.wav", "empty/", "yes/ann_nohash_9.m4a", "yes/nested")


def test_words_match_in_decomposed_unicode(corpus):
    (corpus / "up").rename(corpus / "o\u0308ffnen")
    for name in ("validation_list.txt", "testing_list.txt"):
        path = corpus / name
        path.write_text(path.read_text().replace("up/", "öffnen/"), encoding="utf-8")
    assert "o\u0308ffnen" in SpeechCommands(corpus, keywords=["öffnen"]).labels


@pytest.mark.parametrize("level", [0.0, 0.25])
def test_clips_without_sound_are_named(corpus, write, level):
    write(corpus / "yes" / "ann_nohash_0.wav", np.full(16000, level))
    with pytest.warns(UserWarning, match="without any sound .*\n  yes/ann_nohash_0.wav"):
        SpeechCommands(corpus, keywords=["yes"]).load("training")


@pytest.mark.parametrize("case", ["fifo", "folder", "dangling"])
def test_a_list_that_is_no_file_is_not_ignored(corpus, case):
    path = corpus / "testing_list.txt"
    path.unlink()
    CASES[case][0](path)
    with pytest.raises(ValueError, match=f"testing_list.txt: .*{CASES[case][1]}"):
        SpeechCommands(corpus, keywords=["yes"])
