"""Programs on emulated microcontrollers, among them those of `tflite`."""

import pathlib
import shutil

import numpy as np
import pytest

from swr_keras.device import c_array
from swr_keras.device.emulator import Emulator, EmulatorError

TFLITE = pathlib.Path(__file__).parents[2] / "tflite"
CPUS = ["cortex-m3", "cortex-m4", "cortex-m55"]
TOOLS = ["qemu-system-arm", "arm-none-eabi-gcc"]
MISSING = [tool for tool in TOOLS if not shutil.which(tool)]

needs_tools = pytest.mark.skipif(bool(MISSING), reason=f"needs {' and '.join(MISSING)}")


@pytest.fixture
def program(tmp_path):
    """Writes the body of a `main` to a file."""

    def write(body, before=""):
        path = tmp_path / "main.c"
        head = "#include <stdio.h>\n#include <string.h>\n#include <swr_emulator.h>\n"
        path.write_text(f"{head}{before}\nint main(void) {{\n{body}\nreturn 0;\n}}\n")
        return path

    return write


@needs_tools
@pytest.mark.parametrize("cpu", CPUS)
def test_a_program_prints_and_is_measured(program, cpu):
    variables = "const char text[500] = {1}; int set[30] = {7}; char unset[4000];"
    body = 'for (int i = 0; i < 3; ++i) printf("%d\\n", i + text[0] + set[0] + unset[9]);'
    result = Emulator(cpu).run([program(body, variables)])
    assert result.text == "8\n9\n10\n"
    (own,) = result.objects.values()
    assert 500 < own.text_bytes < 1000
    assert (own.data_bytes, own.bss_bytes) == (120, 4000)
    assert result.program.text_bytes > own.text_bytes
    assert result.program.data_bytes >= 120
    assert 4000 <= result.program.bss_bytes < 8000
    assert 100 < result.stack_bytes < 4000


@needs_tools
@pytest.mark.parametrize("cpu", CPUS)
def test_instructions_are_counted_and_the_same_in_every_run(program, cpu):
    body = """
      uint64_t before = swr_instructions();
      for (volatile int i = 0; i < 10000; ++i) {}
      printf("%u", (unsigned)(swr_instructions() - before));"""
    first, second = (Emulator(cpu).run([program(body)]) for _ in range(2))
    assert first == second
    counted = int(first.text)
    assert 30000 < counted < 80000
    assert counted < first.instructions < counted + 20000


@needs_tools
def test_the_stack_and_the_heap_are_measured(program):
    before = "#include <stdlib.h>\nvoid *volatile kept;"
    body = "char used[{}]; memset(used, 1, sizeof used); kept = used; kept = malloc({});"
    small, large = (Emulator("cortex-m4").run([program(body.format(*sizes), before)])
                    for sizes in ((1000, 100), (9000, 20100)))  # fmt: skip
    assert 7900 <= large.stack_bytes - small.stack_bytes <= 8100
    assert 19000 <= large.heap_bytes - small.heap_bytes <= 21000
    assert Emulator("cortex-m4").run([program("")]).heap_bytes == 0


@needs_tools
def test_folders_macros_and_files(program, tmp_path):
    for folder, number in (("one", 1), ("two", 2)):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / f"{folder}.h").write_text(f"int {folder}(void);\n")
        same = f'#include "{folder}.h"\nint {folder}(void) {{ return {number}; }}\n'
        (tmp_path / folder / "same.c").write_text(same)
    body = """
      unsigned char data[300];
      long bytes = swr_read_file("input", data, sizeof data);
      printf("%d%d%d %ld %d %ld", one(), two(), THREE, bytes, data[bytes - 1],
             swr_read_file("none", data, 1));"""
    main = program(body, '#include "one.h"\n#include "two.h"')
    result = Emulator("cortex-m3").run(
        [tmp_path / "one", tmp_path / "two" / "same.c", main],
        include=[tmp_path / "two"],
        defines={"THREE": 3},
        files={"input": bytes(range(200))},
    )
    assert result.text == "123 200 199 -1"
    assert set(result.objects) == {"one/same.c", "two/same.c", f"{main.parent.name}/main.c"}


FAULTS = {
    "undefined instruction": ("__builtin_trap();", CPUS),
    "nothing there": ("*(volatile int *)0x1ff00000 = 1;", CPUS),
    "no memory": ("*(volatile int *)0x90000000 = 1;", ["cortex-m3", "cortex-m4"]),
    "flash": ("*(volatile int *)&constant = 1;", ["cortex-m3", "cortex-m4"]),
}


@needs_tools
@pytest.mark.parametrize(
    ("body", "cpu"),
    [
        pytest.param(body, cpu, id=f"{name}, {cpu}")
        for name, (body, cpus) in FAULTS.items()
        for cpu in cpus
    ],
)
def test_a_fault_is_reported(program, body, cpu):
    before = f"const int constant = 5;\n__attribute__((noinline)) void wrong(void) {{ {body} }}"
    with pytest.raises(EmulatorError, match=r"hard fault in 'wrong' \(main\.c:\d+\)") as caught:
        Emulator(cpu).run([program('printf("so far\\n"); wrong();', before)])
    assert caught.value.output == b"so far\n"


@needs_tools
@pytest.mark.parametrize("cpu", CPUS)
def test_a_full_stack_is_reported(program, cpu):
    before = """
      int deep(int n);
      int deep(int n) { volatile int kept[100]; kept[5] = n; return n ? deep(n - 1) + kept[5] : 0; }
    """
    main = program('printf("%d", deep(60));', before)
    assert Emulator(cpu, stack_bytes=64 * 1024).run([main]).text == "1830"
    with pytest.raises(EmulatorError, match="hard fault: its stack of 4096 bytes is full"):
        Emulator(cpu, stack_bytes=4096).run([main])


@needs_tools
def test_a_program_that_does_not_end_is_stopped(program):
    main = program('printf("so far\\n"); for (volatile int i = 0;; ++i) {}')
    with pytest.raises(EmulatorError, match=r"didn't end within 1\.5 s") as caught:
        Emulator("cortex-m4", timeout_seconds=1.5).run([main])
    assert caught.value.output == b"so far\n"


@needs_tools
@pytest.mark.parametrize(
    ("body", "status"), [("return 3;", 3), ("exit(-1);", r"\d+"), ("abort();", r"\d+")]
)
def test_another_status_is_an_error(program, body, status):
    main = program(f'printf("so far\\n"); {body}', "#include <stdlib.h>")
    with pytest.raises(EmulatorError, match=f"ended with status {status}.*so far"):
        Emulator("cortex-m4").run([main])


@needs_tools
@pytest.mark.parametrize(
    ("body", "reason"),
    [("int x = ;", "expected expression"), ("absent();", "undefined reference")],
)
def test_a_program_that_can_not_be_built_is_refused(program, body, reason):
    with pytest.raises(EmulatorError, match=f"refuses the program(.|\n)*{reason}"):
        Emulator("cortex-m4").run([program(body, "void absent(void);")])


@needs_tools
def test_what_can_not_be_run_is_refused(program, tmp_path):
    emulator = Emulator("cortex-m4")
    with pytest.raises(ValueError, match="needs sources"):
        emulator.run([tmp_path])
    with pytest.raises(FileNotFoundError, match=r"absent\.c"):
        emulator.run([tmp_path / "absent.c"])
    for name in ("../input", "/input", "a/b", "", ".", "..", "report", "output"):
        with pytest.raises(ValueError, match="plain name"):
            emulator.run([program("")], files={name: b"1"})


def test_an_unknown_processor_is_refused():
    with pytest.raises(ValueError, match=r"cortex-m3, cortex-m4, cortex-m55.*'cortex-m0'"):
        Emulator("cortex-m0")


@pytest.mark.parametrize("tool", TOOLS)
def test_a_missing_tool_is_named_with_how_to_install_it(program, tmp_path, monkeypatch, tool):
    folder = tmp_path / "bin"
    folder.mkdir()
    for other in set(TOOLS) - {tool}:
        (folder / other).touch(mode=0o755)
    monkeypatch.setenv("PATH", str(folder))
    with pytest.raises(EmulatorError, match=f"'{tool}' isn't installed.*apt-get install .*qemu"):
        Emulator("cortex-m4").run([program("")])


FRONTEND = """
  static int16_t pcm[32000];
  long bytes = swr_read_file("pcm", pcm, sizeof pcm);
  static SwrFrontend frontend;
  static int8_t window[50 * SWR_FRONTEND_CHANNELS];
  static int8_t input[50 * SWR_FRONTEND_CHANNELS];
  uint16_t features[SWR_FRONTEND_CHANNELS];
  SwrFrames frames;
  SwrInputScale scale;
  const int16_t *at = pcm;
  size_t count = (size_t)bytes / 2;
  swr_frontend_reset(&frontend);
  if (!swr_input_scale(&scale, 0.1f, -128)) return 1;
  swr_frames_start(&frames, window, 50, &scale);
  while (swr_frontend_push(&frontend, &at, &count, features)) {
    swr_frames_add(&frames, features);
    for (int i = 0; i < SWR_FRONTEND_CHANNELS; ++i) printf("%d ", features[i]);
  }
  if (!swr_frames_read(&frames, &scale, input)) return 2;
  for (size_t i = 0; i < sizeof input; ++i) printf("%d ", input[i]);
"""


@needs_tools
@pytest.mark.parametrize("cpu", CPUS)
@pytest.mark.parametrize("optimize", ["-O2", "-Os", "-O3"])
def test_the_front_end_gives_the_features_of_python(program, micro_features, cpu, optimize):
    random = np.random.default_rng(0)
    t = np.arange(3200)
    kinds = [
        *(random.normal(size=len(t)) * level for level in (2, 500, 40000)),
        *(32767 * np.sin(0.3 * t), np.where(t % 777 == 0, -32768, 0)),
        *(random.choice([-32768, 32767], len(t)), 0 * t, random.normal(size=len(t)) * 3000),
    ]
    pcm = np.clip(np.rint(np.concatenate(kinds)), -32768, 32767).astype("<i2")
    main = program(FRONTEND, '#include "swr_frontend.h"\n#include "swr_input.h"')
    emulator = Emulator(cpu, optimize=optimize)
    result = emulator.run([TFLITE / "frontend", main], files={"pcm": pcm[:16000].tobytes()})
    longer = emulator.run([TFLITE / "frontend", main], files={"pcm": pcm[9600:].tobytes()})
    for part, found in ((pcm[:16000], result), (pcm[9600:], longer)):
        expected = micro_features(part)
        values = np.array(found.text.split(), int)
        features, inputs = np.split(values, [expected.size])
        np.testing.assert_array_equal(features.reshape(expected.shape), expected)
        steps = np.rint(expected[-50:] * (10 / 256) / float(np.float32(0.1)))
        np.testing.assert_array_equal(inputs, np.clip(steps - 128, -128, 127).ravel())


@needs_tools
def test_the_front_end_costs_less_than_that_of_tflite_micro(program):
    body = """
      static int16_t pcm[8000];
      unsigned x = 1;
      for (int i = 0; i < 8000; ++i) pcm[i] = (int16_t)((x = x * 1664525 + 1013904223) >> 18);
      static SwrFrontend frontend;
      uint16_t features[SWR_FRONTEND_CHANNELS];
      const int16_t *at = pcm;
      size_t count = 8000;
      swr_frontend_reset(&frontend);
      uint64_t before = swr_instructions();
      while (swr_frontend_push(&frontend, &at, &count, features)) {}
      printf("%u %u", (unsigned)(swr_instructions() - before) / 48, (unsigned)sizeof frontend);"""
    result = Emulator("cortex-m4").run(
        [TFLITE / "frontend", program(body, '#include "swr_frontend.h"')]
    )
    instructions, state_bytes = map(int, result.text.split())
    assert 10_000 < instructions < 60_000
    assert state_bytes < 2500
    parts = {name: sizes for name, sizes in result.objects.items() if name.startswith("frontend/")}
    assert len(parts) == 5
    assert sum(sizes.text_bytes for sizes in parts.values()) < 6500
    assert all(sizes.data_bytes == sizes.bss_bytes == 0 for sizes in parts.values())


BUNDLE = """
  SwrBundle bundle;
  if (!swr_bundle_open(&bundle, g_image, g_image_len)) return 1;
  int task = swr_bundle_find(&bundle, "mandarin");
  if (task < 0 || swr_bundle_find(&bundle, "french") >= 0) return 2;
  const uint8_t *model = swr_bundle_model(&bundle, (uint16_t)task);
  printf("%d %d %s %s", swr_bundle_is_whole(&bundle, (uint16_t)task), (int)(model - g_image),
         swr_bundle_label(&bundle, (uint16_t)task, 0),
         swr_bundle_label(&bundle, (uint16_t)task, 1));
"""


@needs_tools
@pytest.mark.parametrize("cpu", CPUS)
def test_a_device_finds_a_task_in_a_bundle(program, tmp_path, first, cpu):
    header, source = c_array(first.image, "image")
    (tmp_path / "image.h").write_text(header)
    (tmp_path / "image.c").write_text(source)
    main = program(BUNDLE, '#include "image.h"\n#include "swr_bundle.h"')
    result = Emulator(cpu).run([TFLITE / "bundle", tmp_path / "image.c", main])
    (root,) = (task.root for task in first.table.tasks if task.name == "mandarin")
    assert result.text == f"1 {root} {' '.join(first.labels('mandarin'))}"
