r"""Keywords in a stream: what a bundle hears in recordings, or through a microphone.

Runs the int8 models of a bundle over WAV files, or folders of them, as a device would, and prints
what is detected when:

  python -m swr_keras.recipes.stream --bundle=runs/kws/bundle_c0_1_int8.bin kitchen.wav

The threshold can be chosen for a rate of false accepts. A long stream of validation clips at random
times in noise says which one keeps it, and one of test clips, what it is worth:

  python -m swr_keras.recipes.stream --bundle=runs/kws/bundle_c0_1_int8.bin \
      --false_accepts_per_hour=1 --curve=curve.png

The recordings, and how they are split, are those of the run, read from the settings.json beside the
bundle, unless --data_dir and the flags beside it name others.
"""

import sys
from collections.abc import Sequence

from swr_keras.recipes import launch


def main(argv: Sequence[str]) -> int:
    """Runs the command line, see `command.main`."""
    from swr_keras.recipes import command
    from swr_keras.recipes.stream_run import run
    from swr_keras.recipes.stream_settings import StreamSettings

    return command.main(argv, StreamSettings, __doc__, run, interrupted="Interrupted.")


if __name__ == "__main__":
    launch.prepare()
    sys.exit(main(sys.argv))
