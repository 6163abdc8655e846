"""The five sets of ImageNet-to-Sketch, and how many images they have."""

from typing import NamedTuple


class SetSize(NamedTuple):
    """Numbers of classes, training images and test images."""

    classes: int
    train: int
    test: int


KNOWN_SETS = {
    "cubs_cropped": SetSize(200, 5_994, 5_794),
    "stanford_cars_cropped": SetSize(196, 8_144, 8_041),
    "flowers": SetSize(102, 2_040, 6_149),
    "wikiart": SetSize(195, 42_129, 10_628),
    "sketches": SetSize(250, 16_000, 4_000),
}
"""Sizes of the benchmark's sets, by the names of their folders.

Source: github.com/arunmallya/piggyback for the folders, and arxiv.org/abs/1801.06519, Table 1.
"""


def differences(name: str, found: SetSize) -> str | None:
    """Returns in which numbers a set differs from the benchmark's of that name, `None` in none."""
    known = KNOWN_SETS.get(name)
    if known is None or known == found:
        return None
    parts = (
        f"{abs(have - want):,} {what} {'fewer' if have < want else 'more'} ({have:,} of {want:,})"
        for have, want, what in zip(
            found, known, ("classes", "training images", "test images"), strict=True
        )
        if have != want
    )
    return (
        f"The benchmark's set '{name}' is another one: this has {', '.join(parts)}. Results can't "
        "be compared with published ones."
    )
