"""Damages files by the thousand and counts how reading them ends.

Every file must be refused by a ValueError or read; anything else is a fault:

  python benchmarks/fuzz_files.py --count=3000
"""

import collections
import pathlib
import tempfile
import time

import keras
import numpy as np
from absl import app, flags

import swr_keras as swr
from swr_keras.export import LiteModel, convert_int8
from swr_keras.model_files import load_model, save_model
from swr_keras.policy.learned import LearnedPolicies

_COUNT = flags.DEFINE_integer("count", 1000, "Damaged files of each kind.", lower_bound=1)
_SEED = flags.DEFINE_integer("seed", 0, "Seed of the damage.")


def base() -> keras.Model:
    inputs = keras.Input((8, 8, 1))
    x = keras.layers.Conv2D(4, 3, use_bias=False, name="conv")(inputs)
    x = keras.layers.BatchNormalization(name="norm")(x)
    x = keras.layers.GlobalAveragePooling2D()(keras.layers.ReLU()(x))
    return keras.Model(inputs, keras.layers.Dense(3, name="head")(x))


def damaged(data: bytes, rng: np.random.Generator) -> bytes:
    """Flips bits, cuts, or replaces words as sizes and offsets are made of."""
    copy = bytearray(data)
    kind = rng.integers(4)
    if kind == 0:
        for place in rng.integers(0, len(copy), rng.integers(1, 9)):
            copy[place] ^= 1 << int(rng.integers(8))
    elif kind == 1:
        del copy[int(rng.integers(len(copy))) :]
    elif kind == 2:
        place = 4 * int(rng.integers(0, len(copy) // 4))
        word = int(rng.choice([0, 1, 2**16, 2**31 - 1, 2**32 - 1]))
        copy[place : place + 4] = word.to_bytes(4, "little")
    else:
        first, second = sorted(rng.integers(0, len(copy), 2).tolist())
        copy[first:second] = rng.bytes(min(second - first, 64))
    return bytes(copy)


def main(argv):
    model, folder = base(), pathlib.Path(tempfile.mkdtemp())
    kinds = ("pack", "policies", "policy.json", "model.keras", "int8.tflite")
    files = {kind: folder / kind for kind in kinds}
    swr.TaskModel(model, ["conv"]).pack().save(files["pack"])
    swr.PolicySearch(swr.SuperNet(model)).policies.save(files["policies"])
    save_model(model, files["model.keras"])
    examples = np.random.default_rng(0).normal(size=(32, 8, 8, 1)).astype("float32")
    files["policy.json"].write_text(swr.TaskModel(model, ["conv"]).policy.to_json())
    convert_int8(model, examples).save(files["int8.tflite"])
    readers = {
        "pack": swr.TaskPack.load,
        "policies": LearnedPolicies.load,
        "policy.json": lambda path: swr.Policy.from_json(path.read_text(errors="replace")),
        "model.keras": load_model,
        "int8.tflite": lambda path: LiteModel(path, engine="tflm").predict(examples[:1]),
    }
    for kind, path in files.items():
        print(kind, count(readers[kind], path.read_bytes(), folder / f"damaged-{kind}"), flush=True)


def count(read, data, path):
    rng, ends, slowest = np.random.default_rng(_SEED.value), collections.Counter(), 0.0
    for _ in range(_COUNT.value):
        path.write_bytes(damaged(data, rng))
        start = time.monotonic()
        try:
            read(path)
            ends["read"] += 1
        except ValueError:
            ends["refused"] += 1
        except Exception as error:
            ends[f"FAULT {type(error).__name__}: {str(error)[:80]}"] += 1
        slowest = max(slowest, time.monotonic() - start)
    return f"{dict(ends)}, slowest {slowest:.1f} s"


if __name__ == "__main__":
    app.run(main)
