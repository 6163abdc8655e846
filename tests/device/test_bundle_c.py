"""The reader of bundles that runs on a device, compiled for this machine."""

import ctypes
import pathlib
import shutil
import subprocess

import pytest

from swr_keras.device.bundle import Bundle
from swr_keras.device.bundle_table import find_table

SOURCE = pathlib.Path(__file__).parents[2] / "tflite" / "bundle" / "swr_bundle.c"
WARNINGS = ["-Wall", "-Wextra", "-Wconversion", "-Wpedantic", "-Werror"]

pytestmark = pytest.mark.skipif(not shutil.which("gcc"), reason="needs the compiler gcc")


class View(ctypes.Structure):
    _fields_ = [
        ("image", ctypes.c_void_p),
        ("table", ctypes.c_void_p),
        ("bytes", ctypes.c_uint32),
        ("segments", ctypes.c_uint16),
        ("tasks", ctypes.c_uint16),
    ]


@pytest.fixture(scope="module")
def library(tmp_path_factory):
    path = tmp_path_factory.mktemp("c") / "bundle.so"
    sanitized = ["-fsanitize=undefined", "-fno-sanitize-recover"]
    command = ["gcc", "-std=c11", "-O1", *WARNINGS, *sanitized, "-shared", "-fPIC"]
    subprocess.run([*command, str(SOURCE), "-o", str(path)], check=True)
    found = ctypes.CDLL(str(path))
    for name in ("open", "is_whole", "accepts", "apply"):
        getattr(found, f"swr_bundle_{name}").restype = ctypes.c_bool
    found.swr_bundle_model.restype = ctypes.c_void_p
    found.swr_bundle_label.restype = ctypes.c_char_p
    return found


class Device:
    """Flash that is written as a device writes it."""

    def __init__(self, library, image):
        self.library = library
        # With nothing behind it that could be read by mistake without being noticed.
        self.flash = (ctypes.c_uint8 * len(image)).from_buffer_copy(image)
        self.view = View()

    def open(self):
        return self.library.swr_bundle_open(
            ctypes.byref(self.view), self.flash, ctypes.c_uint32(len(self.flash))
        )

    def _call(self, name, *arguments):
        return getattr(self.library, f"swr_bundle_{name}")(ctypes.byref(self.view), *arguments)

    def tasks(self):
        """Names of the tasks that are whole, with the offset of their models and their labels."""
        found = {}
        for number in range(self.view.tasks):
            name = ctypes.create_string_buffer(33)
            self._call("name", ctypes.c_uint16(number), name)
            assert self._call("find", name) == number
            if self._call("is_whole", ctypes.c_uint16(number)):
                model = self._call("model", ctypes.c_uint16(number))
                offset = model - ctypes.addressof(self.flash)
                found[name.value.decode()] = offset, tuple(self._labels(number))
        return found

    def _labels(self, task):
        number = 0
        while label := self._call("label", ctypes.c_uint16(task), ctypes.c_uint16(number)):
            yield label.decode()
            number += 1

    def apply(self, patch, write):
        return self._call("apply", patch, ctypes.c_uint32(len(patch)), write, None)


def expected(bundle):
    return {
        task.name: (task.root, bundle.labels(task.name))
        for task in bundle.table.tasks
        if task.name not in bundle.broken
    }


def test_a_device_finds_what_is_in_a_bundle(library, first, tasks):
    for bundle in (first, Bundle.build(tasks), first.patched(first.remove("english"))):
        device = Device(library, bundle.image)
        assert device.open()
        assert device.tasks() == expected(bundle)
        assert device._call("find", b"none") == -1


def test_a_damaged_task_is_told(library, tasks):
    bundle = Bundle.build(tasks)
    for segment in bundle.table.segments:
        image = bytearray(bundle.image)
        image[segment.offset + segment.length // 2] ^= 4
        damaged = Bundle(bytes(image), find_table(bytes(image)))
        device = Device(library, bytes(image))
        assert device.open()
        assert device.tasks() == expected(damaged) != expected(bundle)


def test_a_patch_cut_short_changes_nothing_and_can_be_written_again(
    library, first, tasks, losing_power
):
    patch = first.add("french", tasks["french"])
    data = patch.to_bytes()
    (_, own), (_, table) = patch.writes
    after = first.patched(patch)
    powers = [*range(0, len(own), 211), *range(len(own), len(own) + len(table))]
    for power in powers:
        device = Device(library, first.image)
        assert device.open()
        assert not device.apply(data, losing_power(device.flash, power))
        assert device.open()
        assert device.tasks() == expected(first)
        assert device.apply(data, losing_power(device.flash))
        assert device.open()
        assert device.tasks() == expected(after)
        assert bytes(device.flash) == after.image


def test_a_patch_that_does_not_fit_is_refused(library, first, tasks, losing_power):
    patch = first.add("french", tasks["french"])
    data = patch.to_bytes()
    device = Device(library, first.patched(patch).image)
    assert device.open()
    assert not device.apply(data, losing_power(device.flash))
    device = Device(library, first.image)
    assert device.open()
    write = losing_power(device.flash)
    for count in (0, 3, 15, 19, 40, len(data) // 2, len(data) - 1):
        assert not device.apply(data[:count], write)
    for at in range(0, len(data), 97):
        assert not device.apply(data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :], write)
    assert bytes(device.flash) == first.image


def test_what_is_no_bundle_is_refused(library, first):
    for size in (0, 3, 23, 100, 511, 512, len(first.image) - 1):
        assert not Device(library, first.image[:size]).open()
    for at in range(len(first.table.pack())):
        image = bytearray(first.image)
        image[at] ^= 0x80
        assert not Device(library, bytes(image)).open()
