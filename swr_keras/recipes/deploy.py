r"""From a finished run to a device: bundle, C sources, sizes, and a check of both.

Puts the int8 models of a run, which share what their tasks don't change, into a folder:

  python -m swr_keras.recipes.deploy --run_dir=runs/kws

- bundle.bin, for TFLite Micro, with room for more tasks, and its manifest bundle.json;
- firmware/: the same as a C array, and with it, if the tasks hear by MicroFrontend, all that the
  keyword spotter of tflite/firmware is compiled with;
- c/: the same tasks as C11 without a runtime, with the audio front end and the reader of bundles;
- report.html: what all of it takes, by the number of tasks, and how accurate they are; sizes.json
  has the numbers.

Where qemu-system-arm and arm-none-eabi-gcc are installed, audio goes through front end and networks
on an emulated microcontroller, and every number is compared with Python's.

A task that was trained later on the same base (--base=runs/kws/base.keras) comes as a patch:

  python -m swr_keras.recipes.deploy --run_dir=runs/kws \
      --add=runs/french/french/c0.1/task.swr.safetensors
"""

import sys
from collections.abc import Sequence

from swr_keras.recipes import launch


def main(argv: Sequence[str]) -> int:
    """Runs the command line, see `command.main`."""
    from swr_keras.recipes import command
    from swr_keras.recipes.deploy_run import run
    from swr_keras.recipes.deploy_settings import DeploySettings

    return command.main(argv, DeploySettings, __doc__, run, interrupted="Interrupted.")


if __name__ == "__main__":
    launch.prepare()
    sys.exit(main(sys.argv))
