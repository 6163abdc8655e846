"""State dicts are read without PyTorch; what else a file may be is refused, and never run."""

import io
import os
import zipfile

import ml_dtypes
import numpy as np
import pytest
import safetensors.numpy

from swr_keras.backbones.torch_files import read_state_dict

WEIGHT = np.arange(6, dtype="float32").reshape(2, 3)
DATA = WEIGHT.tobytes()
NONE, FALSE, MARK, EMPTY = b"N", b"\x89", b"(", b")"


def name(dotted):
    module, _, attribute = dotted.rpartition(".")
    return f"c{module}\n{attribute}\n".encode()


def text(value):
    return b"X" + len(value.encode()).to_bytes(4, "little") + value.encode()


def number(value):
    data = value.to_bytes(value.bit_length() // 8 + 1, "little", signed=True)
    return b"\x8a" + bytes([len(data)]) + data


def items(*values):
    return MARK + b"".join(values) + b"t"


def call(function, *arguments):
    return name(function) + items(*arguments) + b"R"


def storage(kind="torch.FloatStorage", key="0", count=6, word="storage"):
    return items(text(word), name(kind), text(key), text("cpu"), number(count)) + b"Q"


def tensor(stored=None, offset=0, size=(2, 3), stride=(3, 1), of="_rebuild_tensor_v2"):
    sizes = [items(*map(number, each)) for each in (size, stride)]
    hooks = name("collections.OrderedDict") + EMPTY + b"R"
    return call(f"torch._utils.{of}", stored or storage(), number(offset), *sizes, FALSE, hooks)


def ordered(**values):
    pairs = b"".join(text(key) + value for key, value in values.items())
    return name("collections.OrderedDict") + EMPTY + b"R" + MARK + pairs + b"u"


def pickled(value):
    return b"\x80\x02" + value + b"."


def zipped(value, *, data=DATA, compression=zipfile.ZIP_STORED, **more):
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", compression) as archive:
        archive.writestr("archive/data.pkl", pickled(value))
        archive.writestr("archive/data/0", data)
        for entry, content in more.items():
            archive.writestr(f"archive/{entry.replace('__', '/').replace('_pkl', '.pkl')}", content)
    return file.getvalue()


def legacy(value, *, data=DATA, count=6, keys=("0",), little=b"\x88", protocol=1001):
    system = b"}" + MARK + text("little_endian") + little + b"u"
    listed = b"]" + MARK + b"".join(map(text, keys)) + b"e"
    parts = (number(0x1950A86A20F9469CFC6C), number(protocol), system, value, listed)
    return b"".join(map(pickled, parts)) + count.to_bytes(8, "little", signed=True) + data


def raw(file):
    return bytes(safetensors.numpy.save(file))


def padded(file, size):
    """Makes the header of a safetensors file so many bytes long."""
    start = 8 + int.from_bytes(file[:8], "little")
    return size.to_bytes(8, "little") + file[8:start].ljust(size) + file[start:]


BFLOAT = WEIGHT.astype(ml_dtypes.bfloat16)
PARAMETER = call("torch._utils._rebuild_parameter", tensor(), FALSE, NONE)
VERSIONS = b"}" + MARK + text("_metadata") + b"}" + b"u" + b"b"
READ = {
    "zip": (zipped(ordered(w=tensor())), WEIGHT),
    "legacy": (legacy(ordered(w=tensor())), WEIGHT),
    "safetensors": (raw({"w": WEIGHT}), WEIGHT),
    "safetensors of bfloat16": (raw({"w": BFLOAT}), BFLOAT),
    "safetensors that begins as a pickle does": (padded(raw({"w": WEIGHT}), 0x280), WEIGHT),
    "a plain dict": (zipped(b"}" + MARK + text("w") + tensor() + b"u"), WEIGHT),
    "a parameter": (zipped(ordered(w=PARAMETER)), WEIGHT),
    "the first way to rebuild": (zipped(ordered(w=tensor(of="_rebuild_tensor"))), WEIGHT),
    "versions of modules": (zipped(ordered(w=tensor()) + VERSIONS), WEIGHT),
    "transposed": (zipped(ordered(w=tensor(size=(3, 2), stride=(1, 3)))), WEIGHT.T),
    "a part": (zipped(ordered(w=tensor(offset=3, size=(3,), stride=(1,)))), WEIGHT[1]),
    "a scalar": (zipped(ordered(w=tensor(offset=2, size=(), stride=()))), WEIGHT[0, 2]),
    "empty": (zipped(ordered(w=tensor(size=(0, 3)))), WEIGHT[:0]),
    "bfloat16": (
        zipped(ordered(w=tensor(storage("torch.BFloat16Storage"))), data=BFLOAT.tobytes()),
        BFLOAT,
    ),
    "whole numbers": (
        zipped(
            ordered(w=tensor(storage("torch.LongStorage"))), data=WEIGHT.astype("int64").tobytes()
        ),
        WEIGHT.astype("int64"),
    ),
    "byte order": (zipped(ordered(w=tensor()), byteorder=b"little"), WEIGHT),
}


@pytest.mark.parametrize("kind", READ)
def test_a_state_dict_is_read(kind, tmp_path):
    data, expected = READ[kind]
    (tmp_path / "file").write_bytes(data)
    found = read_state_dict(tmp_path / "file")
    assert list(found) == ["w"]
    assert found["w"].dtype == expected.dtype
    np.testing.assert_array_equal(found["w"], expected)


def run(function, argument="touch ran"):
    """Of a pickle that runs a function where it is unpickled."""
    return name(function) + MARK + text(argument) + b"t" + b"R"


def damaged(data, old, new):
    assert data.count(old) == 1
    return data.replace(old, new)


SOUND = zipped(ordered(w=tensor()))
HOSTILE = {
    "an empty file": (b"", "its 0 bytes"),
    "text": (b"<html>not found</html>", "begin with b'<html>not found<"),
    "a picture": (b"\x89PNG\r\n\x1a\n" + bytes(64), "begin with b'.x89PNG"),
    "half a zip": (SOUND[:300], "not a zip file"),
    "half a pickle": (legacy(ordered(w=tensor()))[:200], "exhausted|can't be read"),
    "half a safetensors file": (raw({"w": WEIGHT})[:-4], "can't be read"),
    "safetensors of float8": (
        raw({"w": WEIGHT.astype(ml_dtypes.float8_e5m2)}),
        "'w' is of the dtype F8_E5M2",
    ),
    "data cut off": (legacy(ordered(w=tensor()))[:-4], "6 values of float32, and has 20 bytes"),
    "a damaged value": (damaged(SOUND, WEIGHT.tobytes(), b"x" + WEIGHT.tobytes()[1:]), "CRC"),
    "a zip of something else": (zipped(NONE).replace(b"data.pkl", b"date.pkl"), "0 entries"),
    "compressed entries": (
        zipped(ordered(w=tensor()), data=bytes(24), compression=zipfile.ZIP_DEFLATED),
        "compressed",
    ),
    "two pickles": (zipped(ordered(w=tensor()), old__data_pkl=NONE), "2 entries 'data.pkl'"),
    "no data": (zipped(ordered(w=tensor(storage(key="7")))), "no item named 'archive/data/7'"),
    "a path as a key": (zipped(ordered(w=tensor(storage(key="../../w")))), "no item named"),
    "big-endian": (zipped(ordered(w=tensor()), byteorder=b"big"), "little-endian"),
    "big-endian, legacy": (legacy(ordered(w=tensor()), little=FALSE), "little-endian"),
    "another protocol": (legacy(ordered(w=tensor()), protocol=1000), "protocol is 1000"),
    "another pickle": (pickled(number(3)), "none of PyTorch's"),
    "other storages listed": (legacy(ordered(w=tensor()), keys=("0", "1")), "list of storages"),
    "another count, legacy": (legacy(ordered(w=tensor()), count=7), "data says 7"),
    "a negative count": (legacy(ordered(w=tensor(storage(count=-6))), count=-6), "w"),
    "more values than there are": (zipped(ordered(w=tensor(storage(count=7)))), "7 values of"),
    "a huge storage": (zipped(ordered(w=tensor(storage(count=2**62)))), "should have 4,611,"),
    "a huge tensor": (zipped(ordered(w=tensor(size=(2**40, 2**40)))), "beyond its storage"),
    "repeated by strides of 0": (
        zipped(ordered(w=tensor(size=(2**40,), stride=(0,)))),
        "beyond its storage",
    ),
    "beyond the storage": (zipped(ordered(w=tensor(offset=1))), "beyond its storage of 6"),
    "beyond it by strides": (zipped(ordered(w=tensor(stride=(4, 1)))), "beyond its storage of 6"),
    "a negative stride": (zipped(ordered(w=tensor(offset=5, stride=(-3, -1)))), r"\(-3, -1\)"),
    "a negative offset": (zipped(ordered(w=tensor(offset=-1))), "offset -1"),
    "a negative size": (zipped(ordered(w=tensor(size=(-2, -3)))), r"\(-2, -3\)"),
    "fewer strides": (zipped(ordered(w=tensor(stride=(1,)))), r"strides \(1,\)"),
    "a hundred axes": (zipped(ordered(w=tensor(size=100 * (1,), stride=100 * (1,)))), "has the"),
    "another dtype": (
        zipped(ordered(w=tensor(storage("torch.QInt8Storage")))),
        "asks for 'torch.QInt8Storage'",
    ),
    "a storage without dtype": (
        zipped(ordered(w=tensor(storage("torch.storage.UntypedStorage")))),
        "asks for 'torch.storage.UntypedStorage'",
    ),
    "a dtype as a storage": (
        zipped(ordered(w=tensor(storage("collections.OrderedDict")))),
        "storage of class 'collections OrderedDict'",
    ),
    "two dtypes of one storage": (
        zipped(ordered(v=tensor(), w=tensor(storage("torch.IntStorage")))),
        "declared twice",
    ),
    "not a storage": (zipped(ordered(w=tensor(storage(word="module")))), "than a storage"),
    "a tensor of no storage": (zipped(ordered(w=tensor(number(3)))), "a int in the place of"),
    "a checkpoint": (
        zipped(ordered(state_dict=ordered(w=tensor()), epoch=number(3))),
        "'state_dict' is a dict, not a tensor",
    ),
    "a list": (zipped(b"]" + MARK + tensor() + b"e"), "holds a list in the place of a dict"),
    "a tensor alone": (zipped(tensor()), "holds a StoredTensor in the place of a dict"),
    "a number as a name": (zipped(b"}" + MARK + number(1) + tensor() + b"u"), "place of a str"),
    "a module": (
        zipped(name("torchvision.models.resnet.ResNet") + EMPTY + b"\x81"),
        "asks for 'torchvision.models.resnet.ResNet'",
    ),
    "a command": (zipped(ordered(w=run("posix.system"))), "asks for 'posix.system'"),
    "a command, legacy": (legacy(ordered(w=run("os.system"))), "asks for 'os.system'"),
    "a command alone": (pickled(run("posix.system")), "asks for 'posix.system'"),
    "a command by its parts": (
        zipped(ordered(w=text("posix") + text("system") + b"\x93" + items(text("x")) + b"R")),
        "asks for 'posix.system'",
    ),
    "an expression": (zipped(ordered(w=run("builtins.eval", "1"))), "'builtins.eval'"),
    "an instance": (
        zipped(MARK + text("touch ran") + b"iposix\nsystem\n"),
        "the operation INST, which no state dict needs",
    ),
    "attributes of a function": (
        zipped(name("torch._utils._rebuild_tensor_v2") + b"}b"),
        "in the place of a dict",
    ),
    "a call of a storage": (zipped(name("torch.FloatStorage") + EMPTY + b"R"), "pickle calls"),
    "a memo that isn't": (zipped(b"h\x07"), "damaged"),
    "nothing": (zipped(b""), "damaged"),
    "no mark": (zipped(b"t"), "damaged"),
    "deeply nested": (zipped(ordered(w=EMPTY + 200_000 * b"\x85")), "is a tuple, not a tensor"),
    "deeply nested, legacy": (pickled(EMPTY + 200_000 * b"\x85"), "none of PyTorch's"),
    "holding itself": (zipped(b"}q\x00" + MARK + text("w") + b"h\x00u"), "'w' is a dict"),
}


@pytest.mark.parametrize("kind", HOSTILE)
def test_anything_else_is_refused_and_never_run(kind, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    data, message = HOSTILE[kind]
    (tmp_path / "file").write_bytes(data)
    with pytest.raises(ValueError, match=message) as caught:
        read_state_dict(tmp_path / "file")
    assert "file' can't be read as a PyTorch state dict" in str(caught.value)
    assert len(str(caught.value)) < 500
    assert os.listdir(tmp_path) == ["file"]


def test_entries_that_share_bytes_are_refused(tmp_path):
    """Of a zip bomb: each entry of the directory gives the same bytes once more."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("archive/data.pkl", pickled(ordered(w=tensor())))
        archive.writestr("archive/data/0", bytes(10_000))
        shared = archive.getinfo("archive/data/0")
        for index in range(1, 20):
            again = zipfile.ZipInfo(f"archive/data/{index}")
            for attribute in ("header_offset", "CRC", "file_size", "compress_size"):
                setattr(again, attribute, getattr(shared, attribute))
            archive.filelist.append(again)
            archive.NameToInfo[again.filename] = again
    (tmp_path / "file").write_bytes(file.getvalue())
    with pytest.raises(ValueError, match="claim more bytes than the file has"):
        read_state_dict(tmp_path / "file")


def test_a_folder_and_no_file_are_refused(tmp_path):
    with pytest.raises(ValueError, match="can't be read as a PyTorch state dict"):
        read_state_dict(tmp_path)
    with pytest.raises(FileNotFoundError, match="no such file"):
        read_state_dict(tmp_path / "none")


@pytest.mark.parametrize("form", [zipped, legacy])
def test_damage_is_an_error_or_harmless(form, tmp_path):
    rng = np.random.default_rng(0)
    sound, path = form(ordered(w=tensor())), tmp_path / "file"
    refused = 0
    for _ in range(300):
        data = bytearray(sound)
        data[rng.integers(len(data))] = rng.integers(256)
        path.write_bytes(data)
        try:
            read_state_dict(path)
        except ValueError:
            refused += 1
    assert refused > 100
