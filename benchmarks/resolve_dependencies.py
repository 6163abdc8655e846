"""Whether every extra can be installed on each platform and Python, without installing anything.

Resolves the dependencies from the metadata of wheels alone (needs `uv`):

  python benchmarks/resolve_dependencies.py
"""

import itertools
import pathlib
import subprocess
import sys
import tomllib

ROOT = pathlib.Path(__file__).parents[1]
PLATFORMS = {
    "Linux x86-64": "x86_64-manylinux_2_40",
    "Linux Arm64": "aarch64-manylinux_2_40",
    "macOS Arm64": "aarch64-apple-darwin",
    "Windows x86-64": "x86_64-pc-windows-msvc",
}
PYTHONS = ("3.11", "3.12", "3.13")
# Needs TensorFlow 2.17, which has wheels for few.
APART = ("tensorflow-io",)


def resolve(extra: str | None, platform: str, python: str) -> str | None:
    """Returns why the dependencies can't be met, or None."""
    extras = ["--extra", extra] if extra else []
    done = subprocess.run(
        [
            *("uv", "pip", "compile", "pyproject.toml", "--quiet", "--no-header", "--no-annotate"),
            *("--python-platform", platform, "--python-version", python),
            *("--only-binary", ":all:", *extras),
        ],
        capture_output=True,
        text=True,
        cwd=ROOT,
    )
    return done.stderr.strip() if done.returncode else None


def main() -> int:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = [None, *(name for name in project["optional-dependencies"] if name not in APART)]
    failures = []
    for (name, platform), python in itertools.product(PLATFORMS.items(), PYTHONS):
        print(f"{name:<15} {python}", end="", flush=True)
        for extra in extras:
            problem = resolve(extra, platform, python)
            print(f"  {extra or 'core'}: {'no' if problem else 'yes'}", end="", flush=True)
            if problem:
                failures.append(f"{extra} on {name}, Python {python}:\n{problem}")
        print()
    print(*failures, sep="\n\n")
    return bool(failures)


if __name__ == "__main__":
    sys.exit(main())
