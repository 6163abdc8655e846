"""The folder that a run writes: one run at a time, one setting, and what is needed to go on."""

import contextlib
import fcntl
import hashlib
import json
import pathlib
import re
from collections.abc import Iterator
from typing import Any

from swr_keras.files import UNFINISHED, write_atomically

_SETTINGS = "settings.json"
_STATE = "state"


class RunFolder:
    """An output folder that is locked while a run writes it and remembers what the run was.

    Args:
        path: The folder; made if it doesn't exist.
        settings: JSON-able description of everything that the results depend on.

    Attributes:
        path: The folder.
        resumed: Whether an earlier run with the same settings stopped here.

    Raises:
        ValueError: If the path is a file, a folder of other origin, or was made with other
            settings; the differences are listed.
        OSError: If it can't be written.
    """

    def __init__(self, path: pathlib.Path, settings: dict[str, Any]):
        self.path = path
        self.settings = json.loads(json.dumps(settings))
        if path.exists() and not path.is_dir():
            raise ValueError(f"--output_dir '{path}' is a file. Choose another folder.")
        self.resumed = (path / _SETTINGS).is_file()
        if self.resumed:
            self._check_settings()
        elif path.exists() and any(not _is_own(entry) for entry in path.iterdir()):
            raise ValueError(
                f"--output_dir '{path}' exists already and holds files of no run. Choose another "
                "folder, or remove it."
            )

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Holds the folder for this process; the first time, writes its settings.

        Raises:
            ValueError: If another run holds it.
        """
        (self.path / _STATE).mkdir(parents=True, exist_ok=True)
        with (self.path / _STATE / "lock").open("w") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise ValueError(
                    f"Another run is writing --output_dir '{self.path}'. Wait for it, or choose "
                    "another folder."
                ) from None
            for unfinished in self.path.rglob(UNFINISHED):
                unfinished.unlink()
            if not self.resumed:
                content = json.dumps(self.settings, indent=1, ensure_ascii=False)
                write_atomically(self.path / _SETTINGS, content.encode())
            yield

    def state(self, stage: str) -> pathlib.Path:
        """Returns the path of the state of a stage, from which a later run goes on."""
        readable = re.sub(r"[^\w.]+", "-", stage)
        # Stages can look alike in letters and digits, such as those of tasks "की" and "का".
        digest = hashlib.sha256(stage.encode()).hexdigest()[:8]
        return self.path / _STATE / f"{readable}-{digest}.h5"

    def _check_settings(self):
        path = self.path / _SETTINGS
        try:
            earlier = json.loads(path.read_text())
        except json.JSONDecodeError as error:
            raise ValueError(f"'{path}' is damaged ({error}). Choose another folder.") from None
        differences = [
            f"  {name}: {earlier.get(name)} there, {self.settings.get(name)} now"
            for name in sorted({*earlier, *self.settings})
            if earlier.get(name) != self.settings.get(name)
        ]
        if differences:
            raise ValueError(
                f"--output_dir '{self.path}' holds a run with other settings:\n"
                + "\n".join(differences)
                + "\nRepeat these to go on with it, or choose another folder."
            )


def _is_own(entry):
    return entry.name == _STATE or entry.match(UNFINISHED)
