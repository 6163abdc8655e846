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


@pytest.fixture(params=["memory", "files"])
def folder(request, tmp_path):
    """Where epochs are kept."""
    return tmp_path / "kept" / "epochs" if request.param == "files" else None


def test_an_epoch_is_computed_once(computed, folder):
    compute, log = computed
    epochs = KeptEpochs(compute, 5, folder)
    first = read(epochs, 9)
    assert first[:4] == [[0, 1], [2, 3], [4], [10, 11]]
    log.clear()
    assert read(epochs, 6) == first[:6]
    assert read(epochs, 3, first_epoch=1) == first[3:6]
    assert log == []
    assert read(epochs, 12)[:9] == first


def test_what_another_process_writes_is_left_alone(computed, tmp_path):
    epochs = KeptEpochs(computed[0], 5, tmp_path)
    (tmp_path / ".unfinished-1.safetensors").symlink_to(tmp_path / "gone since")
    first = read(epochs, 6)
    assert read(epochs, 3, first_epoch=1) == first[3:]


def test_other_batch_sizes_are_other_epochs(computed, folder):
    epochs = KeptEpochs(computed[0], 5, folder)
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


def test_disk_is_limited(computed, tmp_path):
    compute, log = computed
    expected = read(KeptEpochs(compute, 5, tmp_path / "all"), 12)
    size = max(path.stat().st_size for path in (tmp_path / "all").iterdir())
    read(KeptEpochs(compute, 5, tmp_path / "some", most_bytes=2 * size), 12)
    assert len(list((tmp_path / "some").iterdir())) == 2
    log.clear()
    assert read(KeptEpochs(compute, 5, tmp_path / "some", most_bytes=2 * size), 12) == expected
    assert {0, 1}.isdisjoint(log)
    assert 2 in log


def test_files_are_there_for_other_processes_and_later(computed, tmp_path):
    compute, log = computed
    expected = read(KeptEpochs(compute, 5, tmp_path), 7)
    log.clear()
    assert read(KeptEpochs(compute, 5, tmp_path), 6) == expected[:6]
    assert log == []


def test_a_damaged_file_is_named_and_another_one_isnt_taken_for_an_epoch(computed, tmp_path):
    epochs = KeptEpochs(computed[0], 5, tmp_path)
    read(epochs, 4)
    (kept,) = tmp_path.iterdir()
    kept.write_bytes(kept.read_bytes()[:-1])
    with pytest.raises(tf.errors.OpError, match=f"{kept.name}.*Remove it"):
        read(epochs, 4)
