"""Tests of `swr_keras.device.c_array`."""

import shutil
import subprocess

import pytest

from swr_keras.device import c_array

DATA = bytes(range(256)) + b"\x00\xff"

_MAIN = """
#include <stdio.h>
#include "model.h"
#include "model.h"
int main(void) {
  unsigned int i;
  for (i = 0; i < g_model_len; ++i) printf("%02x", g_model[i]);
  printf(" %d", (int)((size_t)g_model % 16));
  return 0;
}
"""


@pytest.mark.parametrize(
    ("compiler", "standard", "suffix"),
    [("gcc", "c11", "c"), ("g++", "c++11", "cc"), ("g++", "c++20", "cc")],
)
def test_compiled_array_is_the_data(tmp_path, compiler, standard, suffix):
    if not shutil.which(compiler):
        pytest.skip(f"needs the compiler {compiler}")
    header, source = c_array(DATA, "model")
    (tmp_path / "model.h").write_text(header)
    (tmp_path / f"model.{suffix}").write_text(source)
    (tmp_path / f"main.{suffix}").write_text(_MAIN)
    strict = [f"-std={standard}", "-Wall", "-Wextra", "-Wpedantic", "-Werror"]
    files = [f"main.{suffix}", f"model.{suffix}"]
    subprocess.run([compiler, *strict, *files, "-o", "main"], cwd=tmp_path, check=True)
    done = subprocess.run([tmp_path / "main"], capture_output=True, check=True, text=True)
    assert done.stdout == f"{DATA.hex()} 0"


def test_c_source_links_from_cpp(tmp_path):
    if not (shutil.which("gcc") and shutil.which("g++")):
        pytest.skip("needs the compilers gcc and g++")
    header, source = c_array(DATA, "model")
    (tmp_path / "model.h").write_text(header)
    (tmp_path / "model.c").write_text(source)
    (tmp_path / "main.cc").write_text(_MAIN)
    subprocess.run(["gcc", "-c", "model.c"], cwd=tmp_path, check=True)
    subprocess.run(["g++", "main.cc", "model.o", "-o", "main"], cwd=tmp_path, check=True)
    done = subprocess.run([tmp_path / "main"], capture_output=True, check=True, text=True)
    assert done.stdout.startswith(DATA.hex())


def test_guards_differ_by_case():
    (lower, _), (upper, _) = c_array(DATA, "kws"), c_array(DATA, "KWS")
    assert lower.splitlines()[0] != upper.splitlines()[0]


@pytest.mark.parametrize("name", ["", "2words", "a-b", "a b", "mots_clés", "x;", "x\n"])
def test_bad_names_are_refused(name):
    with pytest.raises(ValueError, match="C identifier"):
        c_array(DATA, name)


def test_no_data_is_refused():
    with pytest.raises(ValueError, match="no empty arrays"):
        c_array(b"", "model")
