import pytest

from swr_keras.device import Bundle, FlashBytes, deployment_sizes, to_c

pytest.importorskip("tflite_micro")


@pytest.fixture(scope="module")
def measured(tasks):
    bundle = Bundle.build(tasks, image_bytes=64 * 1024, slot_bytes=512)
    return bundle, deployment_sizes(bundle, to_c(bundle), {"french": 700})


def test_each_task_and_what_they_share(measured):
    bundle, sizes = measured
    sources = to_c(bundle).sizes
    assert sizes.tasks == {
        name: FlashBytes(
            len(bundle.extract(name)), bundle.own_bytes[name], sources.private_bytes[name]
        )
        for name in bundle.names
    }
    assert sizes.shared.file_bytes == 0
    assert sizes.total.c_bytes == sources.shared_bytes + sum(sources.private_bytes.values())
    assert sizes.total.bundle_bytes == len(bundle.image) - bundle.table.segments[-1].offset
    assert (sizes.image_bytes, sizes.table_bytes) == (65536, 1024)
    assert sizes.arena_bytes == sources.arena_bytes
    assert sizes.patches == {"french": 700}
    assert sizes.steps == to_c(bundle).steps
    assert sizes.shared_steps == to_c(bundle).shared_steps


def test_growth_is_what_the_first_tasks_take_alone(measured, tasks):
    _, sizes = measured
    files = [each.file_bytes for each in sizes.tasks.values()]
    assert len(sizes.growth) == len(tasks)
    for count, grown in enumerate(sizes.growth, 1):
        first = dict(list(tasks.items())[:count])
        assert grown.bundle_bytes == len(Bundle.build(first).image)
        assert grown.file_bytes == sum(files[:count])
    assert sizes.growth[-1].c_bytes == sizes.total.c_bytes


def test_a_further_task_takes_less_than_its_file(measured):
    first, *_, last = measured[1].growth
    for form in ("bundle_bytes", "c_bytes"):
        further = getattr(last, form) - getattr(first, form)
        assert 0 < further < (last.file_bytes - first.file_bytes) / 2
