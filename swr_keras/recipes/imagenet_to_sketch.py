r"""ImageNet-to-Sketch: one visual base, many sets of images, all methods side by side.

Trains a base on one set of images, or takes one that was trained on ImageNet, adapts it to each of
the other sets by each method, at each target cost where the method takes one, and writes tables and
figures. Without any flag it draws its own images, letters of several alphabets:

  python -m swr_keras.recipes.imagenet_to_sketch

With the sets of the benchmark and torchvision's weights, as in the paper:

  python -m swr_keras.recipes.imagenet_to_sketch --flagfile=recipes/imagenet_to_sketch.flags \
      --data_dir=<folder of the sets> --weights=<resnet50-....pth>

Each training is a job that is done once: called again, or with more methods, costs or seeds, the
command does what is missing, and one that was stopped goes on. A job that fails stops those alone
that need it. --engine=ray sends the same jobs to a Ray cluster.

The folder gets report.html, tables.md, accuracy_per_byte_<backbone>.svg, results.jsonl with a line
for each job, and libraries/, in which SWR's tasks at each cost stand on one base.
"""

import sys
from collections.abc import Sequence

from swr_keras.recipes import launch


def main(argv: Sequence[str]) -> int:
    """Runs the command line, see `command.main`."""
    from swr_keras.recipes import command
    from swr_keras.recipes.benchmark_images import ImageBenchmark
    from swr_keras.recipes.benchmark_run import run

    return command.main(argv, ImageBenchmark, __doc__, run)


if __name__ == "__main__":
    launch.prepare()
    sys.exit(main(sys.argv))
