"""How to use what a run wrote: code for Python and for firmware."""

import math
from typing import Any

_PYTHON = """\
import json
from swr_keras.audio import {front_end}
from swr_keras.export import LiteModel

about = json.load(open({manifest!r}, encoding="utf-8"))
front_end = {front_end}(**about["front_end"]["parameters"])
model = LiteModel({model!r})
logits = model.predict(front_end(clips))  # float32 (clips, samples), -1 to 1
print([about["labels"][index] for index in logits.argmax(axis=-1)])
"""

_CPP = """\
#include <math.h>
#include <stdint.h>
#include "{name}.h"
#include "tensorflow/lite/micro/micro_interpreter.h"
#include "tensorflow/lite/micro/micro_mutable_op_resolver.h"
#include "tensorflow/lite/schema/schema_generated.h"

alignas(16) static uint8_t arena[{arena_bytes}];{arena_note}

// features: {input_size:,} values of the front end {front_end}, shape {shape}.
// Returns the class, or -1 if the arena is too small or an operator is missing.
int classify(const float* features) {{
  static tflite::MicroMutableOpResolver<{num_operators}> operators;
  static tflite::MicroInterpreter interpreter(
      tflite::GetModel(g_{name}), operators, arena, sizeof(arena));
  static bool ready = false;
  if (!ready) {{
{adders}
    if (interpreter.AllocateTensors() != kTfLiteOk) return -1;
    ready = true;
  }}
  int8_t* input = interpreter.input(0)->data.int8;
  for (int i = 0; i < {input_size}; ++i) {{
    float q = nearbyintf(features[i] / {scale!r}f) + {zero_point};
    input[i] = (int8_t)fminf(fmaxf(q, -128), 127);
  }}
  if (interpreter.Invoke() != kTfLiteOk) return -1;
  const int8_t* output = interpreter.output(0)->data.int8;
  int best = 0;
  for (int i = 1; i < {num_labels}; ++i) {{
    if (output[i] > output[best]) best = i;
  }}
  return best;  // {labels}
}}
"""
_IRREGULAR = {
    "BATCH_MATMUL": "BatchMatMul",
    "CUMSUM": "CumSum",
    "PADV2": "PadV2",
    "UNIDIRECTIONAL_SEQUENCE_LSTM": "UnidirectionalSequenceLSTM",
}
_ARENA_STEP_BYTES = 1024
_UNMEASURED_ARENA_BYTES = 128 * 1024
_UNMEASURED_NOTE = "  // A guess: raise it until AllocateTensors succeeds."


def python_snippet(stem: str, manifest: dict[str, Any]) -> str:
    """Returns Python that classifies clips with a bundle.

    Args:
        stem: Path of the bundle's files without their endings.
        manifest: Its manifest.
    """
    return _PYTHON.format(
        manifest=f"{stem}.json",
        model=f"{stem}.tflite",
        front_end=manifest["front_end"]["class"],
    )


def cpp_snippet(name: str, manifest: dict[str, Any]) -> str:
    """Returns a C++ function for TFLite Micro that classifies features with a bundle.

    Args:
        name: Name of the bundle.
        manifest: Its manifest.
    """
    measured = manifest["arena"]
    estimate = measured["bytes_host_estimate"] if measured else _UNMEASURED_ARENA_BYTES
    names = [_adder(operator) for operator in manifest["operators"]]
    labels = ", ".join(f"{index}: {label}" for index, label in enumerate(manifest["labels"]))
    return _CPP.format(
        name=name,
        arena_bytes=-(-estimate // _ARENA_STEP_BYTES) * _ARENA_STEP_BYTES,
        arena_note="" if measured else _UNMEASURED_NOTE,
        num_operators=len(names),
        adders="\n".join(f"    operators.Add{adder}();" for adder in names),
        input_size=math.prod(manifest["input"]["shape"]),
        front_end=manifest["front_end"]["class"],
        shape=tuple(manifest["input"]["shape"]),
        scale=float(manifest["input"]["scale"]),
        zero_point=manifest["input"]["zero_point"],
        num_labels=len(manifest["labels"]),
        labels=labels.replace("\n", " ").rstrip("\\"),
    )


def _adder(operator):
    parts = operator.split("_")
    regular = "".join(part if part[:1].isdigit() else part.capitalize() for part in parts)
    return _IRREGULAR.get(operator, regular)
