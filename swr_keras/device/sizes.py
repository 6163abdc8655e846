"""What the tasks of a device take of its flash, as files, as a bundle and as C."""

import dataclasses
from collections.abc import Mapping

from swr_keras.device.bundle import Bundle, DeviceTask
from swr_keras.device.to_c import CSources, to_c
from swr_keras.export.flatbuffer import parse


@dataclasses.dataclass(frozen=True)
class FlashBytes:
    """Bytes of flash, without code, in each of the ways to put tasks there.

    Attributes:
        file_bytes: As `.tflite` files, one a task.
        bundle_bytes: As a bundle.
        c_bytes: As the constants of C sources.
    """

    file_bytes: int
    bundle_bytes: int
    c_bytes: int


@dataclasses.dataclass(frozen=True)
class DeploymentSizes:
    """What the tasks of a bundle take.

    Attributes:
        tasks: By name, what no other task needs.
        shared: What several need; files have nothing in common.
        growth: What the first task takes in all, the first two, and so on, where each is built
            with no other, and the bundle with its table and no room.
        table_bytes, image_bytes: Of the bundle, with its room.
        arena_bytes: RAM that the networks use in turn, in C.
        patches: Bytes of the patches, by the task that each adds.
        steps, shared_steps: How many steps each task has in C, and how many of the first of them
            `to_c` can keep as a trunk, by name.
    """

    tasks: Mapping[str, FlashBytes]
    shared: FlashBytes
    growth: tuple[FlashBytes, ...]
    table_bytes: int
    image_bytes: int
    arena_bytes: int
    patches: Mapping[str, int]
    steps: Mapping[str, int]
    shared_steps: Mapping[str, int]

    @property
    def total(self) -> FlashBytes:
        """All tasks with what they share, the table of the bundle aside."""
        parts = [*self.tasks.values(), self.shared]
        return FlashBytes(
            file_bytes=sum(part.file_bytes for part in parts),
            bundle_bytes=sum(part.bundle_bytes for part in parts),
            c_bytes=sum(part.c_bytes for part in parts),
        )


def deployment_sizes(
    bundle: Bundle, sources: CSources, patches: Mapping[str, int]
) -> DeploymentSizes:
    """Measures the tasks of a bundle.

    Args:
        bundle: The tasks, none of them damaged.
        sources: What `to_c` made of it.
        patches: Bytes of the patches, by the task that each adds.

    Raises:
        ExportError, ImportError: As for `to_c`.
    """
    files = {name: bundle.extract(name) for name in bundle.names}
    tasks = {name: DeviceTask(parse(files[name]), bundle.labels(name)) for name in bundle.names}
    own = bundle.own_bytes
    used = len(bundle.image) - bundle.table.segments[-1].offset
    return DeploymentSizes(
        tasks={
            name: FlashBytes(len(file), own[name], sources.sizes.private_bytes[name])
            for name, file in files.items()
        },
        shared=FlashBytes(0, used - sum(own.values()), sources.sizes.shared_bytes),
        growth=tuple(_all_of(list(tasks.items())[:count]) for count in range(1, len(tasks) + 1)),
        table_bytes=bundle.table.slots * bundle.table.slot_bytes,
        image_bytes=len(bundle.image),
        arena_bytes=sources.sizes.arena_bytes,
        patches=patches,
        steps=sources.steps,
        shared_steps=sources.shared_steps,
    )


def _all_of(tasks):
    constants = to_c(dict(tasks)).sizes
    return FlashBytes(
        file_bytes=sum(len(task.model.data) for _, task in tasks),
        bundle_bytes=len(Bundle.build(dict(tasks)).image),
        c_bytes=constants.shared_bytes + sum(constants.private_bytes.values()),
    )
