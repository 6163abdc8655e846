"""One base, many tasks."""

import os
import pathlib
import re
import unicodedata

import keras

from swr_keras.layers.conversion import merge
from swr_keras.model_files import load_model, save_model
from swr_keras.tasks.pack import TaskPack, fingerprint

_MOST_NAME_BYTES = 120
_SUFFIX = ".swr.safetensors"


class TaskLibrary:
    """The packs of several tasks on one base, by name.

    Args:
        base: The built base that all packs were made on; it is not touched.
    """

    def __init__(self, base: keras.Model):
        self.base = base
        self._fingerprint = fingerprint(base)
        self._packs: dict[str, TaskPack] = {}

    def __len__(self):
        return len(self._packs)

    def __iter__(self):
        return iter(self._packs)

    def __getitem__(self, name: str) -> TaskPack:
        if name not in self._packs:
            raise KeyError(f"No task '{name}' in this library. It has {list(self._packs)}.")
        return self._packs[name]

    def add(self, name: str, pack: TaskPack):
        """Adds a task.

        Raises:
            ValueError: If the name is taken or unfit for a file name, or if the pack was made on
                another base.
        """
        if not re.fullmatch(r"\w[\w.-]*", name) or len(name.encode()) > _MOST_NAME_BYTES:
            raise ValueError(
                "The name of a task is made of letters, digits, '_', '-' and '.', and has up to "
                f"{_MOST_NAME_BYTES} bytes, since a file is named by it. Received: {name!r:.120}."
            )
        for other in self._packs:
            if _same_file(name, other):
                raise ValueError(
                    f"The library has a task '{other}' already, whose file has the same name on "
                    f"some systems. Received: {name!r}. Choose another name."
                )
        if pack.base_fingerprint != self._fingerprint:
            raise ValueError(
                f"Task '{name}' was made on another base: it expects the fingerprint "
                f"{pack.base_fingerprint[:12]}, '{self.base.name}' has {self._fingerprint[:12]}."
            )
        self._packs[name] = pack

    def merged(self, name: str) -> keras.Model:
        """Returns a task's model as a new plain Keras model.

        Raises:
            KeyError: If there is no such task.
        """
        return merge(self[name].on(self.base))

    @property
    def num_bytes(self) -> int:
        """Bytes of the base's weights and of all packs."""
        return _model_bytes(self.base) + sum(pack.num_bytes for pack in self._packs.values())

    def __str__(self) -> str:
        base, copies = _model_bytes(self.base), len(self) * _model_bytes(self.base)
        lines = [f"{'':<20}  {'bytes':>12}  {'cost':>6}", f"{'base':<20}  {base:>12,}"]
        lines += [
            f"{name:<20}  {pack.num_bytes:>12,}  {pack.policy.achieved_cost:>6.3f}"
            for name, pack in self._packs.items()
        ]
        lines.append(f"{'total':<20}  {self.num_bytes:>12,}")
        lines.append(f"{f'{len(self)} full copies':<20}  {copies:>12,}")
        return "\n".join(lines)

    def save(self, folder: str | os.PathLike):
        """Writes `base.keras` and a `<name>.swr.safetensors` a task into a folder, made if needed.

        Raises:
            ValueError: If the folder has packs of other tasks, which `load` would take for tasks
                of this library. Nothing is written.
        """
        folder = pathlib.Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        others = sorted(packs_in(folder).keys() - self._packs.keys())
        if others:
            raise ValueError(
                f"'{folder}' has packs of tasks that aren't in this library: {others}. Save to "
                f"another folder, or remove their '{_SUFFIX}' files."
            )
        save_model(self.base, folder / "base.keras")
        for name, pack in self._packs.items():
            pack.save(folder / f"{name}{_SUFFIX}")

    @classmethod
    def load(cls, folder: str | os.PathLike) -> "TaskLibrary":
        """Reads what `save` wrote.

        Raises:
            FileNotFoundError: If the folder has no `base.keras`.
            ValueError: If base or a pack is damaged, or a pack was made on another base.
        """
        folder = pathlib.Path(folder)
        if not os.path.lexists(folder / "base.keras"):
            raise FileNotFoundError(f"'{folder}' is no task library: it has no 'base.keras'.")
        library = cls(load_model(folder / "base.keras"))
        for name, path in packs_in(folder).items():
            library.add(name, TaskPack.load(path))
        return library


def _same_file(name, other):
    return unicodedata.normalize("NFKC", name).casefold() == (
        unicodedata.normalize("NFKC", other).casefold()
    )


def packs_in(folder: pathlib.Path) -> dict[str, pathlib.Path]:
    """Returns the files of packs in the folder of a library, by the name of the task."""
    paths = sorted(folder.glob(f"[!.]*{_SUFFIX}"))
    return {path.name.removesuffix(_SUFFIX): path for path in paths}


def _model_bytes(model):
    return sum(variable.numpy().nbytes for variable in model.weights)
