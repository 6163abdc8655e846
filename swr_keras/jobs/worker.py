"""What every process that does jobs for another one begins with."""

import logging
import multiprocessing
import os
import signal
import threading

import tensorflow as tf

MOST_JOBS = 10
"""Of a process, since TensorFlow keeps the graphs of all that was trained in one."""


def enter_worker(threads: int) -> None:
    """Prepares a process for jobs: it ends with the one that made it, whatever ends that.

    Args:
        threads: As for `prepare_process`.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    prepare_process(threads)


def prepare_process(threads: int) -> None:
    """Gives the process so many threads, and TensorFlow less to say."""
    logging.getLogger("tensorflow").setLevel(logging.ERROR)
    tf.config.threading.set_intra_op_parallelism_threads(threads)


def _end_with_parent():
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
