import dataclasses
import zlib

import numpy as np
import pytest

from swr_keras.device.bundle import Bundle, DeviceTask
from swr_keras.device.bundle_table import Segment, find_table
from swr_keras.device.patch import Patch
from swr_keras.export import ExportError, LiteModel, verify_int8
from swr_keras.export.flatbuffer import as_object, parse

ROOM = 64 * 1024
INPUTS = np.random.default_rng(1).normal(size=(16, 12, 10, 1)).astype("float32")


def answers(data):
    model = LiteModel(parse(data))
    return model.predict_int8(model.quantize(INPUTS))


def assert_same(bundle, tasks, names=None):
    for name in names or bundle.names:
        for data in (bundle.model(name), bundle.extract(name)):
            np.testing.assert_array_equal(answers(data), answers(tasks[name].model.data))
        assert bundle.labels(name) == tasks[name].labels


def kernels(model):
    """The constants of a model that are too long to be found by chance."""
    contents = as_object(model.data)
    constants = [contents.buffers[tensor.buffer].data for tensor in contents.subgraphs[0].tensors]
    return {bytes(each) for each in constants if each is not None and len(each) > 60}


def test_every_task_computes_what_its_own_file_does(tasks):
    bundle = Bundle.build(tasks)
    assert bundle.names == tuple(tasks)
    assert not bundle.broken
    assert_same(bundle, tasks)


def test_on_the_kernels_of_a_device(tasks):
    pytest.importorskip("tflite_micro")
    bundle = Bundle.build(tasks)
    for name in bundle.names:
        own = LiteModel(tasks[name].model, engine="tflm")
        rooted = LiteModel(parse(bundle.model(name)), engine="tflm")
        q = own.quantize(INPUTS)
        np.testing.assert_array_equal(own.predict_int8(q), rooted.predict_int8(q))
        verify_int8(bundle.extract(name), INPUTS)


def test_what_tasks_share_lies_once(tasks):
    image = Bundle.build(tasks).image
    shared = kernels(tasks["english"].model) & kernels(tasks["french"].model)
    assert shared
    assert [image.count(kernel) for kernel in shared] == [1] * len(shared)
    alone = [len(Bundle.build({name: task}).image) for name, task in tasks.items()]
    assert len(image) < sum(alone)
    same = Bundle.build({name: tasks["english"] for name in ("a", "b", "c")}).image
    assert len(same) < 1.2 * alone[0]


def test_bytes_of_each_task(first, tasks):
    own = first.own_bytes
    patch = first.add("french", tasks["french"])
    assert sum(own.values()) < len(first.image) - first.table.segments[-1].offset
    added = first.patched(patch).own_bytes
    assert 0 < len(patch.writes[0][1]) - added["french"] < 200
    assert all(added[name] <= own[name] for name in own)
    shown = dict(line.rsplit(maxsplit=1) for line in str(first).splitlines())
    assert shown["image"] == f"{ROOM:,}"
    assert shown["english"] == f"{own['english']:,}"


def test_the_same_tasks_give_the_same_bytes(tasks):
    assert Bundle.build(tasks).image == Bundle.build(tasks).image


def test_an_extracted_file_is_an_ordinary_one(tasks):
    extracted = Bundle.build(tasks).extract("french")
    for own, found in zip(
        as_object(tasks["french"].model.data).subgraphs[0].tensors,
        as_object(extracted).subgraphs[0].tensors,
        strict=True,
    ):
        if own.quantization.scale is not None:
            np.testing.assert_array_equal(own.quantization.scale, found.quantization.scale)
            np.testing.assert_array_equal(own.quantization.zeroPoint, found.quantization.zeroPoint)


def test_a_task_is_added_below_what_is_there(first, tasks):
    patch = first.add("french", tasks["french"])
    assert patch.num_bytes < len(Bundle.build({"french": tasks["french"]}).image)
    second = first.patched(patch)
    assert second.names == ("english", "mandarin", "french")
    assert_same(second, tasks)
    (start, data), (place, table) = patch.writes
    assert first.image[start : start + len(data)] == b"\xff" * len(data)
    changed = {
        index
        for index, pair in enumerate(zip(first.image, second.image, strict=True))
        if len(set(pair)) > 1
    }
    assert changed <= {*range(start, start + len(data)), *range(place, place + len(table))}
    assert place != first.table.place


def test_a_task_is_replaced_removed_and_its_place_won_back(first, tasks):
    bundle = first.patched(
        first.replace("mandarin", DeviceTask(tasks["french"].model, tasks["mandarin"].labels))
    )
    found, expected = bundle.model("mandarin"), tasks["french"].model.data
    np.testing.assert_array_equal(answers(found), answers(expected))
    bundle = bundle.patched(bundle.remove("mandarin"))
    assert bundle.names == ("english",)
    assert_same(bundle, tasks)
    bundle = bundle.patched(bundle.add("mandarin", tasks["mandarin"]))
    assert_same(bundle, tasks)
    rebuilt = bundle.rebuilt()
    assert_same(rebuilt, tasks)
    assert len(rebuilt.image) == len(Bundle.build({n: tasks[n] for n in bundle.names}).image)


def test_a_write_that_is_cut_short_leaves_the_tasks_as_they_were(first, tasks):
    patch = first.add("french", tasks["french"])
    (start, data), (place, table) = patch.writes
    for count in range(0, len(data), 97):
        image = bytearray(first.image)
        image[start : start + count] = data[:count]
        cut = Bundle(bytes(image), find_table(bytes(image)))
        assert (cut.names, cut.broken) == (first.names, ())
        assert cut.patched(patch).image == patch.apply(first.image)
    for count in range(len(table)):
        image = bytearray(first.image)
        image[start : start + len(data)] = data
        image[place : place + count] = table[:count]
        cut = Bundle(bytes(image), find_table(bytes(image)))
        assert (cut.names, cut.broken) == (first.names, ())
    assert_same(cut, tasks)


def test_a_damaged_task_is_refused_and_the_others_work(tasks):
    bundle = Bundle.build(tasks)
    shared, *own = bundle.table.segments
    for name, segment in zip(bundle.names, own, strict=True):
        damaged = _flipped(bundle, segment.offset + segment.length // 2)
        assert damaged.broken == (name,)
        with pytest.raises(ExportError, match=f"'{name}' is damaged"):
            damaged.model(name)
        assert_same(damaged, tasks, set(bundle.names) - {name})
    assert _flipped(bundle, shared.offset).broken == bundle.names


def _flipped(bundle, at):
    image = bytearray(bundle.image)
    image[at] ^= 1
    return Bundle(bytes(image), find_table(bytes(image)))


def test_a_file_goes_to_disk_and_back(first, tmp_path):
    first.save(tmp_path / "bundle.bin")
    assert Bundle.load(tmp_path / "bundle.bin") == first


def test_a_patch_goes_to_disk_and_back(first, tasks, tmp_path):
    patch = first.add("french", tasks["french"])
    patch.save(tmp_path / "patch.bin")
    assert Patch.load(tmp_path / "patch.bin") == patch
    data = patch.to_bytes()
    for count in (0, 3, 20, len(data) // 2, len(data) - 1):
        with pytest.raises(ExportError, match="Expected a patch"):
            Patch.from_bytes(data[:count])


def test_a_patch_for_another_state_is_refused(first, tasks):
    patch = first.add("french", tasks["french"])
    for other in (first.patched(patch), Bundle.build(tasks, image_bytes=ROOM)):
        with pytest.raises(ExportError, match="another bundle"):
            other.patched(patch)


def test_what_cannot_be_done_is_refused(first, tasks):
    with pytest.raises(ValueError, match="at least one task"):
        Bundle.build({})
    with pytest.raises(ValueError, match="take .* bytes, and their table"):
        Bundle.build(tasks, image_bytes=8 * 1024)
    for sizes in ((ROOM + 1, 512), (ROOM, 48), (ROOM, 16)):
        with pytest.raises(ValueError, match="a multiple of 16, and"):
            Bundle.build(tasks, image_bytes=sizes[0], slot_bytes=sizes[1])
    for name, labels in (("", "ab"), ("x" * 33, "ab"), ("a\0b", "ab"), ("a", ["no", ""])):
        with pytest.raises(ValueError, match="name of a task|labels of a task"):
            Bundle.build({name: DeviceTask(tasks["english"].model, labels)})
    for change in (Bundle.build, lambda wrong: first.add(*wrong.popitem())):
        with pytest.raises(ValueError, match="'c' has 2 outputs. Received: 3 labels"):
            change({"c": DeviceTask(tasks["english"].model, "abc")})
    fixed = Bundle.build(tasks)
    for change in (fixed.remove, lambda name: fixed.replace(name, tasks[name])):
        with pytest.raises(ValueError, match="built without room"):
            change("french")
    with pytest.raises(ValueError, match="already"):
        first.add("english", tasks["english"])
    with pytest.raises(KeyError, match="No task 'french'"):
        first.model("french")
    with pytest.raises(ValueError, match="the only task"):
        first.patched(first.remove("english")).remove("mandarin")
    narrow = first.rebuilt(image_bytes=len(first.rebuilt().image) + 1024, slot_bytes=512)
    with pytest.raises(ValueError, match="bytes of its own"):
        narrow.add("french", tasks["french"])


def test_a_full_table_is_refused(tasks):
    bundle = Bundle.build({"a": tasks["english"]}, image_bytes=ROOM, slot_bytes=256)
    bundle = bundle.patched(bundle.add("b", tasks["english"]))
    with pytest.raises(ExportError, match="The table of 3 tasks"):
        bundle.add("c", tasks["english"])


@pytest.mark.parametrize("size", [0, 3, 30, 200, -1])
def test_an_image_that_is_cut_short_is_refused(size, tasks):
    image = Bundle.build(tasks).image
    with pytest.raises(ExportError, match="Expected a bundle"):
        Bundle.from_bytes(image[:size])


def hostile(table):
    """Tables whose checksums are right and whose contents aren't."""
    last, task = table.segments[-1], table.tasks[-1]
    yield {"segments": (*table.segments[:-1], dataclasses.replace(last, offset=2**32 - 8))}
    yield {"segments": (*table.segments[:-1], dataclasses.replace(last, length=2**32 - 1))}
    yield {"segments": (*table.segments, Segment(0, 64, 0))}
    yield {"segments": (*table.segments, last)}
    yield {"segments": ()}
    yield {"tasks": (*table.tasks, task)}
    yield {"tasks": (dataclasses.replace(task, root=2**31),)}
    yield {"tasks": (dataclasses.replace(task, labels=0),)}
    yield {"tasks": (dataclasses.replace(task, needs=frozenset({200})),)}
    yield {"slots": 7}
    yield {"image_bytes": 2**31}


def test_a_hostile_table_is_refused(first):
    table = first.table
    for changes in hostile(table):
        data = dataclasses.replace(table, slot_bytes=512, **changes).pack()
        image = data.ljust(512, b"\xff") + first.image[512:]
        assert image[: len(data)] == data != table.pack()
        with pytest.raises(ExportError, match="Expected a bundle"):
            find_table(image)
    assert first.image.startswith(table.pack())


def test_a_hostile_model_is_refused(first):
    entry, segments = first.table.tasks[0], first.table.segments
    number = max(entry.needs)
    segment = segments[number]
    garbage = b"\xf0\xff\xff\x7fTFL3".ljust(segment.length, b"\x01")
    image = bytearray(first.image)
    image[segment.offset : segment.offset + segment.length] = garbage
    changed = list(segments)
    changed[number] = dataclasses.replace(segment, checksum=zlib.crc32(garbage))
    table = dataclasses.replace(first.table, segments=tuple(changed)).pack()
    image[: len(table)] = table
    with pytest.raises(ExportError):
        Bundle.from_bytes(bytes(image))
