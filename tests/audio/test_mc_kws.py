import json
import shutil

import numpy as np
import pytest

from swr_keras.audio import AudioError, MandarinKWS, read_audio

RATE_HZ = 48000
SPEAKERS = [f"G{speaker:04}" for speaker in range(1, 8)]
TRANSCRIPTIONS = ("打开", "大开", "关闭", "hello")
WORDS = {"keywords": ["打开", "关闭"], "unknown": ["大开"], "ignored": ["hello"]}
HEADER = ("CHANNEL", "UTTRANS_ID", "SPEAKER_ID", "PROMPT", "TRANSCRIPTION")


def _rows():
    return [
        ("C0", f"{speaker}_S{index}.wav", speaker, "", word)
        for speaker in SPEAKERS
        for index, word in enumerate(TRANSCRIPTIONS)
    ]


def _write_table(root, rows, header=HEADER, encoding="utf-8", end="\n"):
    text = end.join("\t".join(row) for row in (header, *rows)) + end
    (root / "UTTRANSINFO.txt").write_bytes(text.encode(encoding))


def _write_words(root, **lists):
    (root / "words.json").write_text(json.dumps(WORDS | lists, ensure_ascii=False), "utf-8")


@pytest.fixture
def root(tmp_path, write):
    """7 speakers say each of 4 words once; each recording has a level of its own."""
    root = tmp_path / "mc_kws"
    for row, (_, name, speaker, _, _) in enumerate(_rows()):
        write(root / "WAV" / speaker / name, np.full(7200, 0.01 * (row + 1)), rate_hz=RATE_HZ)
    _write_table(root, _rows())
    people = [("C0", speaker, "F", "30", "Beijing", "phone") for speaker in SPEAKERS]
    lines = ["\t".join(row) for row in (("CHANNEL", "SPEAKER_ID", "GENDER"), *people)]
    (root / "SPKINFO.txt").write_text("\n".join(lines))
    _write_words(root)
    return root


@pytest.fixture
def noise_folder(tmp_path, write):
    write(tmp_path / "_background_noise_" / "pink_noise.wav", np.resize([0.2, -0.1], 48000))
    (tmp_path / "_background_noise_" / "README.md").write_text("Sources of the recordings.")
    return tmp_path / "_background_noise_"


def _speakers(split):
    return {name.split("/")[1] for name in split.names if name.startswith("WAV/")}


def _all_names(corpus):
    splits = ("training", "validation", "testing")
    return {split: corpus.load(split).names for split in splits}


def test_labels_and_shape(root, noise_folder):
    corpus = MandarinKWS(root, noise_folder=noise_folder)
    assert corpus.labels == ("_silence_", "_unknown_", "打开", "关闭")
    assert (corpus.folder, corpus.sample_rate_hz, corpus.samples) == (root, 16000, 35840)
    assert [len(recording) for recording in corpus.noise()] == [48000]


def test_load_keeps_audio_labels_and_names_together(root, noise_folder):
    corpus = MandarinKWS(root, noise_folder=noise_folder)
    split = corpus.load("training")
    assert split.audio.shape == (5 * 3 + 1, 35840)
    assert split.names[-1] == "_silence_/0"
    assert split.recorded.tolist() == [True] * 15 + [False]
    words = {f"WAV/{speaker}/{name}": word for _, name, speaker, _, word in _rows()}
    for row, name in enumerate(split.names[:-1]):
        label = "_unknown_" if words[name] == "大开" else words[name]
        assert corpus.labels[split.labels[row]] == label
        clip = read_audio(root / name, resample=True)
        np.testing.assert_allclose(split.audio[row, : len(clip)] / 32768, clip, atol=1e-4)
        assert not split.audio[row, len(clip) :].any()


def test_long_clips_keep_their_centre(root, write):
    audio = np.zeros(RATE_HZ)
    for level, speaker in enumerate(SPEAKERS):
        audio[RATE_HZ // 2 - 4800 : RATE_HZ // 2 + 4800] = 0.5 + 0.01 * level
        write(root / "WAV" / speaker / f"{speaker}_S0.wav", audio, rate_hz=RATE_HZ)
    corpus = MandarinKWS(root, silence=False, clip_seconds=0.2, long_clips="centre")
    split = corpus.load("testing")
    assert split.audio.shape[1] == 3200
    assert split.audio[split.labels == corpus.labels.index("打开"), 100:-100].min() > 15000


def test_speakers_are_disjoint_and_all_used(root):
    corpus = MandarinKWS(root, silence=False)
    speakers = [_speakers(corpus.load(split)) for split in ("training", "validation", "testing")]
    assert [len(names) for names in speakers] == [5, 1, 1]
    assert set.union(*speakers) == set(SPEAKERS)


def test_split_follows_the_seed_and_not_the_order_of_the_table(root):
    names = _all_names(MandarinKWS(root, silence=False, seed=1))
    assert len({str(_all_names(MandarinKWS(root, silence=False, seed=s))) for s in range(4)}) > 1
    _write_table(root, _rows()[::-1])
    assert _all_names(MandarinKWS(root, silence=False, seed=1)) == names


def test_unknown_is_capped(root):
    corpus = MandarinKWS(root, silence=False, unknown_cap=0.25)
    assert np.bincount(corpus.load("training").labels).tolist() == [3, 5, 5]
    assert np.bincount(corpus.load("testing").labels).tolist() == [1, 1, 1]
    with pytest.raises(ValueError, match="Received: unknown_cap=-1"):
        MandarinKWS(root, silence=False, unknown_cap=-1)


def test_silence_is_a_tenth_of_the_keyword_clips(root, noise_folder):
    _write_words(root, keywords=list(TRANSCRIPTIONS), unknown=[], ignored=[])
    corpus = MandarinKWS(root, noise_folder=noise_folder)
    assert corpus.labels == ("_silence_", *TRANSCRIPTIONS)
    labels = corpus.load("training").labels
    assert np.bincount(labels)[0] == 2
    assert len(labels) == 22


def test_silence_needs_noise(root, tmp_path):
    with pytest.raises(ValueError, match="noise_folder=None"):
        MandarinKWS(root)
    with pytest.raises(ValueError, match=r"recordings in .*empty; none found"):
        MandarinKWS(root, noise_folder=tmp_path / "empty")
    assert MandarinKWS(root, silence=False).noise() == ()


@pytest.mark.parametrize(("encoding", "end"), [("utf-8-sig", "\n"), ("utf-8", "\r\n")])
def test_byte_order_mark_and_line_ends(root, encoding, end):
    names = _all_names(MandarinKWS(root, silence=False))
    _write_table(root, [row[1:] for row in _rows()], HEADER[1:], encoding, end)
    assert _all_names(MandarinKWS(root, silence=False)) == names


@pytest.mark.parametrize(
    "header",
    [
        ("Channel", "uttrans_id", "Speaker_Id", "Prompt", "Transcription"),
        ("CHANNEL", "UttransID", "Speaker ID", "PROMPT", "TRANSCRIPTION "),
    ],
)
def test_spelling_of_the_header(root, header):
    names = _all_names(MandarinKWS(root, silence=False))
    _write_table(root, _rows(), header)
    assert _all_names(MandarinKWS(root, silence=False)) == names


@pytest.mark.parametrize("columns", [(4, 3, 2, 1, 0), (1, 2, 4), (4, 2, 0, 1)])
def test_order_of_the_columns_and_those_not_needed(root, columns):
    names = _all_names(MandarinKWS(root, silence=False))
    header, *rows = [tuple(row[column] for column in columns) for row in (HEADER, *_rows())]
    _write_table(root, rows, header)
    assert _all_names(MandarinKWS(root, silence=False)) == names


@pytest.mark.parametrize("ending", ["", ".WAV"])
def test_ending_of_the_file_name(root, ending):
    names = _all_names(MandarinKWS(root, silence=False))
    _write_table(root, [(row[0], row[1][:-4] + ending, *row[2:]) for row in _rows()])
    assert _all_names(MandarinKWS(root, silence=False)) == names


def test_blank_lines(root):
    names = _all_names(MandarinKWS(root, silence=False))
    _write_table(root, [("",), *_rows(), ("",) * 5])
    assert _all_names(MandarinKWS(root, silence=False)) == names


def test_quotes_in_the_table_are_text(root):
    rows = [(*row[:4], row[4].replace("hello", '"hello')) for row in _rows()]
    _write_table(root, rows)
    assert MandarinKWS.transcriptions(root)['"hello'] == 7


def test_transcriptions(root):
    assert MandarinKWS.transcriptions(str(root)) == dict.fromkeys(sorted(TRANSCRIPTIONS), 7)


def test_missing_words_file_says_how_to_write_it(root):
    (root / "words.json").unlink()
    with pytest.raises(ValueError, match=r"words.json doesn't exist") as error:
        MandarinKWS(root, silence=False)
    for text in ("打开 (7 utterances)", "hello (7 utterances)", '{"keywords": [', '"ignored": ['):
        assert text in str(error.value)


def test_words_file_elsewhere(root, tmp_path):
    shutil.move(root / "words.json", tmp_path / "mine.json")
    text = (tmp_path / "mine.json").read_text("utf-8")
    (tmp_path / "mine.json").write_text(text, "utf-8-sig")
    corpus = MandarinKWS(root, words_file=tmp_path / "mine.json", silence=False)
    assert corpus.labels == ("_unknown_", "打开", "关闭")


def test_lists_may_be_left_out(root):
    words = {"keywords": list(TRANSCRIPTIONS)}
    (root / "words.json").write_text(json.dumps(words), "utf-8")
    assert MandarinKWS(root, silence=False).labels == TRANSCRIPTIONS


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("{", "must be JSON"),
        ("[" * 100_000, "must be JSON.*nested too deep"),
        ('{"keywords": [NaN]}', "must be JSON.*NaN"),
        ('["打开"]', "must hold lists of words"),
        ('{"keywords": "打开"}', "must hold lists of words"),
        ('{"keywords": [1]}', "must hold lists of words"),
        ('{"keyword": ["打开"]}', "must hold lists of words"),
        ('{"ignored": ["打开", "大开", "关闭", "hello"]}', "names no keyword"),
    ],
)
def test_words_file_is_checked(root, text, match):
    (root / "words.json").write_text(text, "utf-8")
    with pytest.raises(ValueError, match=match):
        MandarinKWS(root, silence=False)


def test_words_in_two_lists(root):
    _write_words(root, unknown=["大开", "打开"])
    with pytest.raises(ValueError, match=r"more than once.*\n  打开 \(keywords, unknown\)"):
        MandarinKWS(root, silence=False)


def test_words_and_transcriptions_must_agree(root):
    _write_words(root, keywords=["打开", "关门"])
    with pytest.raises(ValueError, match=r"no utterance has.*\n  关门") as error:
        MandarinKWS(root, silence=False)
    assert "doesn't name: \n  关闭 (7 utterances)\n  (1 of 1 shown)" in str(error.value)


def test_utterances_and_files_must_agree(root, write):
    write(root / "WAV" / "G0001" / "extra.wav", rate_hz=RATE_HZ)
    for speaker in SPEAKERS:
        (root / "WAV" / speaker / f"{speaker}_S0.wav").unlink()
    _write_table(root, [*_rows(), _rows()[5]])
    with pytest.raises(ValueError, match=r"without a file in .*WAV: \n  G0001/G0001_S0") as error:
        MandarinKWS(root, silence=False)
    assert "(5 of 7 shown)" in str(error.value)
    assert "more than once: \n  G0002/G0002_S1\n  (1 of 1 shown)" in str(error.value)
    assert "doesn't list: \n  WAV/G0001/extra.wav\n  (1 of 1 shown)" in str(error.value)


def test_hidden_files_are_not_recordings(root):
    (root / "WAV" / "G0001" / "._G0001_S0.wav").write_bytes(b"resource fork")
    MandarinKWS(root, silence=False)


def test_missing_table_and_recordings(root):
    shutil.rmtree(root / "WAV")
    with pytest.raises(ValueError, match="5 of 28 shown"):
        MandarinKWS(root, silence=False)
    (root / "UTTRANSINFO.txt").unlink()
    with pytest.raises(ValueError, match=r"UTTRANSINFO.txt doesn't exist.*WAV/<speaker>"):
        MandarinKWS(root, silence=False)


@pytest.mark.parametrize(
    ("text", "match"),
    [
        (b"", r"columns UTTRANS_ID, .*Received: \[\]"),
        (b"UTTRANS_ID SPEAKER_ID TRANSCRIPTION\n", "separated by tabs"),
        (b"UTTRANS_ID\tTRANSCRIPTION\na\tb\n", "Received:.*TRANSCRIPTION"),
        (b"UTTRANS_ID\tSPEAKER_ID\tTRANSCRIPTION\n", "lists no utterance"),
        (b"UTTRANS_ID\tSPEAKER_ID\tTRANSCRIPTION\na\tb\n", "(?s)lack a value.*line 2"),
        ("打开".encode("gb18030"), "UTF-8"),
    ],
)
def test_table_is_checked(root, text, match):
    (root / "UTTRANSINFO.txt").write_bytes(text)
    with pytest.raises(ValueError, match=match):
        MandarinKWS(root, silence=False)


def test_too_few_speakers(root):
    for speaker in SPEAKERS[2:]:
        shutil.rmtree(root / "WAV" / speaker)
    _write_table(root, [row for row in _rows() if row[2] in SPEAKERS[:2]])
    with pytest.raises(ValueError, match="Received: 2 speakers"):
        MandarinKWS(root, silence=False)


def test_keyword_without_a_training_clip(root):
    tested = _speakers(MandarinKWS(root, silence=False).load("testing")).pop()
    rows = [row for row in _rows() if row[4] != "打开" or row[2] == tested]
    for speaker in set(SPEAKERS) - {tested}:
        (root / "WAV" / speaker / f"{speaker}_S0.wav").unlink()
    _write_table(root, rows)
    with pytest.raises(ValueError, match=r"without a training clip.*\n  打开"):
        MandarinKWS(root, silence=False)


def test_unreadable_clips(root, noise_folder):
    name = MandarinKWS(root, silence=False).load("training").names[3]
    (root / name).write_bytes(b"")
    with pytest.raises(AudioError, match=r"(?s)1 of 15 clips.*skip_unreadable=True"):
        MandarinKWS(root, silence=False).load("training")
    corpus = MandarinKWS(root, noise_folder=noise_folder, skip_unreadable=True)
    split = corpus.load("training")
    assert len(split.audio) == len(split.labels) == len(split.names) == 15
    assert name not in split.names
    assert [message.startswith(f"{root / name}: ") for message in split.unreadable] == [True]


def test_unknown_split(root):
    with pytest.raises(ValueError, match="Received: split='train'"):
        MandarinKWS(root, silence=False).load("train")
