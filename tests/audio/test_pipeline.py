import numpy as np
import pytest
import tensorflow as tf

from swr_keras.audio import LogMel, SpeechCommands, Split, evaluation_dataset, training_dataset
from swr_keras.audio.clips import to_int16

SAMPLES = 4000
FEATURES = LogMel()


@pytest.fixture
def split():
    """22 noisy clips of 3 labels, then one silence of label 0."""
    audio = np.random.default_rng(0).integers(-9000, 9000, (23, SAMPLES), np.int16)
    audio[22] = 0
    labels = np.array([1 + row % 3 for row in range(22)] + [0], np.int32)
    return Split(audio, labels, tuple(map(str, range(23))))


@pytest.fixture
def noise():
    random = np.random.default_rng(1)
    return tuple(random.uniform(-0.5, 0.5, SAMPLES + 999).astype(np.float32) for _ in range(2))


def _training(split, noise, *, seed=5, silence_label=0, batch_size=10, **options):
    options = {"batch_size": batch_size, "seed": seed, "silence_label": silence_label, **options}
    return training_dataset(split, noise, FEATURES, **options)


def _evaluation(split, noise, *, silence_label=0, batch_size=10, **options):
    options = {"batch_size": batch_size, "silence_label": silence_label, **options}
    return evaluation_dataset(split, noise, FEATURES, **options)


def _epoch(dataset):
    batches = list(dataset.as_numpy_iterator())
    return tuple(np.concatenate(part) for part in zip(*batches, strict=True))


def _clean(split):
    return FEATURES(tf.constant(split.audio / np.float32(32768))).numpy()


def test_batches(split, noise):
    dataset = _training(split, noise)
    assert dataset.cardinality() == 3
    shapes = [(inputs.shape, labels.shape) for inputs, labels in dataset]
    assert shapes == [((10, 26, 40, 1), (10,))] * 2 + [((3, 26, 40, 1), (3,))]
    inputs_spec, labels_spec = dataset.element_spec
    assert inputs_spec == tf.TensorSpec((None, 26, 40, 1), tf.float32)
    assert labels_spec == tf.TensorSpec((None,), tf.int32)


def test_an_epoch_holds_every_clip_once(split, noise):
    inputs, labels = _epoch(_training(split, noise, augment=False, silence_label=None))
    clean = _clean(split)
    rows = [int(np.abs(clean - x).max(axis=(1, 2, 3)).argmin()) for x in inputs]
    assert sorted(rows) == list(range(23))
    assert rows != sorted(rows)
    np.testing.assert_array_equal(labels, split.labels[rows])
    np.testing.assert_allclose(inputs, clean[rows], atol=1e-5)


@pytest.mark.parametrize("options", [{}, {"spec_augment_freq_width": 7}, {"noise_snr_db": (0, 9)}])
def test_same_seed_same_epochs(split, noise, options):
    first, second = _training(split, noise, **options), _training(split, noise, **options)
    for _ in range(2):
        for one, other in zip(_epoch(first), _epoch(second), strict=True):
            np.testing.assert_array_equal(one, other)


def test_epochs_from_a_later_one_on_are_those_of_the_whole(split, noise):
    whole = _training(split, noise, first_epoch=0)
    assert whole.cardinality() == tf.data.INFINITE_CARDINALITY
    next(iter(whole))
    rest = _training(split, noise, first_epoch=2)
    for one, other in zip(whole.skip(6).take(7), rest.take(7), strict=True):
        np.testing.assert_array_equal(one[0], other[0])
        np.testing.assert_array_equal(one[1], other[1])
    first, second = _epoch(rest.take(3)), _epoch(rest.skip(3).take(3))
    assert sorted(first[1]) == sorted(second[1]) == sorted(split.labels)
    assert np.any(first[1] != second[1])


def test_order_differs_between_epochs_and_seeds(split, noise):
    dataset = _training(split, noise)
    first, second = _epoch(dataset)[1], _epoch(dataset)[1]
    assert np.any(first != second)
    assert np.any(first != _epoch(_training(split, noise, seed=6))[1])


def test_augmentation_differs_between_batches_epochs_and_seeds(noise):
    same = Split(np.zeros((20, SAMPLES), np.int16), np.zeros(20, np.int32), ("",) * 20)
    dataset = _training(same, noise, batch_size=1)
    epochs = [_epoch(dataset), _epoch(dataset), _epoch(_training(same, noise, seed=6))]
    assert len({inputs.sum() for epoch, _ in epochs for inputs in epoch}) == 60


def test_silence_gets_noise_even_without_augmentation(split, noise):
    inputs, labels = _epoch(_training(split, noise, augment=False))
    assert inputs[labels == 0].max() > np.log(1e-6) + 1
    dataset = _training(split, noise, augment=False)
    first, second = (
        next(x for x, y in dataset.unbatch().as_numpy_iterator() if y == 0) for _ in range(2)
    )
    assert np.any(first != second)


def test_without_augmentation_spec_augment_is_off_but_snr_stays(split, noise):
    inputs, _ = _epoch(_training(split, noise, augment=False, spec_augment_freq_width=7))
    assert np.all(inputs != 0)
    noisy, labels = _epoch(_training(split, noise, augment=False, noise_snr_db=(0.0, 0.0)))
    louder = np.exp(noisy[labels != 0]).mean() / np.exp(_clean(split)[:22]).mean()
    assert louder == pytest.approx(2.0, rel=0.1)


def test_spec_augment_masks_features(split, noise):
    inputs, _ = _epoch(_training(split, noise, spec_augment_freq_width=7))
    assert np.mean(inputs == 0) > 0.1


def test_training_without_noise_still_shifts(split):
    clips = Split(split.audio[:22], split.labels[:22], split.names[:22])
    inputs, _ = _epoch(_training(clips, (), silence_label=None))
    assert np.any(inputs == np.float32(np.log(1e-6)))


def test_evaluation_keeps_order_and_clips(split, noise):
    inputs, labels = _epoch(_evaluation(split, noise))
    np.testing.assert_array_equal(labels, split.labels)
    np.testing.assert_allclose(inputs[:22], _clean(split)[:22], atol=1e-5)
    assert inputs[22].max() > np.log(1e-6) + 1


@pytest.mark.parametrize("snr_db", [None, (0.0, 10.0)])
def test_evaluation_is_the_same_always(split, noise, snr_db):
    dataset = _evaluation(split, noise, noise_snr_db=snr_db)
    expected = _epoch(dataset)[0]
    np.testing.assert_array_equal(_epoch(dataset)[0], expected)
    again = _evaluation(split, noise, noise_snr_db=snr_db, batch_size=4)
    assert [len(labels) for _, labels in again] == [4, 4, 4, 4, 4, 3]
    np.testing.assert_array_equal(_epoch(again)[0], expected)
    other = _evaluation(split, noise, noise_snr_db=snr_db, seed=1)
    assert np.any(_epoch(other)[0] != expected)


def test_evaluation_noise_differs_between_chunks(noise):
    silence = Split(np.zeros((300, SAMPLES), np.int16), np.zeros(300, np.int32), ("",) * 300)
    inputs, _ = _epoch(_evaluation(silence, noise))
    assert len(np.unique(inputs.sum(axis=(1, 2, 3)))) > 290


def test_evaluation_leaves_recorded_silence_as_it_is(split, noise):
    audio = split.audio.copy()
    audio[20], audio[21] = np.arange(SAMPLES) % 100, 0
    labels = split.labels.copy()
    labels[20:] = 0
    recorded = np.arange(23) < 22
    clips = Split(audio, labels, split.names, recorded=recorded)
    inputs, _ = _epoch(_evaluation(clips, noise))
    np.testing.assert_allclose(inputs[:22], _clean(clips)[:22], atol=1e-5)
    assert inputs[22].max() > np.log(1e-6) + 1


@pytest.mark.parametrize("make", [_training, _evaluation])
def test_recorded_silence_needs_no_noise(split, make):
    clips = Split(split.audio, split.labels, split.names, recorded=np.ones(23, bool))
    make(clips, ())


def test_without_a_record_sound_tells_recorded_silence(split, noise):
    audio = split.audio.copy()
    labels = split.labels.copy()
    audio[5], labels[5] = np.arange(SAMPLES) % 100, 0
    audio[6] = 0
    clips = Split(audio, labels, split.names)
    inputs, _ = _epoch(_evaluation(clips, noise))
    np.testing.assert_allclose(inputs[:22], _clean(clips)[:22], atol=1e-5)
    assert inputs[22].max() > np.log(1e-6) + 1


def test_training_fills_only_silence_that_is_not_recorded(split, noise):
    quiet = Split(split.audio[:9] // 100, np.zeros(9, np.int32), ("",) * 9, np.ones(9, bool))
    inputs, _ = _epoch(_training(quiet, noise, augment=False))
    clean = _clean(quiet)
    assert all(np.abs(clean - clip).max(axis=(1, 2, 3)).min() < 1e-4 for clip in inputs)


def test_evaluation_snr(split, noise):
    inputs, _ = _epoch(_evaluation(split, noise, noise_snr_db=(0.0, 0.0)))
    louder = np.exp(inputs[:22]).mean() / np.exp(_clean(split)[:22]).mean()
    assert louder == pytest.approx(2.0, rel=0.1)


@pytest.mark.parametrize("make", [_training, _evaluation])
def test_noise_is_checked(split, noise, make):
    with pytest.raises(ValueError, match="noise is empty"):
        make(split, ())
    with pytest.raises(ValueError, match="noise is empty"):
        make(split, (), silence_label=None, noise_snr_db=(0, 1))
    with pytest.raises(ValueError, match="4000 samples. Received: 3999"):
        make(split, (noise[0][:3999], noise[1]))
    with pytest.raises(ValueError, match=r"\(low, high\)"):
        make(split, noise, noise_snr_db=(10, 0))


def test_int16_round_trip():
    pcm = np.arange(-32768, 32768, dtype=np.int16)
    np.testing.assert_array_equal(to_int16(pcm / np.float32(32768)), pcm)
    np.testing.assert_array_equal(to_int16(np.array([1.0, -1.0])), [32767, -32768])


def test_from_folder_to_batches(corpus):
    commands = SpeechCommands(corpus, keywords=["yes", "no"])
    dataset = training_dataset(
        commands.load("training"),
        commands.noise(),
        FEATURES,
        batch_size=8,
        seed=0,
        silence_label=commands.labels.index("_silence_"),
    )
    inputs, labels = _epoch(dataset)
    assert inputs.shape == (17, *FEATURES.shape(commands.samples))
    assert np.all(np.isfinite(inputs))
    np.testing.assert_array_equal(np.bincount(labels), [1, 8, 4, 4])
