import numpy as np
import pytest
import tensorflow as tf

from swr_keras.audio.kept_epochs import KeptEpochs


@pytest.fixture
def computed():
    """Epochs of five examples of 8 bytes, and a list of those that were computed."""
    log = []

    def compute(batch_size, first_epoch):
        def batches():
            epoch = first_epoch
            while True:
                log.append(epoch)
                for start in range(0, 5, batch_size):
                    rows = np.arange(start, min(start + batch_size, 5), dtype="float32")
                    yield 10 * epoch + rows, rows.astype("int32")
                epoch += 1

        spec = (tf.TensorSpec([None], "float32"), tf.TensorSpec([None], "int32"))
        return tf.data.Dataset.from_generator(batches, output_signature=spec)

    return compute, log


def read(epochs, count, batch_size=2, first_epoch=0):
    batches = epochs.batches(batch_size, first_epoch).take(count)
    return [features.tolist() for features, _ in batches.as_numpy_iterator()]


def test_an_epoch_is_computed_once(computed):
    compute, log = computed
    epochs = KeptEpochs(compute, 5)
    first = read(epochs, 9)
    assert first[:4] == [[0, 1], [2, 3], [4], [10, 11]]
    log.clear()
    assert read(epochs, 6) == first[:6]
    assert read(epochs, 3, first_epoch=1) == first[3:6]
    assert log == []
    assert read(epochs, 12)[:9] == first


def test_other_batch_sizes_are_other_epochs(computed):
    epochs = KeptEpochs(computed[0], 5)
    read(epochs, 6)
    assert read(epochs, 2, batch_size=5) == [[0, 1, 2, 3, 4], [10, 11, 12, 13, 14]]


def test_memory_is_limited(computed):
    compute, log = computed
    epochs = KeptEpochs(compute, 5, most_bytes=60)
    expected = read(KeptEpochs(compute, 5), 9)
    read(epochs, 9)
    log.clear()
    assert read(epochs, 9) == expected
    assert 0 not in log
    assert 1 in log
