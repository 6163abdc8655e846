"""Measures the pipeline of images: whether the training of visual networks has to wait for them.

Images per second of augmented training batches, of pictures as large as ImageNet's (500 x 375
pixels, JPEG) decoded each epoch, of the same scaled and kept in memory, and of 32 x 32 pixels in
memory, beside the images per second that a training step takes from memory: ResNet-50's at 224 x
224, and, at 32 x 32, that of a MobileNetV2 of the least width. Each is measured alone, once by the
clock and once by the processor time of all threads, which other work on the machine hardly touches:

  python benchmarks/image_pipeline.py
"""

import pathlib
import tempfile
import time

import keras
import numpy as np
import tensorflow as tf
from absl import app, flags
from PIL import Image

from swr_keras.images import benchmark_view, load_task

FLAGS = flags.FLAGS
flags.DEFINE_integer("images", 256, "Pictures of each size.", lower_bound=64)
flags.DEFINE_integer("batch_size", 32, "Images a batch.", lower_bound=1)
flags.DEFINE_integer("batches", 20, "Batches to measure.", lower_bound=1)
flags.DEFINE_integer("steps", 3, "Training steps to measure.", lower_bound=1)

_CLASSES = 4


def main(argv: list[str]) -> None:
    del argv
    print(f"{'images/s':<28}{'by the clock':>14}{'by processor time':>20}")
    with tempfile.TemporaryDirectory() as root:
        photos = _write(pathlib.Path(root) / "photos", (500, 375))
        small = _write(pathlib.Path(root) / "small", (32, 32))
        view, small_view = benchmark_view("photos"), benchmark_view("small", size=32)
        _show("224, decoded each epoch", _pipeline(load_task(photos, view=view, most_bytes=0)))
        _show("224, in memory", _pipeline(load_task(photos, view=view)))
        _show("32, in memory", _pipeline(load_task(small, view=small_view)))
    _show("224, step of ResNet-50", _step(keras.applications.ResNet50, 224))
    _show("32, step of MobileNetV2 0.35", _step(keras.applications.MobileNetV2, 32, alpha=0.35))


def _write(folder, size):
    """Writes a set of smooth pictures with a grain, whose files are as large as photographs."""
    rng = np.random.default_rng(0)
    for part, count in (("train", FLAGS.images), ("test", _CLASSES)):
        for number in range(count):
            path = folder / part / str(number % _CLASSES) / f"{number}.jpg"
            path.parent.mkdir(parents=True, exist_ok=True)
            coarse = Image.fromarray(rng.integers(0, 256, (12, 16, 3)).astype(np.uint8))
            picture = np.asarray(coarse.resize(size, Image.Resampling.BICUBIC)).astype(int)
            grain = rng.normal(0, 12, picture.shape)
            noisy = np.clip(picture + grain, 0, 255).astype(np.uint8)
            Image.fromarray(noisy).save(path, quality=90)
    return folder


def _pipeline(task):
    batches = iter(task.training(FLAGS.batch_size))
    return _rates(lambda: next(batches), FLAGS.batches)


def _step(network, size, **options):
    model = network(weights=None, classes=100, input_shape=(size, size, 3), **options)
    model.compile("sgd", "sparse_categorical_crossentropy")
    inputs = np.zeros((FLAGS.batch_size, size, size, 3), "float32")
    batch = tf.constant(inputs), tf.zeros(FLAGS.batch_size, tf.int32)
    return _rates(lambda: model.train_on_batch(*batch), FLAGS.steps)


def _rates(work, times):
    """Images per second of a call that makes a batch, after a first one."""
    work()
    clock, processor = time.perf_counter(), time.process_time()
    for _ in range(times):
        work()
    images = times * FLAGS.batch_size
    return images / (time.perf_counter() - clock), images / (time.process_time() - processor)


def _show(name, rates):
    print(f"{name:<28}{rates[0]:>14,.0f}{rates[1]:>20,.0f}", flush=True)


if __name__ == "__main__":
    app.run(main)
