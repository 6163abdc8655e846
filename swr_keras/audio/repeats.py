"""The same audio in two splits or under two labels, by its samples."""

import hashlib
from collections.abc import Mapping, Sequence

import numpy as np

from swr_keras.messages import legible


class Repeats:
    """Compares the clips of a split with each other and with the splits seen before."""

    def __init__(self) -> None:
        self._seen: dict[str, dict[bytes, str]] = {}

    def find(
        self, split: str, names: Sequence[str], classes: Mapping[str, str], audio: np.ndarray
    ) -> dict[int, str]:
        """Returns by row what is wrong with a clip: it tells a test, or its label is in doubt.

        Copies under one label in one split are harmless, and so are clips without any sound.

        Args:
            split: Name of the split.
            names: Names of its clips.
            classes: Class by name.
            audio: Int16 `(clips, samples)`.
        """
        rows: dict[bytes, list[int]] = {}
        for row, clip in enumerate(audio):
            if (clip != clip[0]).any():
                content = hashlib.blake2b(clip.tobytes(), digest_size=16).digest()
                rows.setdefault(content, []).append(row)
        problems: dict[int, str] = {}
        for content, same in rows.items():
            problems |= _other_labels(same, names, classes)
            for other, seen in self._seen.items():
                if other != split and content in seen:
                    reason = f"the same audio as {legible(seen[content])} of the {other} split"
                    problems |= {row: f"{legible(names[row])}: {reason}." for row in same}
        self._seen[split] = {content: names[same[0]] for content, same in rows.items()}
        return problems


def _other_labels(
    same: Sequence[int], names: Sequence[str], classes: Mapping[str, str]
) -> dict[int, str]:
    problems = {}
    for row in same:
        others = [names[other] for other in same if classes[names[other]] != classes[names[row]]]
        if others:
            problems[row] = (
                f"{legible(names[row])}: the same audio as {legible(others[0])}, so one of the two "
                "is under a wrong word."
            )
    return problems
