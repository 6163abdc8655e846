"""Who may import whom, and what importing the package costs."""

import ast
import pathlib
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).parents[1]
PACKAGE = ROOT / "swr_keras"

_GROUND = ("files", "tensors", "graph", "splice", "model_files", "version")
_TRAINED = (*_GROUND, "layers", "policy", "tasks", "training")
MAY_IMPORT = {
    "version": (),
    "files": (),
    "messages": (),
    "split_task": (),
    "graph": (),
    "splice": ("graph",),
    "tensors": ("files",),
    "model_files": ("files", "graph"),
    "layers": ("graph", "splice"),
    "policy": ("files", "tensors"),
    "backbones": ("layers", "files"),
    "audio": ("files", "messages", "split_task", "tensors"),
    "images": ("files", "messages", "split_task"),
    "streaming": ("audio",),
    "accounting": ("layers", "policy", "graph"),
    "tasks": (*_GROUND, "layers", "policy"),
    "training": (*_GROUND, "layers", "policy", "tasks"),
    "methods": _TRAINED,
    "export": ("graph", "layers", "files", "version"),
    "device": ("export", "accounting", "files"),
    "jobs": (
        *(*_TRAINED, "methods", "accounting", "backbones"),
        *("export", "device"),
    ),
    "reporting": ("jobs", "accounting", "device", "files"),
}
"""What the parts of the package may import of it; recipes and the face may import everything."""

ONLY_IN = {
    "matplotlib": ("reporting",),
    "jinja2": ("reporting",),
    "absl": ("recipes",),
    "ray": ("jobs",),
    "PIL": ("images",),
    "soundfile": ("audio",),
    "soxr": ("audio",),
    "sounddevice": ("recipes",),
    "ai_edge_litert": ("export", "device"),
    "tflite_micro": ("export", "device"),
}
"""Where packages may be imported at the head of a module; inside functions, anywhere."""

UNIX_ONLY = ("fcntl", "grp", "pwd", "resource", "termios")


def imports(source):
    """Yields each module that a source imports, and whether it is at the head."""
    tree = ast.parse(source)
    head = set()
    for node in tree.body:
        head.update(map(id, ast.walk(node)) if not isinstance(node, ast.FunctionDef) else ())
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield alias.name, id(node) in head
        elif isinstance(node, ast.ImportFrom):
            names = [alias.name for alias in node.names] if node.module == "swr_keras" else [""]
            for name in names:
                yield f"{node.module}.{name}".rstrip("."), id(node) in head


def violations(part, source):
    """Lists what a module of a part of the package must not import."""
    found = []
    for module, at_head in imports(source):
        top, _, rest = module.partition(".")
        own = rest.partition(".")[0]
        if top == "swr_keras":
            allowed = MAY_IMPORT.get(part)
            if allowed is not None and own != part and own not in allowed:
                found.append(f"{part} imports {module}")
        elif at_head and top in UNIX_ONLY:
            found.append(f"{part} imports {module}, which Windows lacks")
        elif at_head and top in ONLY_IN and part not in ONLY_IN[top]:
            found.append(f"{part} imports {module}")
        elif module.startswith(("keras.src", "tensorflow.python")):
            found.append(f"{part} imports {module}, which is private")
    return found


def modules():
    for path in sorted(PACKAGE.rglob("*.py")):
        parts = path.relative_to(PACKAGE).with_suffix("").parts
        yield path, parts[0]


@pytest.mark.parametrize("path", [path for path, _ in modules()], ids=lambda p: p.stem)
def test_each_module_imports_what_it_may(path):
    part = path.relative_to(PACKAGE).with_suffix("").parts[0]
    assert not violations(part, path.read_text())


def test_every_part_has_a_rule():
    parts = {part for _, part in modules()} - {"__init__", "recipes"}
    assert parts <= MAY_IMPORT.keys()


@pytest.mark.parametrize(
    ("part", "source"),
    [
        ("layers", "from swr_keras.training.fit import Fit"),
        ("layers", "from swr_keras import training"),
        ("audio", "import swr_keras.images.task"),
        ("training", "def f():\n    from swr_keras.jobs import run"),
        ("export", "import matplotlib.pyplot as plt"),
        ("jobs", "import fcntl"),
        ("layers", "from keras.src.layers import Dense"),
    ],
)
def test_what_breaks_a_rule_is_found(part, source):
    assert violations(part, source)


def test_what_keeps_the_rules_is_not():
    assert not violations("layers", "import keras\nfrom swr_keras.graph import walk")
    assert not violations("backbones", "def f():\n    from ai_edge_litert import interpreter")
    assert not violations("export", "def f():\n    import resource")


def test_importing_the_package_loads_nothing_heavy():
    script = (
        "import sys, keras, tensorflow\n"
        "before = set(sys.modules)\n"
        "import swr_keras\n"
        "print(*sorted({name.partition('.')[0] for name in set(sys.modules) - before}))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, cwd=ROOT
    )
    loaded = set(done.stdout.split())
    assert "swr_keras" in loaded
    assert not loaded & {*ONLY_IN, "scipy", "swr_keras.jobs"}
