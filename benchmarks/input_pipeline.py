"""Measures the input pipeline: clips per second of decoding, of LogMel, and of training batches.

Example:
    python benchmarks/input_pipeline.py --data_dir speech_commands_v0.02
"""

import time

import tensorflow as tf
from absl import app, flags

from swr_keras.data import LogMel, SpeechCommands, training_dataset

FLAGS = flags.FLAGS
flags.DEFINE_string("data_dir", None, "Folder in Speech Commands layout.", required=True)
flags.DEFINE_integer("batch_size", 100, "Clips a batch.", lower_bound=1)
flags.DEFINE_integer("epochs", 3, "Passes over the training split.", lower_bound=1)


def main(argv: list[str]) -> None:
    del argv
    commands = SpeechCommands(FLAGS.data_dir)
    start = time.perf_counter()
    split = commands.load("training")
    _report("decoding", len(split.labels), start)

    features = LogMel(commands.sample_rate_hz)
    log_mel = tf.function(features)
    audio = tf.random.uniform((FLAGS.batch_size, commands.samples), -1.0, 1.0)
    log_mel(audio)
    repeats = max(1, FLAGS.epochs * len(split.labels) // FLAGS.batch_size)
    start = time.perf_counter()
    for _ in range(repeats):
        log_mel(audio).numpy()
    _report("LogMel", repeats * FLAGS.batch_size, start)

    dataset = training_dataset(
        split,
        commands.noise(),
        features,
        batch_size=FLAGS.batch_size,
        seed=0,
        silence_label=0,
        spec_augment_freq_width=7,
    )
    for _ in dataset:
        pass
    start = time.perf_counter()
    for _ in range(FLAGS.epochs):
        for _ in dataset:
            pass
    _report("training_dataset", FLAGS.epochs * len(split.labels), start)


def _report(name: str, clips: int, start: float) -> None:
    print(f"{name}: {clips / (time.perf_counter() - start):,.0f} clips/s")


if __name__ == "__main__":
    app.run(main)
