"""Whatever is wrong with a file from outside ends in a ValueError that names it."""

import dataclasses
import json
import os
import zipfile

import keras
import numpy as np
import pytest
import safetensors.numpy

import swr_keras as swr
from swr_keras.layers.residual_adapters import ResidualAdapters
from swr_keras.layers.side_modules import SideModules
from swr_keras.model_files import load_model
from swr_keras.policy.learned import LearnedPolicies
from swr_keras.tensors import read_tensors, write_tensors
from swr_keras.training.checkpoint import Checkpoint


@pytest.fixture
def library(base, tmp_path):
    library = swr.TaskLibrary(base)
    library.add("english", swr.TaskModel(base, ["conv"], num_classes=3).pack())
    library.save(tmp_path / "library")
    return tmp_path / "library"


@pytest.fixture
def pack(library):
    return library / "english.swr.safetensors"


def with_description(path, change):
    """Rewrites a pack with another description and a checksum that fits it."""
    arrays, about = read_tensors(path, form="swr_keras.pack/3", kind="a pack", cure="")
    change(about, arrays)
    write_tensors(path, arrays, about, form="swr_keras.pack/3")


CHANGES = {
    "no policy": lambda about, arrays: about.pop("policy"),
    "a list": lambda about, arrays: about.update(policy=[]),
    "text for a number": lambda about, arrays: about.update(num_classes="3"),
    "true for a number": lambda about, arrays: about.update(num_classes=True),
    "more": lambda about, arrays: about.update(more=1),
    "numbers for selected": lambda about, arrays: about["policy"].update(selected=[1, 0, 0]),
    "short selected": lambda about, arrays: about["policy"].update(selected=[True]),
    "negative size": lambda about, arrays: about["policy"].update(sizes=[-54, 60, 56]),
    "cost": lambda about, arrays: about["policy"].update(target_cost="0.1"),
    "reading": lambda about, arrays: about["policy"].update(reading="all"),
    "infinite values": lambda about, arrays: arrays.update(
        {"head/bias": np.full(3, np.inf, "float32")}
    ),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_pack_whose_checksum_fits_is_still_checked(change, pack):
    with_description(pack, CHANGES[change])
    with pytest.raises(ValueError, match="english.swr.safetensors"):
        swr.TaskPack.load(pack)


EXTENSIONS = {
    "none": lambda about: about.update(extension=None),
    "another kind": lambda about: about["extension"].update(kind="none"),
    "another type": lambda about: about["extension"].update(layers=3),
    "more": lambda about: about["extension"].update(more=1),
    "less": lambda about: about["extension"].pop("layers"),
}


@pytest.mark.parametrize("change", EXTENSIONS)
def test_an_extension_whose_checksum_fits_is_still_checked(change, base, pack):
    swr.TaskModel(base, [], extension=ResidualAdapters()).pack().save(pack)
    arrays, about = read_tensors(pack, form="swr_keras.pack/4", kind="a pack", cure="")
    EXTENSIONS[change](about)
    write_tensors(pack, arrays, about, form="swr_keras.pack/4")
    with pytest.raises(ValueError, match="english.swr.safetensors.*damaged"):
        swr.TaskPack.load(pack)


def test_an_extension_that_does_not_fit_the_base_is_refused(base, pack):
    found = swr.TaskModel(base, [], extension=ResidualAdapters()).pack()
    other = dataclasses.replace(found, extension=ResidualAdapters(layers=("pointwise",)))
    with pytest.raises(ValueError, match="missing arrays .*pointwise_adapter"):
        other.on(base)
    for extension in (SideModules(), ResidualAdapters(layers=("none",))):
        with pytest.raises(ValueError, match="Received"):
            dataclasses.replace(found, extension=extension).on(base)


@pytest.mark.parametrize("size", [0, 2**24 + 1, 2**63])
def test_a_header_of_another_size_than_declared_is_not_read(size, pack):
    data = bytearray(pack.read_bytes())
    data[:8] = size.to_bytes(8, "little")
    pack.write_bytes(data)
    with pytest.raises(ValueError, match="english.swr.safetensors.*damaged"):
        swr.TaskPack.load(pack)


def test_safetensors_of_others_and_earlier_packs_are_refused(pack):
    safetensors.numpy.save_file({"a": np.zeros(3)}, pack)
    with pytest.raises(ValueError, match="no description of ours"):
        swr.TaskPack.load(pack)
    pack.write_bytes(json.dumps({"format": "swr_keras.pack/2"}).encode().ljust(512) + b"\x89HDF")
    with pytest.raises(ValueError, match=r"earlier versions \(.swr.h5\) must be trained again"):
        swr.TaskPack.load(pack)


def test_damage_of_any_kind_is_a_value_error(pack, tmp_path):
    """Bits flipped, cuts, and damage with a checksum that fits, by the hundred."""
    data, rng = pack.read_bytes(), np.random.default_rng(0)
    header = int.from_bytes(data[:8], "little")
    damaged = tmp_path / "damaged.swr.safetensors"
    for number in range(150):
        copy = bytearray(data)
        if number % 3 == 0:
            copy[int(rng.integers(len(copy)))] ^= 1 << int(rng.integers(8))
        elif number % 3 == 1:
            del copy[int(rng.integers(len(copy))) :]
        else:
            place = int(rng.integers(8, 8 + header))
            copy[place : place + 4] = rng.bytes(4)
        damaged.write_bytes(copy)
        with pytest.raises(ValueError, match="damaged.swr.safetensors"):
            swr.TaskPack.load(damaged)


READERS = {
    "pack": swr.TaskPack.load,
    "policies": LearnedPolicies.load,
    "state": Checkpoint,
    "model": load_model,
}


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
@pytest.mark.parametrize("reader", READERS)
def test_what_is_no_regular_file_is_refused_at_once(reader, tmp_path):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "device").symlink_to("/dev/zero")
    (tmp_path / "folder").mkdir()
    for name in ("pipe", "device", "folder"):
        with pytest.raises(ValueError, match=f"{name}'"):
            READERS[reader](tmp_path / name)


@pytest.mark.parametrize("reader", ["pack", "policies", "model"])
def test_a_link_that_leads_nowhere_is_a_missing_file(reader, tmp_path):
    (tmp_path / "link").symlink_to(tmp_path / "nothing")
    with pytest.raises(FileNotFoundError, match="a link leads nowhere"):
        READERS[reader](tmp_path / "link")


@pytest.mark.parametrize(("first", "second"), [("a", "A"), ("öl", "o\u0308l"), ("ﬁ", "fi")])
def test_names_that_share_a_file_on_some_systems_are_refused(first, second, base):
    library = swr.TaskLibrary(base)
    pack = swr.TaskModel(base, [], num_classes=3).pack()
    library.add(first, pack)
    with pytest.raises(ValueError, match="same name on some systems|name of a task"):
        library.add(second, pack)
    with pytest.raises(ValueError, match="up to 120 bytes"):
        library.add("x" * 300, pack)


def rewrite(path, change):
    """Changes the configuration in a .keras file."""
    with zipfile.ZipFile(path) as archive:
        files = {name: archive.read(name) for name in archive.namelist()}
    config = json.loads(files["config.json"])
    change(config)
    files["config.json"] = json.dumps(config).encode()
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)


def test_a_base_that_declares_what_it_lacks_is_refused_before_it_is_built(library):
    def enlarge(config):
        conv = next(layer for layer in config["config"]["layers"] if layer["name"] == "conv")
        conv["config"].update(filters=10**6, kernel_size=[100, 100])

    rewrite(library / "base.keras", enlarge)
    with pytest.raises(ValueError, match=r"base.keras'.*\"conv\" declares 10,000,000,000 weights"):
        swr.TaskLibrary.load(library)


@pytest.mark.parametrize(
    "change",
    [
        lambda config: config.clear(),
        lambda config: config.update(class_name="Nothing"),
        lambda config: config["config"].pop("layers"),
        lambda config: config["config"]["layers"][1]["config"].update(padding=7),
        lambda config: config["config"]["layers"][1].update(class_name="Lambda"),
    ],
)
def test_a_damaged_base_is_named(change, library):
    rewrite(library / "base.keras", change)
    with pytest.raises(ValueError, match="base.keras' can't be loaded as a Keras model"):
        swr.TaskLibrary.load(library)


def test_a_cut_base_is_named(library):
    data = (library / "base.keras").read_bytes()
    for length in (0, 100, len(data) // 2, len(data) - 10):
        (library / "base.keras").write_bytes(data[:length])
        with pytest.raises(ValueError, match="base.keras' can't be loaded as a Keras model"):
            swr.TaskLibrary.load(library)


def test_a_base_with_a_python_lambda_is_not_saved_in_vain(tmp_path):
    inputs = keras.Input((4,))
    x = keras.layers.Lambda(lambda t: 2.0 * t, name="twice")(keras.layers.Dense(3)(inputs))
    library = swr.TaskLibrary(keras.Model(inputs, keras.layers.Dense(2)(x)))
    with pytest.raises(ValueError, match="'twice' has a Python lambda as its function.*register"):
        library.save(tmp_path)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "text",
    ["", "null", "[]", "1", '{"format": 1}', "[" * 100_000, '{"a": NaN}', '{"format": "x"}'],
)
def test_policies_that_are_none_are_refused(text):
    with pytest.raises(ValueError, match="policy"):
        swr.Policy.from_json(text)
