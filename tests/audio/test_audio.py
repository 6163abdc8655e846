import sys
import types

import numpy as np
import pytest
import soundfile

from swr_keras.audio import AudioError, fit_length, read_audio


@pytest.mark.parametrize("name", ["clip.wav", "clip.flac", "CLIP.WAV"])
def test_reads_16_bit_audio_exactly(tmp_path, write, name):
    pcm = np.array([0, 1, -1, 32767, -32768] * 400, np.int16)
    audio = read_audio(write(tmp_path / name, pcm))
    assert audio.dtype == np.float32
    np.testing.assert_array_equal(audio, pcm / 32768.0)


def test_reads_paths_given_as_str(tmp_path, write):
    assert read_audio(str(write(tmp_path / "clip.wav"))).shape == (16000,)


def test_resamples_without_changing_pitch_or_level(tmp_path, write):
    audio = read_audio(write(tmp_path / "clip.wav", rate_hz=48000), resample=True)
    assert audio.shape == (16000,)
    tone = 0.3 * np.sin(2 * np.pi * 440 * np.arange(16000) / 16000)
    np.testing.assert_allclose(audio[500:-500], tone[500:-500], atol=1e-3)


def test_resampling_never_leaves_the_range(tmp_path, write):
    square = np.sign(np.sin(2 * np.pi * 300 * np.arange(48000) / 48000))
    audio = read_audio(write(tmp_path / "clip.wav", square, 48000), resample=True)
    assert np.abs(audio).max() <= 1.0


@pytest.mark.parametrize(
    ("audio", "rate_hz", "subtype", "reason"),
    [
        (np.zeros(0), 16000, "PCM_16", "0 samples"),
        (np.zeros((16000, 2)), 16000, "PCM_16", "has 2 channels, expected 1"),
        (np.zeros(8000), 8000, "PCM_16", "8000 Hz, expected 16000 Hz.*resample=True"),
        (np.full(16000, np.nan), 16000, "FLOAT", "16000 of 16000 samples are NaN or infinite"),
        (np.full(16000, np.inf), 16000, "FLOAT", "NaN or infinite"),
        (np.full(16000, 3000.0), 16000, "FLOAT", r"reach 3000, expected the range \[-1, 1\]"),
        (np.zeros(1599), 16000, "PCM_16", r"1599 samples \(0.09994 s\), expected at least 0.1 s"),
    ],
)
def test_bad_audio_names_file_and_reason(tmp_path, write, audio, rate_hz, subtype, reason):
    path = write(tmp_path / "odd clip.wav", audio, rate_hz, subtype)
    with pytest.raises(AudioError, match=f"odd clip.wav: .*{reason}"):
        read_audio(path)


@pytest.mark.parametrize("content", [b"", b"not audio at all" * 100])
def test_other_files_are_not_audio(tmp_path, content):
    (tmp_path / "notes.wav").write_bytes(content)
    with pytest.raises(AudioError, match=r"notes.wav: can't be read as audio"):
        read_audio(tmp_path / "notes.wav")


def test_missing_file(tmp_path):
    with pytest.raises(AudioError, match=r"gone.wav: can't be read"):
        read_audio(tmp_path / "gone.wav")


def test_reads_names_that_are_not_utf_8(tmp_path, write, latin_1_name):
    path = write(tmp_path / "clip.wav").rename(tmp_path / latin_1_name)
    assert read_audio(path).shape == (16000,)


@pytest.mark.parametrize(("samples", "reason"), [(1599, "1599 samples"), (None, "can't be read")])
def test_errors_tell_names_that_are_not_utf_8(tmp_path, write, latin_1_name, samples, reason):
    path = tmp_path / latin_1_name
    if samples:
        write(tmp_path / "clip.wav", np.zeros(samples)).rename(path)
    with pytest.raises(AudioError, match=rf"caf\\xe9_nohash_0.wav: .*{reason}") as error:
        read_audio(path)
    assert str(error.value).isprintable()


def test_tensorflow_io_refuses_names_that_are_not_utf_8(tmp_path, monkeypatch, latin_1_name):
    audio = types.SimpleNamespace(AudioIOTensor=str.encode)
    monkeypatch.setitem(sys.modules, "tensorflow_io", types.SimpleNamespace(audio=audio))
    with pytest.raises(AudioError, match=r"caf\\xe9_nohash_0.wav: can't be read"):
        read_audio(tmp_path / latin_1_name, reader="tensorflow_io")


def test_shortest_allowed_clip(tmp_path, write):
    assert len(read_audio(write(tmp_path / "clip.wav", np.zeros(1600)))) == 1600


def test_unknown_reader(tmp_path, write):
    with pytest.raises(ValueError, match="soundfile.*tensorflow_io.*Received: reader='sox'"):
        read_audio(write(tmp_path / "clip.wav"), reader="sox")


def test_missing_tensorflow_io_says_what_to_install(tmp_path, write, monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorflow_io", None)
    with pytest.raises(ImportError, match=r"2.16 and 2.17 only.*soundfile.*extra `tensorflow-io`"):
        read_audio(write(tmp_path / "clip.wav"), reader="tensorflow_io")


def test_unloadable_tensorflow_io_says_what_to_install(tmp_path, write, monkeypatch):
    def unloadable(path):
        raise NotImplementedError("unable to open file: libtensorflow_io.so")

    audio = types.SimpleNamespace(AudioIOTensor=unloadable)
    monkeypatch.setitem(sys.modules, "tensorflow_io", types.SimpleNamespace(audio=audio))
    with pytest.raises(ImportError, match=r"2.16 and 2.17 only.*libtensorflow_io.so"):
        read_audio(write(tmp_path / "clip.wav"), reader="tensorflow_io")


@pytest.mark.parametrize(
    ("name", "subtype"),
    [
        ("a.wav", "PCM_16"),
        ("a.flac", "PCM_16"),
        ("a.wav", "PCM_24"),
        ("a.wav", "PCM_U8"),
        ("a.wav", "FLOAT"),
    ],
)
def test_readers_agree(tmp_path, write, name, subtype):
    pytest.importorskip("tensorflow_io")
    path = write(tmp_path / name, subtype=subtype)
    try:
        audio = read_audio(path, reader="tensorflow_io")
    except ImportError as error:
        pytest.skip(str(error))
    np.testing.assert_array_equal(audio, read_audio(path))


def test_tensorflow_io_reports_bad_files(tmp_path, write):
    pytest.importorskip("tensorflow_io")
    try:
        read_audio(write(tmp_path / "good.wav"), reader="tensorflow_io")
    except ImportError as error:
        pytest.skip(str(error))
    (tmp_path / "bad.wav").write_bytes(b"not audio" * 100)
    with pytest.raises(AudioError, match=r"bad.wav: can't be read as audio"):
        read_audio(tmp_path / "bad.wav", reader="tensorflow_io")


def test_fit_length_keeps_the_centre_and_pads_the_end():
    audio = np.arange(1, 8, dtype=np.float32)
    np.testing.assert_array_equal(fit_length(audio, 3), [3, 4, 5])
    np.testing.assert_array_equal(fit_length(audio, 7), audio)
    np.testing.assert_array_equal(fit_length(audio, 9), [1, 2, 3, 4, 5, 6, 7, 0, 0])


def test_reads_real_recordings(recordings):
    path = next((recordings / "english" / "open").glob("*.flac"))
    pcm, _ = soundfile.read(path, dtype="int16")
    np.testing.assert_array_equal(read_audio(path) * 32768, pcm)
