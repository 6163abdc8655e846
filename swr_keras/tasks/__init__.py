"""What a task keeps of its own, and the library of tasks on one base."""

from swr_keras.tasks.pack import TaskPack, fingerprint

__all__ = ["TaskPack", "fingerprint"]
