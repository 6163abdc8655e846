import dataclasses
import time

import keras
import numpy as np
import pytest

import swr_keras as swr
from swr_keras.tasks.pack import fingerprint

LOSS = keras.losses.SparseCategoricalCrossentropy(from_logits=True)


@pytest.fixture
def task(base, arrays):
    policy = swr.PolicySearch(swr.SuperNet(base, num_classes=3)).policy(0.6)
    task = swr.TaskModel(base, policy, num_classes=3)
    task.compile(keras.optimizers.Adam(1e-2), LOSS)
    task.fit(*arrays, epochs=2, verbose=0)
    return task


@pytest.fixture
def path(task, tmp_path):
    path = tmp_path / "task.swr.safetensors"
    task.pack().save(path)
    return path


def test_round_trip_gives_the_same_outputs(base, task, path, arrays):
    restored = swr.TaskModel.from_pack(base, swr.TaskPack.load(path))
    np.testing.assert_array_equal(restored(arrays[0]), task(arrays[0]))
    assert restored.policy == task.policy


def test_pack_holds_just_what_the_task_owns(base, task, path):
    pack = swr.TaskPack.load(path)
    deltas = {name.split("/")[0] for name in pack.arrays if name.endswith("_delta")}
    assert deltas == set(task.policy.selected_layers)
    others = {name for name in pack.arrays if not name.endswith("_delta")}
    assert others == {"head/kernel", "head/bias", "norm/moving_mean", "norm/moving_variance"}
    owned = sum(a.size for name, a in pack.arrays.items() if name.endswith("_delta"))
    assert owned == task.policy.owned_size
    assert pack.num_bytes == 4 * sum(array.size for array in pack.arrays.values())


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float16", "mixed_bfloat16"])
def test_round_trip_under_each_precision(dtype, tmp_path):
    keras.config.set_dtype_policy(dtype)
    try:
        base = keras.Sequential(
            [keras.Input((5,)), keras.layers.Dense(3), keras.layers.BatchNormalization()]
            + [keras.layers.Dense(2, name="head")]
        )
        pack = swr.TaskModel(base, [base.layers[0].name]).pack()
    finally:
        keras.config.set_dtype_policy("float32")
    pack.save(tmp_path / "a.swr.safetensors")
    loaded = swr.TaskPack.load(tmp_path / "a.swr.safetensors")
    assert loaded.arrays.keys() == pack.arrays.keys()
    for name, array in pack.arrays.items():
        assert loaded.arrays[name].dtype == array.dtype
        np.testing.assert_array_equal(loaded.arrays[name], array)
    restored = swr.TaskModel.from_pack(base, loaded)
    assert {v.dtype for v in restored.owned_variables} == {v.dtype for v in base.layers[0].weights}


def test_a_file_is_little_larger_than_its_arrays(tmp_path):
    base = swr.backbones.bcresnet(1)
    layers = swr.SuperNet(base).units
    for chosen in ([], list(layers)):
        pack = swr.TaskModel(base, chosen).pack()
        pack.save(tmp_path / "a.swr.safetensors")
        # Names, shapes and the policy stand in the header, as text.
        header = 160 * len(pack.arrays) + 100 * len(layers)
        assert (tmp_path / "a.swr.safetensors").stat().st_size <= pack.num_bytes + header


def test_a_pack_is_saved_as_the_same_bytes_at_any_time(task, tmp_path):
    pack = task.pack()
    pack.save(tmp_path / "a.swr.safetensors")
    time.sleep(1.1)
    pack.save(tmp_path / "b.swr.safetensors")
    assert (tmp_path / "a.swr.safetensors").read_bytes() == (
        tmp_path / "b.swr.safetensors"
    ).read_bytes()


def test_packs_can_be_compared(task):
    pack = task.pack()
    assert pack == pack
    assert pack != task.pack()


def test_every_damaged_byte_and_every_truncation_is_found(path):
    data = path.read_bytes()
    rng = np.random.default_rng(0)
    positions = [*range(0, 600, 7), *rng.integers(0, len(data), 60), len(data) - 1]
    for position in positions:
        damaged = bytearray(data)
        damaged[position] ^= 0x10
        path.write_bytes(damaged)
        with pytest.raises(ValueError, match="is damaged"):
            swr.TaskPack.load(path)
    for length in (0, 10, 511, 512, 1000, len(data) - 1):
        path.write_bytes(data[:length])
        with pytest.raises(ValueError, match="is damaged"):
            swr.TaskPack.load(path)


def test_missing_file_and_other_files_are_refused(tmp_path):
    with pytest.raises(FileNotFoundError):
        swr.TaskPack.load(tmp_path / "none.swr.safetensors")
    (tmp_path / "text").write_text("hello" * 300)
    with pytest.raises(ValueError, match="no file of a task pack"):
        swr.TaskPack.load(tmp_path / "text")


def test_wrong_base_is_refused(base, task, arrays):
    other = keras.models.clone_model(base)
    other.set_weights(base.get_weights())
    assert fingerprint(other) == fingerprint(base)
    kernel = other.get_layer("conv").kernel
    kernel.assign(np.nextafter(kernel.numpy(), np.float32(1)))
    with pytest.raises(ValueError, match="made on another base"):
        swr.TaskModel.from_pack(other, task.pack())


def test_missing_extra_and_misshapen_arrays_are_refused(base, task):
    pack = task.pack()
    arrays = dict(pack.arrays)
    head = arrays.pop("head/bias")
    with pytest.raises(ValueError, match=r"missing arrays \['head/bias'\]"):
        swr.TaskModel.from_pack(base, dataclasses.replace(pack, arrays=arrays))
    with pytest.raises(ValueError, match=r"unknown arrays \['more/bias'\]"):
        swr.TaskModel.from_pack(
            base, dataclasses.replace(pack, arrays={**pack.arrays, "more/bias": head})
        )
    with pytest.raises(ValueError, match=r"wrong shapes: .*head/bias.*\(2,\) instead of \(3,\)"):
        swr.TaskModel.from_pack(
            base, dataclasses.replace(pack, arrays={**pack.arrays, "head/bias": head[:2]})
        )


def test_library_gives_merged_models_by_name(base, task, arrays, tmp_path):
    library = swr.TaskLibrary(base)
    library.add("english", task.pack())
    library.add("mandarin", task.pack())
    library.save(tmp_path / "library")
    restored = swr.TaskLibrary.load(tmp_path / "library")
    assert list(restored) == ["english", "mandarin"]
    np.testing.assert_array_equal(restored.merged("english")(arrays[0]), task.merge()(arrays[0]))
    base_bytes = sum(v.numpy().nbytes for v in base.weights)
    assert restored.num_bytes == base_bytes + 2 * task.pack().num_bytes
    assert f"{2 * base_bytes:,}" in str(restored)


def test_library_is_not_saved_among_other_packs(base, task, path, tmp_path):
    library = swr.TaskLibrary(base)
    library.add("english", task.pack())
    with pytest.raises(ValueError, match=r"aren't in this library: \['task'\]"):
        library.save(tmp_path)
    assert list(tmp_path.iterdir()) == [path]
    path.unlink()
    for _ in range(2):
        library.save(tmp_path)
    assert list(swr.TaskLibrary.load(tmp_path)) == ["english"]


def test_library_refuses_what_does_not_fit(base, task, tmp_path):
    library = swr.TaskLibrary(base)
    library.add("english", task.pack())
    with pytest.raises(ValueError, match="already"):
        library.add("english", task.pack())
    with pytest.raises(ValueError, match="name of a task"):
        library.add("../english", task.pack())
    with pytest.raises(KeyError, match="No task 'french'"):
        library.merged("french")
    with pytest.raises(ValueError, match="another base"):
        library.add("other", dataclasses.replace(task.pack(), base_fingerprint="0" * 64))
    with pytest.raises(FileNotFoundError, match="no task library"):
        swr.TaskLibrary.load(tmp_path)
