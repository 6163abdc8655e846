r"""All methods side by side: on the same recordings, backbones, epochs and seeds.

Trains a base for each backbone and seed, on the words of all folders or on others, adapts it to
each folder by each method, at each target cost where the method takes one, and writes tables and
figures:

  python -m swr_keras.recipes.benchmark --data_dir=english,mandarin \
      --methods=swr,fine_tuning_all,classifier_only,random_policy --target_cost=0.1,0.3

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
    from swr_keras.recipes.benchmark_keywords import KeywordBenchmark
    from swr_keras.recipes.benchmark_run import run

    return command.main(argv, KeywordBenchmark, __doc__, run)


if __name__ == "__main__":
    launch.prepare()
    sys.exit(main(sys.argv))
