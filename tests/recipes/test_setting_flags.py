import dataclasses
import json

import pytest
from absl import flags

from swr_keras.recipes.setting_flags import as_flat, from_flat, parse
from swr_keras.recipes.settings import Settings, setting


@dataclasses.dataclass(frozen=True)
class Size(Settings):
    width: int = setting(3, "How wide.", at_least=1)
    heights: tuple[float, ...] = setting((1.0, 2.0), "How high.")


@dataclasses.dataclass(frozen=True)
class Box(Settings):
    size: Size = Size()
    colour: str = setting("red", "Its colour.", choices=("red", "blue"))
    names: tuple[str, ...] | None = setting(None, "Its names.")
    weight: float | None = setting(None, "How heavy.", at_least=0)
    seed: int = setting(0, "A seed.")
    closed: bool = setting(True, "Whether it is closed.")


@dataclasses.dataclass(frozen=True)
class Other(Settings):
    seed: str = setting("x", "Another seed.")


def test_each_field_is_a_flag_with_its_default():
    assert parse(Box, ["box"]) == Box()
    found = parse(
        Box,
        [
            *("box", "--width=5", "--heights=0.5", "--colour=blue", "--names=a,b", "--weight=2"),
            *("--seed=7", "--noclosed"),
        ],
    )
    assert found == Box(Size(5, (0.5,)), "blue", ("a", "b"), 2.0, 7, False)


def test_they_are_flat_by_name_of_the_flag():
    assert as_flat(Box()) == {
        **{"width": 3, "heights": (1.0, 2.0), "colour": "red", "names": None, "weight": None},
        **{"seed": 0, "closed": True},
    }


def test_recipes_have_flags_of_their_own():
    assert parse(Other, ["other", "--seed=y"]).seed == "y"
    assert parse(Box, ["box", "--seed=2"]).seed == 2
    assert "seed" not in flags.FLAGS


def test_a_flagfile_is_read_and_what_stands_behind_it_wins(tmp_path):
    flagfile = tmp_path / "my.flags"
    flagfile.write_text("# a comment\n--width=5\n--colour=blue\n")
    assert parse(Box, ["box", f"--flagfile={flagfile}", "--width=6"]).size.width == 6


@pytest.mark.parametrize(
    ("argument", "message"),
    [
        ("--width=0", "`width` must be at least 1. Received: 0"),
        ("--width=wide", "wide"),
        ("--heights=1,high", "high"),
        ("--colour=green", "one of"),
        ("--names=a,caf\udce9", r"`names` must be text in UTF-8. Received: caf\\xe9"),
        ("--weight=-1", "`weight` must be at least 0"),
        ("--weight=nan", "must be finite"),
        ("--depth=1", "Unknown command line flag"),
        ("deep", "Unknown arguments"),
    ],
)
def test_impossible_values_are_refused(argument, message):
    with pytest.raises((flags.Error, ValueError), match=message):
        parse(Box, ["box", argument])


def test_settings_can_be_read_back_from_a_file():
    box = Box(Size(5, (0.5,)), "blue", ("a", "b"), 2.0, 7, False)
    assert from_flat(Box, json.loads(json.dumps(as_flat(box))), "it") == box
    assert from_flat(Box, {"width": 5, "unknown": 1}, "it") == Box(Size(5))


@pytest.mark.parametrize(
    ("flat", "message"),
    [
        ([], "it must be an object"),
        ({"width": "wide"}, r"it\['width'\] must be an integer. Received: 'wide'"),
        ({"names": "a"}, r"it\['names'\] must be a list"),
        ({"width": 0}, "at least 1"),
    ],
)
def test_what_is_no_file_of_settings_is_refused(flat, message):
    with pytest.raises(ValueError, match=message):
        from_flat(Box, flat, "it")


@dataclasses.dataclass(frozen=True)
class Letter(Settings):
    pages: tuple[str, ...] = setting((), "Its pages.", positional=True)
    closed: bool = setting(True, "Whether it is closed.")


@pytest.mark.parametrize(
    "arguments", [["a", "b", "--noclosed"], ["--noclosed", "a", "b"], ["a", "--noclosed", "b"]]
)
def test_arguments_without_a_flag_can_be_a_field(arguments):
    assert parse(Letter, ["letter", *arguments]) == Letter(("a", "b"), False)
    assert parse(Letter, ["letter"]) == Letter()
