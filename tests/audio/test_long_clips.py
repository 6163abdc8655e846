import numpy as np
import pytest

from swr_keras.audio import AudioError, SpeechCommands
from swr_keras.audio.long_clips import cut


def _speech_at(start, samples):
    """Quiet noise with a loud second."""
    audio = np.random.default_rng(0).normal(0, 0.001, samples).astype(np.float32)
    audio[start : start + 16000] += 0.3 * np.sin(np.arange(16000))
    return audio


@pytest.mark.parametrize(
    ("long_clips", "start"),
    [("centre", 72000), ("first", 0), ("loudest", 144000)],
)
def test_each_choice_keeps_its_part(long_clips, start):
    audio = _speech_at(144000, 160000)
    clip = cut(audio, 16000, long_clips, "clip.wav")
    np.testing.assert_array_equal(clip, audio[start : start + 16000])


@pytest.mark.parametrize("start", [0, 77, 12345, 143999])
@pytest.mark.parametrize("samples", [1600, 15999, 16000])
def test_the_loudest_window_is_found_to_a_hundredth(start, samples):
    audio = np.zeros(160000, np.float32)
    audio[start : start + samples] = 0.5
    clip = cut(audio, samples, "loudest", "clip.wav")
    assert np.count_nonzero(clip) >= 0.98 * samples


@pytest.mark.parametrize("long_clips", ["refuse", "centre", "first", "loudest"])
def test_clips_of_the_length_or_shorter_stay_whole(long_clips):
    audio = _speech_at(0, 16000)
    np.testing.assert_array_equal(cut(audio, 16000, long_clips, "a"), audio)
    padded = cut(audio[:9000], 16000, long_clips, "a")
    np.testing.assert_array_equal(padded, np.pad(audio[:9000], (0, 7000)))


@pytest.mark.parametrize(("samples", "refused"), [(24000, False), (24001, True), (160000, True)])
def test_only_much_longer_ones_are_refused(samples, refused):
    audio = _speech_at(0, samples)
    if not refused:
        np.testing.assert_array_equal(
            cut(audio, 16000, "refuse", "a"), cut(audio, 16000, "centre", "a")
        )
        return
    with pytest.raises(AudioError, match="clip.wav: .* 24000.*|clip.wav: .*loudest"):
        cut(audio, 16000, "refuse", "clip.wav")


def test_speech_in_the_last_second_is_refused_found_or_left_out(corpus, write):
    name = "yes/ann_nohash_0.wav"
    write(corpus / name, _speech_at(144000, 160000))
    with pytest.raises(AudioError, match=rf"(?s)1 of .*{name}.*160000 samples.*skip_unreadable"):
        SpeechCommands(corpus).load("training")
    split = SpeechCommands(corpus, skip_unreadable=True).load("training")
    assert name not in split.names
    assert len(split.unreadable) == 1
    split = SpeechCommands(corpus, long_clips="loudest").load("training")
    assert np.abs(split.audio[split.names.index(name)]).mean() > 1000


def test_an_unknown_choice(corpus):
    with pytest.raises(ValueError, match="long_clips must be one of .*'refuse'.*Received: .*'end'"):
        SpeechCommands(corpus, long_clips="end")
