"""Measures the input pipeline: decoding, the front ends, and whether training has to wait for them.

For each front end: clips per second of the front end alone and of augmented training batches,
beside the examples per second that a training step of BC-ResNet-1 takes from memory, and the ratio
of the latter two. Each is measured alone, with the whole machine to itself.

Example:
    python benchmarks/input_pipeline.py --data_dir speech_commands_v0.02
"""

import time

import keras
import numpy as np
import tensorflow as tf
from absl import app, flags

from swr_keras.audio import FRONT_ENDS, SpeechCommands, training_dataset
from swr_keras.backbones import bcresnet

FLAGS = flags.FLAGS
flags.DEFINE_string("data_dir", None, "Folder in Speech Commands layout.", required=True)
flags.DEFINE_multi_enum("front_end", list(FRONT_ENDS), list(FRONT_ENDS), "What to measure.")
flags.DEFINE_integer("batch_size", 100, "Clips a batch.", lower_bound=1)
flags.DEFINE_integer("epochs", 3, "Passes over the training split.", lower_bound=1)
flags.DEFINE_integer("steps", 20, "Training steps.", lower_bound=1)


def main(argv: list[str]) -> None:
    del argv
    commands = SpeechCommands(FLAGS.data_dir)
    start = time.perf_counter()
    split = commands.load("training")
    print(f"decoding: {len(split.labels) / (time.perf_counter() - start):,.0f} clips/s")
    print(f"{'':<16}{'alone':>10}{'pipeline':>10}{'step':>10}{'pipeline / step':>17}")
    step = _step_rate()
    for name in FLAGS.front_end:
        features = FRONT_ENDS[name](commands.sample_rate_hz)
        alone = _front_end_rate(features, commands.samples)
        pipeline = _pipeline_rate(features, split, commands.noise())
        print(f"{name:<16}{alone:>10,.0f}{pipeline:>10,.0f}{step:>10,.0f}{pipeline / step:>17.1f}")


def _front_end_rate(features, samples):
    audio = tf.random.uniform((FLAGS.batch_size, samples), -1.0, 1.0)
    compute = tf.function(features)
    return _rate(lambda: compute(audio).numpy(), FLAGS.batch_size, FLAGS.steps)


def _pipeline_rate(features, split, noise):
    dataset = training_dataset(
        split,
        noise,
        features,
        batch_size=FLAGS.batch_size,
        seed=0,
        silence_label=0,
        spec_augment_freq_width=7,
    )

    def epoch():
        for _ in dataset:
            pass

    return _rate(epoch, len(split.labels), FLAGS.epochs)


def _step_rate():
    model = bcresnet(1)
    model.compile("adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    inputs = np.random.default_rng(0).normal(size=(FLAGS.batch_size, *model.input_shape[1:]))
    batch = inputs.astype("float32"), np.zeros(FLAGS.batch_size, "int32")
    dataset = tf.data.Dataset.from_tensors(batch).repeat()

    def steps():
        model.fit(dataset, steps_per_epoch=FLAGS.steps, verbose=0, shuffle=False)

    return _rate(steps, FLAGS.steps * FLAGS.batch_size, 1)


def _rate(work, clips, times):
    """Clips per second of calling `work`, which does `clips`, after a first call."""
    work()
    start = time.perf_counter()
    for _ in range(times):
        work()
    return times * clips / (time.perf_counter() - start)


if __name__ == "__main__":
    app.run(main)
