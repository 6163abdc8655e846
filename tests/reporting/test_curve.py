import dataclasses

import pytest

from swr_keras.reporting.curve import write_curve


@dataclasses.dataclass(frozen=True)
class Point:
    recall: float
    false_accepts_per_hour: float


POINTS = [Point(0.0, 0.0), Point(0.5, 0.0), Point(0.75, 2.0), Point(0.75, 40.0)]


@pytest.mark.parametrize(("name", "start"), [("a.png", b"\x89PNG"), ("a.svg", b"<?xml")])
def test_a_curve_is_drawn_for_each_task(name, start, tmp_path):
    write_curve(tmp_path / name, {"english": POINTS, "german": POINTS[:1]})
    assert (tmp_path / name).read_bytes().startswith(start)
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_an_svg_says_what_it_shows(tmp_path):
    write_curve(tmp_path / "a.svg", {"english": POINTS})
    text = (tmp_path / "a.svg").read_text()
    for shown in ("english", "recall", "false accepts per hour", "80%"):
        assert shown in text


def test_a_folder_that_is_missing_is_an_error(tmp_path):
    with pytest.raises(OSError):
        write_curve(tmp_path / "none" / "a.png", {"english": POINTS})
