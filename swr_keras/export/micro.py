"""TFLite Micro's kernels, where they are installed."""

import importlib.util
from types import ModuleType

MISSING = (
    "TFLite Micro's kernels aren't installed. They come with the extra `swr-keras[micro]`, whose "
    "package exists for Linux on x86-64 alone; convert the model again there before it goes to a "
    "device."
)


def has_micro() -> bool:
    """Whether TFLite Micro's kernels are installed."""
    try:
        return importlib.util.find_spec("tflite_micro") is not None
    except ValueError:  # Hidden, as tests do.
        return False


def micro_runtime() -> ModuleType:
    """Returns the module that runs them.

    Raises:
        ImportError: If they aren't installed.
    """
    if not has_micro():
        raise ImportError(MISSING)
    from tflite_micro import runtime

    return runtime
