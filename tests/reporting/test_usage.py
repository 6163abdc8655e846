"""The code of a report page that says how to use its files."""

import dataclasses
import html
import re
import shutil
import subprocess

import keras
import numpy as np
import pytest
from keras import layers

from swr_keras.audio import LogMel
from swr_keras.device import c_array, write_deployment
from swr_keras.export import LiteModel, convert_int8
from swr_keras.reporting import render_report


def snippets(run, **changes):
    """The Python and the C++ of a page that shows one int8 model."""
    int8 = next(result for result in run.results if result.kind == "int8")
    run = dataclasses.replace(run, results=(dataclasses.replace(int8, **changes),))
    text = render_report(run, title="One")
    return [html.unescape(block) for block in re.findall(r"<pre>(.*?)</pre>", text, re.DOTALL)]


def test_python_snippet_runs(run, tmp_path, monkeypatch, capsys):
    keras.utils.set_random_seed(0)
    pooling = [layers.AveragePooling2D(10), layers.Flatten(), layers.Dense(3)]
    model = keras.Sequential([keras.Input((101, 40, 1)), *pooling])
    rng = np.random.default_rng(0)
    clips = rng.normal(0, 0.1, (20, 16000)).astype("float32")
    data = convert_int8(model, LogMel()(clips).numpy())
    manifest = write_deployment(
        tmp_path,
        data,
        name="words",
        labels=["no", "yes", "go"],
        front_end=LogMel(),
        calibration_names=[],
    )
    python, _ = snippets(run, stem="words", manifest=manifest)
    monkeypatch.chdir(tmp_path)
    exec(python, {"clips": clips[:4]})
    expected = LiteModel(data).predict(LogMel()(clips[:4])).argmax(-1)
    assert capsys.readouterr().out.strip() == str([["no", "yes", "go"][i] for i in expected])


@pytest.mark.parametrize(
    ("operator", "method"),
    [
        ("CONV_2D", "AddConv2D"),
        ("ADD_N", "AddAddN"),
        ("L2_NORMALIZATION", "AddL2Normalization"),
        ("BATCH_MATMUL", "AddBatchMatMul"),
        ("CUMSUM", "AddCumSum"),
        ("PADV2", "AddPadV2"),
    ],
)
def test_operators_are_registered_by_the_methods_of_tflite_micro(operator, method, run):
    int8 = next(result for result in run.results if result.kind == "int8")
    manifest = {**int8.manifest, "operators": {operator: 1}}
    assert f"operators.{method}();" in snippets(run, manifest=manifest)[1]


@pytest.mark.parametrize("stem", ["it's", 'a"b', "a\\b", "天/模型"])
def test_python_snippet_quotes_paths(stem, run):
    python, _ = snippets(run, stem=stem)
    compile(python, "snippet", "exec")
    assert f"{f'{stem}.tflite'!r}" in python


_STUBS = {
    "tensorflow/lite/micro/micro_mutable_op_resolver.h": """
#pragma once
namespace tflite { template <unsigned N> struct MicroMutableOpResolver {
  int AddPad(); int AddConv2D(); int AddDepthwiseConv2D(); int AddMaxPool2D(); }; }
""",
    "tensorflow/lite/schema/schema_generated.h": """
#pragma once
namespace tflite { struct Model; const Model* GetModel(const void*); }
""",
    "tensorflow/lite/micro/micro_interpreter.h": """
#pragma once
#include <stddef.h>
#include <stdint.h>
enum TfLiteStatus { kTfLiteOk };
struct TfLiteTensor { struct { int8_t* int8; } data; };
namespace tflite { struct Model; struct MicroInterpreter {
  template <class R> MicroInterpreter(const Model*, const R&, uint8_t*, size_t);
  TfLiteStatus AllocateTensors(); TfLiteStatus Invoke();
  TfLiteTensor* input(int); TfLiteTensor* output(int); }; }
""",
}


@pytest.mark.parametrize("arena", [{"bytes_host_estimate": 91_408}, None])
def test_cpp_snippet_compiles(arena, run, tmp_path):
    if not shutil.which("g++"):
        pytest.skip("needs the compiler g++")
    int8 = next(result for result in run.results if result.kind == "int8")
    _, cpp = snippets(run, manifest={**int8.manifest, "arena": arena})
    header, _ = c_array(b"model", "model_int8")
    for name, text in {**_STUBS, "model_int8.h": header, "main.cc": cpp}.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    strict = ["-std=c++17", "-Wall", "-Wextra", "-Werror", "-fsyntax-only", "-I."]
    subprocess.run(["g++", *strict, "main.cc"], cwd=tmp_path, check=True)
