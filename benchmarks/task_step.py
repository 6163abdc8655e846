"""Seconds and peak memory of a step of each stage, against plain fine-tuning of the whole network.

Each variant has a process of its own, and they take turns, so that a change of the machine's load
hits all of them:

  python benchmarks/task_step.py --backbone=resnet50 --size=224 --batch_size=8
"""

import multiprocessing

from absl import app, flags

_BACKBONE = flags.DEFINE_string("backbone", "resnet50", "Name in `backbones.BUILDERS`.")
_SIZE = flags.DEFINE_integer("size", 224, "Height and width of the images.", lower_bound=8)
_CHANNELS = flags.DEFINE_integer("channels", 3, "Channels of the images.", lower_bound=1)
_BATCH_SIZE = flags.DEFINE_integer("batch_size", 8, "Examples a step.", lower_bound=1)
_COST = flags.DEFINE_float("cost", 0.1, "Target cost of the task models.")
_STEPS = flags.DEFINE_integer("steps", 2, "Steps a turn.", lower_bound=1)
_TURNS = flags.DEFINE_integer("turns", 5, "Turns of each variant.", lower_bound=1)

_CLASSES = 100
VARIANTS = ("fine-tuning", "super-net", "policy search", "task, random", "task, last layers")


def main(_):
    context = multiprocessing.get_context("spawn")
    workers = {}
    for name in VARIANTS:
        here, there = context.Pipe()
        shape = (_SIZE.value, _SIZE.value, _CHANNELS.value)
        settings = name, _BACKBONE.value, shape, _BATCH_SIZE.value, _COST.value, _STEPS.value
        context.Process(target=_serve, args=(there, *settings), daemon=True).start()
        workers[name] = here
        here.recv()  # It is built, and its step traced.
    seconds = {name: [] for name in workers}
    for _ in range(_TURNS.value):
        for name, worker in workers.items():
            worker.send("turn")
            seconds[name].append(worker.recv())
    peaks = {}
    for name, worker in workers.items():
        worker.send("peak")
        peaks[name] = worker.recv()
    plain = VARIANTS[0]
    print(f"{_BACKBONE.value}, {_SIZE.value} x {_SIZE.value}, batch {_BATCH_SIZE.value}, ", end="")
    print(f"c = {_COST.value:g}; seconds a step: median of {_TURNS.value} turns; peak of a step")
    for name in workers:
        # Of one turn each, so that the load of the machine is the same for both.
        ratios = sorted(a / b for a, b in zip(seconds[name], seconds[plain], strict=True))
        (start, peak), (plain_start, plain_peak) = peaks[name], peaks[plain]
        print(
            f"{name:<20} {_median(seconds[name]):8.3f} s  x {ratios[len(ratios) // 2]:.2f}"
            f"   {peak / 1e6:8,.0f} MB  x {peak / plain_peak:.2f}"
            f"   above the built model {(peak - start) / 1e6:8,.0f} MB"
            f"  x {(peak - start) / (plain_peak - plain_start):.2f}"
        )


def _median(values):
    return sorted(values)[len(values) // 2]


def _serve(pipe, name, backbone, shape, batch_size, cost, steps):
    """Trains a variant for a turn whenever it is asked to."""
    import time

    import keras
    import numpy as np
    import tensorflow as tf

    from swr_keras.jobs.peak_memory import forget_peak, peak_bytes

    keras.utils.set_random_seed(0)
    rng = np.random.default_rng(0)
    x = rng.normal(size=(batch_size, *shape)).astype("float32")
    y = rng.integers(0, _CLASSES, batch_size)
    data = tf.data.Dataset.from_tensors((x, y)).repeat()
    model = _built(name, backbone, shape, cost)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.SGD(1e-3, momentum=0.9), loss)
    forget_peak()
    built = peak_bytes()

    def turn():
        start = time.perf_counter()
        model.fit(data, steps_per_epoch=steps, verbose=0, shuffle=False)
        return (time.perf_counter() - start) / steps

    turn()
    pipe.send("ready")
    while pipe.recv() == "turn":
        pipe.send(turn())
    pipe.send((built, peak_bytes()))


def _built(name, backbone, shape, cost):
    import swr_keras as swr
    from swr_keras.backbones import BUILDERS
    from swr_keras.methods import LastLayersFirst, RandomPolicy

    base = BUILDERS[backbone](num_classes=_CLASSES, input_shape=shape)
    if name == "fine-tuning":
        return base
    if name in ("super-net", "policy search"):
        supernet = swr.SuperNet(base, num_classes=_CLASSES)
        return supernet if name == "super-net" else swr.PolicySearch(supernet)
    method = RandomPolicy() if name == "task, random" else LastLayersFirst()
    policy = method.choose(base, None, target_cost=cost)
    return method.build(base, policy, num_classes=_CLASSES)


if __name__ == "__main__":
    app.run(main)
