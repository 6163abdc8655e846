"""What the deploying recipe is asked to do."""

import dataclasses

from swr_keras.recipes.settings import Settings, setting

CPUS = ("cortex-m3", "cortex-m4", "cortex-m55")


@dataclasses.dataclass(frozen=True)
class DeploySettings(Settings):
    """All that the recipe is asked to do; each field is a flag."""

    run_dir: str = setting("", "Folder of a finished run.")
    target_cost: float | None = setting(
        None, "Which of the run's costs. Default: the only one.", at_least=0
    )
    output_dir: str | None = setting(
        None, "Folder to write. Default: 'deploy_' and the bundle's name, in that of the run."
    )
    add: tuple[str, ...] = setting(
        (),
        "Task packs, or int8 models, of further runs on the same base, comma-separated, each to be "
        "added by a patch; <name>=<file> names the task, else the folder of it in its run does.",
    )
    image_bytes: int = setting(
        131072, "Bytes of flash for the bundle, with what may be added later.", at_least=1
    )
    slot_bytes: int = setting(4096, "Bytes that the flash erases at once.", at_least=1)
    keep_trunk: bool = setting(
        False,
        "Whether tasks can listen at once in C, with what all of them share computed once, see "
        "swr_program.h; takes more RAM. Tasks trained with --first_layer share most.",
    )
    cpu: str = setting(
        "cortex-m4", "What the emulated check runs on, where its tools are there.", choices=CPUS
    )

    def __post_init__(self):
        super().__post_init__()
        if not self.run_dir:
            raise ValueError("Name the folder of a finished run: --run_dir=runs/kws.")
