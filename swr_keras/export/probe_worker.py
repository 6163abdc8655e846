"""Reads a `.tflite` file from its input and runs it once on each engine that is installed.

Run as a program, without this package: whatever the file does happens to this process alone.
"""

import json
import sys

_MEMORY_BYTES = 4 * 2**30
_ARENA_BYTES = 64 * 2**20


def limit_memory():
    """Bounds the memory of this process, where the system can."""
    try:
        import resource
    except ImportError:
        return
    resource.setrlimit(resource.RLIMIT_AS, (_MEMORY_BYTES, _MEMORY_BYTES))


def problem_with(data):
    """Returns what is wrong with the file, or None."""
    from ai_edge_litert import schema_py_generated as schema
    from ai_edge_litert.interpreter import Interpreter, OpResolverType

    every = OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES
    try:
        Interpreter(model_content=data, experimental_op_resolver_type=every)
    except Exception as error:
        return f"LiteRT refuses them ({error})"
    try:
        schema.ModelT.InitFromObj(schema.Model.GetRootAs(data, 0))
    except Exception as error:
        return f"their tables can't be read ({type(error).__name__}: {error})"
    for resolver in (OpResolverType.BUILTIN_REF, every):
        try:
            run(Interpreter(model_content=data, experimental_op_resolver_type=resolver))
        except Exception:
            continue  # Refused without harm, as it will be in the other process, with the reason.
    try:
        from tflite_micro import runtime

        micro = runtime.Interpreter.from_bytes(data, arena_size=_ARENA_BYTES)
        micro.invoke()
    except Exception:
        return None  # Likewise.
    return None


def run(interpreter):
    """Computes with zeros as inputs."""
    import numpy as np

    interpreter.allocate_tensors()
    for details in interpreter.get_input_details():
        interpreter.set_tensor(details["index"], np.zeros(details["shape"], details["dtype"]))
    interpreter.invoke()


if __name__ == "__main__":
    limit_memory()
    try:
        found = problem_with(sys.stdin.buffer.read())
    except MemoryError:
        found = "they ask for too much memory"
    json.dump({"problem": found}, sys.stdout)
