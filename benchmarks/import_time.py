"""How long importing the package takes over importing Keras with TensorFlow.

Fresh processes in turn; medians in seconds:

  python benchmarks/import_time.py
"""

import statistics
import subprocess
import sys
import time

TURNS = 7
SOURCES = {"keras": "import keras, tensorflow", "swr_keras": "import keras, tensorflow, swr_keras"}


def seconds(source: str) -> float:
    start = time.monotonic()
    subprocess.run([sys.executable, "-c", source], check=True, stderr=subprocess.DEVNULL)
    return time.monotonic() - start


def main():
    found = {name: [] for name in SOURCES}
    for _ in range(TURNS):
        for name, source in SOURCES.items():
            found[name].append(seconds(source))
    medians = {name: statistics.median(values) for name, values in found.items()}
    print(f"keras with tensorflow  {medians['keras']:.2f} s")
    print(f"swr_keras on top       {medians['swr_keras'] - medians['keras']:.2f} s")


if __name__ == "__main__":
    main()
