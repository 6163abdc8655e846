"""The benchmark of images: what it is asked, and its tasks."""

import dataclasses
import functools
from collections.abc import Mapping
from pathlib import Path

import keras

from swr_keras import images
from swr_keras.backbones import BUILDERS, PUBLISHED
from swr_keras.backbones.applications import IMAGENET
from swr_keras.jobs.base import PublishedBase, weights_digest
from swr_keras.jobs.job import Job
from swr_keras.jobs.policies import readable
from swr_keras.recipes.benchmark_settings import BenchmarkSettings
from swr_keras.recipes.benchmark_source import KnownTask, Repetition
from swr_keras.recipes.settings import Settings, setting
from swr_keras.split_task import BASE

_LETTERS, _LETTERS_SIZE = ("greek", "cyrillic"), 32
_BASE_LETTERS = "latin"
_SIZE = 224
_OF_KERAS = "keras-"


@dataclasses.dataclass(frozen=True)
class ImageSets(Settings):
    """Which images the tasks are made of."""

    data_dir: str | None = setting(
        None,
        "Folder of the sets, each <set>/{train,test}/<class>/*. Default: pictures of letters, one "
        f"alphabet a set ({', '.join(images.LETTER_SETS)}), drawn on first use.",
    )
    sets: tuple[str, ...] | None = setting(
        None,
        "Names of the sets that are tasks, comma-separated. Default: the five of ImageNet-to-"
        f"Sketch ({', '.join(images.KNOWN_SETS)}); of letters {','.join(_LETTERS)}.",
    )
    base_set: str | None = setting(
        None,
        "Name of the set that bases are trained on, where no --weights are given. Default, of "
        f"letters: {_BASE_LETTERS}.",
    )
    weights: str | None = setting(
        None,
        "Weights of a pre-trained base: a file (.pth, .safetensors) that torchvision publishes for "
        f"it, or '{IMAGENET}' for those that Keras fetches for networks of its own; for "
        f"{', '.join(PUBLISHED)}. With --engine=ray, every computer needs the file at this path.",
    )
    image_size: int | None = setting(
        None,
        f"Height and width that networks see. Default: {_SIZE}; of letters {_LETTERS_SIZE}.",
        at_least=8,
    )
    unflipped: tuple[str, ...] = setting(
        (),
        "Sets whose images aren't mirrored in training, such as characters, comma-separated; "
        "letters never are.",
    )
    pair_by_order: bool = setting(
        False,
        "Whether classes that train and test call by other names are the same in sorted order.",
    )
    validation_share: float = setting(
        0.1, "Share of the training images of each class that selects, and doesn't train."
    )
    skip_unreadable: bool = setting(
        False, "Whether to leave out images that can't be used, and list them."
    )

    def __post_init__(self):
        super().__post_init__()
        if self.weights and self.base_set or (self.data_dir and not self._has_base):
            raise ValueError(
                "A base is trained on a set, `base_set`, or has `weights`. Received: "
                f"base_set={self.base_set!r}, weights={self.weights!r}."
            )
        if self.data_dir == "":
            raise ValueError("`data_dir` is empty. Name a folder, or leave it out for letters.")
        self._check_names()

    def _check_names(self):
        names = self.names
        files = {readable(name).casefold() for name in names}
        if len(files) < len(names) or not names or "" in files:
            raise ValueError(
                "`sets` needs one or more, each once and with letters or digits to name its files "
                f"by. Received: {names}."
            )
        if taken := [name for name in names if name in (BASE, self.base_name)]:
            raise ValueError(
                f"`sets` has {taken}, which is what bases are trained on. Received: sets={names}, "
                f"base_set={self.base_name!r}. Leave it out, or train bases on another one."
            )
        if unknown := sorted(set(self.unflipped) - {*names, self.base_name}):
            raise ValueError(
                f"`unflipped` has {unknown}, which are no sets of this benchmark. Received: "
                f"sets={names}, base_set={self.base_name!r}."
            )

    @property
    def _has_base(self):
        return bool(self.base_set or self.weights)

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the sets that are tasks."""
        if self.sets is not None:
            return self.sets
        return tuple(images.KNOWN_SETS) if self.data_dir else _LETTERS

    @property
    def base_name(self) -> str | None:
        """Name of the set that bases are trained on; `None` where they have weights."""
        return self.base_set or (None if self.weights else _BASE_LETTERS)

    @property
    def size(self) -> int:
        """Height and width that networks see."""
        return self.image_size or (_SIZE if self.data_dir else _LETTERS_SIZE)

    def folders(self) -> Mapping[str, Path]:
        """Returns the folders of all sets, tasks and base, by name.

        Raises:
            ValueError: If there is no such set of letters.
        """
        names = (*self.names, *([self.base_name] if self.base_name else []))
        if self.data_dir:
            return {name: Path(self.data_dir) / name for name in names}
        if unknown := sorted(set(names) - set(images.LETTER_SETS)):
            raise ValueError(
                f"There are no letters {unknown}. Choose among {', '.join(images.LETTER_SETS)}, or "
                "give `data_dir`."
            )
        drawn = images.letter_sets()
        return {name: drawn[name] for name in names}


@dataclasses.dataclass(frozen=True)
class ImageBenchmark(BenchmarkSettings):
    """What the benchmark of images is asked to do."""

    backbones: tuple[str, ...] = setting(
        ("resnet20-narrow",),
        f"Architectures of the bases, comma-separated: {', '.join(BUILDERS)}.",
    )
    output_dir: str = setting("runs/imagenet_to_sketch", "Folder for tables, figures and results.")
    image_sets: ImageSets = ImageSets()

    title = "Benchmark of transfer learning for images"

    def __post_init__(self):
        super().__post_init__()
        weights = self.image_sets.weights
        if weights and not set(self.backbones) <= set(PUBLISHED):
            raise ValueError(
                f"Weights are published for {', '.join(PUBLISHED)}. Received: weights={weights!r}, "
                f"backbones={self.backbones}."
            )
        fetched = [name for name in self.backbones if name.startswith(_OF_KERAS)]
        if weights == IMAGENET and len(fetched) < len(self.backbones):
            known = [name for name in PUBLISHED if name.startswith(_OF_KERAS)]
            raise ValueError(
                f"Keras fetches weights for {', '.join(known)}. Received: backbones="
                f"{self.backbones}. Give the file that torchvision publishes."
            )
        if weights not in (None, IMAGENET) and len(self.backbones) > 1:
            raise ValueError(
                f"A file of weights is of one backbone. Received: backbones={self.backbones}. Run "
                "the benchmark for each, the last one with --beside for one table."
            )

    def source(self, cache_dir: Path | None = None) -> "ImageSource":
        return ImageSource(self)

    def network(self, backbone: str, base_task: KnownTask) -> keras.Model:
        if self.image_sets.weights:
            return PUBLISHED[backbone](input_shape=base_task.input_shape)
        return super().network(backbone, base_task)

    def base_job(self, backbone: str, repetition: Repetition, base_task: KnownTask) -> Job:
        if not self.image_sets.weights:
            return super().base_job(backbone, repetition, base_task)
        height, width, channels = base_task.input_shape
        return PublishedBase(
            backbone=backbone,
            input_shape=(height, width, channels),
            weights=self.image_sets.weights,
            precision=self.base_training.precision,
            task=base_task.name,
            data=base_task.data,
            seed=0,  # Nothing in it is drawn.
        )


class ImageSource:
    """Reads the tasks of a benchmark, and keeps the one that it gave last.

    Args:
        settings: What the benchmark is asked.
    """

    def __init__(self, settings: ImageBenchmark):
        self._settings = settings
        self._known: dict[tuple[str, int], KnownTask] = {}
        self._last: tuple[str, images.ImageTask] | None = None

    def known(self, backbone: str, repetition: Repetition) -> tuple[KnownTask, list[KnownTask]]:
        """Reads a base's set and the tasks, see `TaskSource`.

        Raises:
            ValueError: See `images.load_task`.
        """
        sets = self._settings.image_sets
        # First, since they are soon missed, and images take long to read.
        weights = "" if sets.base_name else self._weights
        tasks = [self._look(name, repetition.seed) for name in sets.names]
        if sets.base_name is not None:
            return self._look(sets.base_name, repetition.seed), tasks
        base = KnownTask(
            name=BASE,
            labels=(),
            examples={},
            input_shape=tasks[0].input_shape,
            notes=(),
            data=weights,
        )
        return base, tasks

    def task(self, data: str) -> images.ImageTask:
        """Returns the task of a digest; for that of published weights, which need none, any.

        Raises:
            ValueError: If its images aren't what they were.
        """
        if self._last is None or self._last[0] != data:
            keys = {known.data: key for key, known in self._known.items()}
            name, seed = keys.get(data) or next(iter(self._known))
            task = self._read(name, seed)
            if data in keys and task.digest() != data:
                raise ValueError(
                    f"The images of '{name}' changed since the benchmark began. Run it again."
                )
            self._last = data, task
        return self._last[1]

    @functools.cached_property
    def _weights(self):
        return weights_digest(self._settings.image_sets.weights or "")

    def __getstate__(self):
        # Processes read for themselves what they need.
        return vars(self) | {"_last": None}

    def _look(self, name, seed):
        """Returns what is known of a set, which is read once for all seeds."""
        if (name, seed) not in self._known:
            task = self._read(name, seed)
            for each in self._settings.seeds:
                view = dataclasses.replace(task.view, seed=each)
                self._known[name, each] = KnownTask.of(dataclasses.replace(task, view=view))
        return self._known[name, seed]

    def _read(self, name, seed):
        sets = self._settings.image_sets
        view = images.benchmark_view(
            name,
            size=sets.size,
            flip=bool(sets.data_dir) and name not in sets.unflipped,
            seed=seed,
        )
        return images.load_task(
            sets.folders()[name],
            BASE if name == sets.base_name else name,
            view=view,
            validation_share=sets.validation_share,
            pair_by_order=sets.pair_by_order,
            skip_unreadable=sets.skip_unreadable,
        )
