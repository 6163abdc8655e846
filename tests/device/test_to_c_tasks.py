"""Many tasks in one generated source."""

import ctypes
import re
import shutil
import struct
import subprocess

import keras
import numpy as np
import pytest
from keras import layers

from swr_keras.backbones import bcresnet, res15
from swr_keras.device import Bundle, DeviceTask
from swr_keras.device.host import HostModel
from swr_keras.device.plain_c.constants import FIELDS, size_of
from swr_keras.device.plain_c.packing import WIDE, pack_biases, pack_scales
from swr_keras.device.plain_c.scaling import fixed_point
from swr_keras.device.to_c import to_c
from swr_keras.export import ExportError, LiteModel
from swr_keras.export.flatbuffer import as_object, parse
from swr_keras.export.flatbuffer_nodes import to_file
from swr_keras.layers.normalization import SubSpectralNormalization

pytestmark = [
    pytest.mark.skipif(not shutil.which("gcc"), reason="needs the compiler gcc"),
    # Of the converter, at concrete functions.
    pytest.mark.filterwarnings("ignore:Statistics for quantized inputs:UserWarning"),
]


def classifier(classes, width=8):
    def function(x):
        x = layers.Conv2D(width, 3, activation="relu")(x)
        return layers.Dense(classes)(layers.GlobalAveragePooling2D()(x))

    return function


def unlabelled(models):
    return {name: DeviceTask(model, ()) for name, model in models.items()}


@pytest.mark.parametrize("packed", [False, True])
def test_tasks_of_a_bundle(packed, tasks, int8, strict_flags, assert_exact):
    sources = to_c(Bundle.build(tasks) if packed else tasks, name="words")
    assert_exact(HostModel(sources, flags=strict_flags), int8)
    assert set(sources.sizes.private_bytes) == set(tasks)


def test_what_tasks_share_is_there_once(tasks):
    source = to_c(tasks).files["swr.c"]
    bodies = re.findall(r"static const (\w+) \w+(?:\[\])? = (.*?);", source, re.DOTALL)
    assert len(bodies) > 50
    assert len(bodies) == len(set(bodies))
    assert "program_0" in source
    assert "program_1" not in source


def test_a_further_task_takes_its_own_numbers_alone(tasks):
    two = {name: tasks[name] for name in ("english", "mandarin")}
    same = to_c({**two, "again": tasks["mandarin"]}).sizes
    tables = same.private_bytes["mandarin"]
    assert same.private_bytes["again"] == tables - len("mandarin") + len("again")
    assert tables < 100
    different = to_c(tasks).sizes
    assert different.arena_bytes == same.arena_bytes
    # Kernels of the layers "own" and "head", with their biases and scales.
    assert 12 * 6 + 6 * 2 + 6 * (6 + 2) < different.private_bytes["french"] - tables < 600


def test_a_sub_band_has_its_scale_and_bias_once(random_int8):
    models = {
        frequencies: random_int8(SubSpectralNormalization(5), shape=(6, frequencies, 4))
        for frequencies in (10, 20)
    }
    sizes = {key: to_c(unlabelled({"task": model})).sizes for key, model in models.items()}
    # Each further frequency has a weight of a byte for each channel, and nothing else.
    assert sizes[20].private_bytes["task"] - sizes[10].private_bytes["task"] == 10 * 4


def test_numbers_of_classes_differ_in_one_program(random_int8, strict_flags, assert_exact):
    models = {f"{count} classes": random_int8(classifier(count)) for count in (3, 11, 5)}
    sources = to_c(unlabelled(models))
    assert "program_1" not in sources.files["swr.c"]
    assert_exact(HostModel(sources, flags=strict_flags), models)


def test_architectures_differ_in_one_source(random_int8, strict_flags, assert_exact):
    models = {
        "pooled": random_int8(classifier(3)),
        "flat": random_int8(lambda x: layers.Dense(4)(layers.Flatten()(x))),
        "wide": random_int8(classifier(3, width=30)),
    }
    sources = to_c(unlabelled(models))
    arenas = [to_c(unlabelled({name: models[name]})).sizes.arena_bytes for name in models]
    assert "program_1" in sources.files["swr.c"]
    assert sources.sizes.arena_bytes == max(arenas)
    assert_exact(HostModel(sources, flags=strict_flags), models)


@pytest.mark.parametrize("names", [("english", "mandarin"), ("english", "twin"), ("english",)])
def test_a_trunk_is_computed_once_for_all_tasks(names, int8, strict_flags):
    models = {**int8, "twin": int8["english"]}
    sources = to_c(unlabelled({name: models[name] for name in names}), keep_trunk=True)
    host = HostModel(sources, flags=strict_flags)
    q = np.random.default_rng(0).integers(-128, 128, (5, 12, 10, 1), "int8")
    expected = {name: LiteModel(models[name], engine="tflm").predict_int8(q) for name in names}
    assert len(names) == 1 or "twin" in names or (expected["english"] != expected[names[1]]).any()
    for index, example in enumerate(q):
        found = host.predict_together([*names, *names], example)
        for name, outputs in zip([*names, *names], found, strict=True):
            np.testing.assert_array_equal(outputs, expected[name][index])


def test_a_trunk_that_is_not_kept_is_not_computed(tasks):
    with pytest.raises(ValueError, match="keep_trunk"):
        HostModel(to_c(tasks)).predict_together(["english"], np.zeros((12, 10, 1), "int8"))


def test_a_trunk_of_two_architectures_is_refused(random_int8):
    models = {"a": random_int8(classifier(3)), "b": random_int8(layers.Conv2D(2, 7))}
    host = HostModel(to_c(unlabelled(models), keep_trunk=True))
    with pytest.raises(ValueError, match="one architecture. Received: 'a', 'b'"):
        host.predict_together(["a", "b"], np.zeros((9, 7, 6), "int8"))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("build", "arena_bytes"),
    [
        (lambda: bcresnet(1, num_classes=5, input_shape=(98, 40, 1)), 40_000),
        (
            lambda: bcresnet(1, num_classes=5, input_shape=(98, 40, 1), activation="hard_swish"),
            40_000,
        ),
        (lambda: res15(19, num_classes=5, input_shape=(60, 40, 1)), 200_000),
    ],
    ids=["bcresnet", "bcresnet, hard swish", "res15"],
)
def test_backbones(build, arena_bytes, random_int8, strict_flags, assert_exact):
    models = {"task": random_int8(build())}
    sources = to_c(unlabelled(models))
    assert sources.sizes.arena_bytes < arena_bytes
    assert_exact(HostModel(sources, flags=strict_flags), models)


@pytest.mark.parametrize(
    ("operator", "layer"),
    [
        ("PRELU", layers.PReLU(shared_axes=(1, 2))),
        ("RESIZE_BILINEAR", layers.UpSampling2D(2, interpolation="bilinear")),
        ("TRANSPOSE_CONV", layers.Conv2DTranspose(4, 3, strides=2)),
        ("CONV_2D", layers.Conv2D(6, 3, groups=2)),
    ],
)
def test_what_has_no_kernel_is_refused_by_name(operator, layer, random_int8):
    models = {"good": random_int8(classifier(3)), "bad": random_int8(layer)}
    with pytest.raises(
        ExportError, match=rf"Task 'bad': {operator} \(writes '.+'\) can't become C"
    ):
        to_c(unlabelled(models))


def test_a_model_that_computes_nothing_is_refused(random_int8):
    model = random_int8(layers.Reshape((7, 9, 6)))
    with pytest.raises(ExportError, match="Task 'still': .*no operator"):
        to_c(unlabelled({"still": model}))


def test_what_is_too_large_is_refused(random_int8):
    model = random_int8(layers.Conv2D(1, 1), shape=(70000, 1, 1))
    with pytest.raises(ExportError, match="CONV_2D .*in_height=70000 doesn't fit uint16_t"):
        to_c(unlabelled({"long": model}))


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("zeroPoint", np.array([300]), "zero points beyond int8"),
        ("zeroPoint", np.array([1, 2]), "different numbers"),
        ("scale", np.array([np.nan], "float32"), "a scale that is none"),
        ("scale", np.array([0], "float32"), "a scale that is none"),
        ("scale", np.array([-1], "float32"), "a scale that is none"),
    ],
)
def test_a_grid_that_is_none_is_refused(field, value, message, int8):
    model = as_object(int8["english"].data)
    setattr(model.subgraphs[0].tensors[model.subgraphs[0].inputs[0]].quantization, field, value)
    with pytest.raises(ExportError, match=f"Task 'task': .*{message}"):
        to_c(unlabelled({"task": parse(to_file(model))}))


NAMES = [
    *('a"b', "a\\", "*/ int x;", "??/", "不是", "a\nb", "count", "9" * 80),
    *("a b", "A B", "b 2", "b", "B"),
]


def test_names_and_labels_are_what_they_were(int8, strict_flags):
    model = int8["english"]
    tasks = {name: DeviceTask(model, (name, name[::-1])) for name in NAMES}
    sources = to_c(tasks, name="t2")
    host = HostModel(sources, flags=strict_flags)
    table = (Task * len(NAMES)).in_dll(host.library, "t2_tasks")
    for name, task in zip(NAMES, table, strict=True):
        assert task.name.decode() == name
        assert [task.labels[i].decode() for i in range(2)] == [name, name[::-1]]
        assert task.outputs == 2


class Task(ctypes.Structure):
    _fields_ = [
        ("name", ctypes.c_char_p),
        ("labels", ctypes.POINTER(ctypes.c_char_p)),
        *((name, ctypes.c_void_p) for name in ("program", "operations")),
        *((name, ctypes.c_uint32) for name in ("inputs", "outputs")),
        *((name, ctypes.c_float) for name in ("input_scale", "output_scale")),
        *((name, ctypes.c_int8) for name in ("input_zero_point", "output_zero_point")),
    ]


def test_sources_are_complete_in_a_folder(tasks, tmp_path):
    sources = to_c(tasks, name="words")
    sources.save(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == set(sources.files)
    (tmp_path / "main.cc").write_text(
        '#include "words.h"\nalignas(SWR_ARENA_UNIT) static int8_t arena[WORDS_ARENA_BYTES];\n'
        "int main() { swr_invoke(&words_tasks[WORDS_TASK_MANDARIN], arena);\n"
        "  return *words_tasks[0].name != 'e'; }\n"
    )
    subprocess.run(["gcc", "-std=c11", "-c", *tmp_path.glob("*.c")], cwd=tmp_path, check=True)
    objects = [str(path) for path in tmp_path.glob("*.o")]
    subprocess.run(["g++", "main.cc", *objects, "-o", "main"], cwd=tmp_path, check=True)
    subprocess.run([tmp_path / "main"], check=True)


def test_sizes_are_those_of_c(tasks, tmp_path):
    to_c(tasks).save(tmp_path)
    listed = "".join(f'  printf("%zu\\n", sizeof({ctype}));\n' for ctype in FIELDS)
    (tmp_path / "sizes.c").write_text(
        f'#include <stdio.h>\n#include "swr_operations.h"\nint main(void) {{\n{listed}}}\n'
    )
    subprocess.run(["gcc", "sizes.c", "-o", "sizes"], cwd=tmp_path, check=True)
    done = subprocess.run([tmp_path / "sizes"], capture_output=True, text=True, check=True)
    pointer_bytes = struct.calcsize("P")
    expected = [size_of(ctype, pointer_bytes=pointer_bytes) for ctype in FIELDS]
    assert list(map(int, done.stdout.split())) == expected


class Convolution(ctypes.Structure):
    _fields_ = [
        *((name, ctypes.c_void_p) for name in ("window", "kernel", "biases", "scales")),
        *((name, ctypes.c_float) for name in ("input_scale", "output_scale")),
        *((name, ctypes.c_uint16) for name in ("period", "repeats")),
        *((name, ctypes.c_uint8) for name in ("bias_shift", "least_exponent")),
        *((name, ctypes.c_int8) for name in ("input_zero", "output_zero", "low", "high")),
    ]


@pytest.mark.parametrize("bits", [24, 11])
def test_multipliers_are_those_of_double_arithmetic(tasks, bits):
    """Also where a rounding is close: of few bits, and near them."""
    library = HostModel(to_c(tasks)).library
    random = np.random.default_rng(0)
    count = 2000
    window = (ctypes.c_uint16 * 15)(0, 0, 0, 0, 0, 0, count)
    kernel = (ctypes.c_int8 * count)()
    for _ in range(40):
        scales = np.exp(random.uniform(-12, 1, count)).astype(np.float32)
        scales[::2] = np.ldexp(random.integers(1, 64, (count + 1) // 2), -12)
        scales[::4] = np.nextafter(scales[::4], np.float32(1))
        mantissas, exponents = np.frexp(scales)
        scales = np.ldexp(np.rint(np.ldexp(mantissas, bits)), exponents - bits).astype(np.float32)
        packed, least_exponent = pack_scales(scales)
        assert (packed.ctype == "float") == (bits == 24)
        source, output = np.exp(random.uniform(-8, -1, 2)).astype(np.float32)
        output = np.float32(random.choice([output, 3 * 2.0**-9, 2.0**-6]))
        convolution = Convolution(
            ctypes.addressof(window),
            ctypes.addressof(kernel),
            None,
            packed.values.ctypes.data,
            source,
            output,
            count,
            1,
            0,
            least_exponent,
        )
        channels = np.zeros((count, 5), np.int32)
        library.swr_prepare_channels(
            ctypes.byref(convolution), 0, 0, 0, ctypes.c_void_p(channels.ctypes.data)
        )
        shifts = channels[:, 4:].copy().view(np.int8)
        found = list(zip(channels[:, 2], shifts[:, 0] - shifts[:, 1], strict=True))
        assert found == [fixed_point(float(source) * float(s) / float(output)) for s in scales]


@pytest.mark.parametrize(
    ("biases", "ctype", "shift"),
    [
        ([3, -(2**15), 2**15 - 1], "int16_t", 0),
        ([2**17, -(2**17), 16], "int16_t", 3),
        ([2**16 - 2, -2], "int16_t", 1),
        ([2**17, 1], "int32_t", WIDE),
        ([-(2**30), 2**29], "int16_t", 15),
        ([-(2**31), 2**30], "int32_t", WIDE),
    ],
)
def test_biases_take_two_bytes_where_they_fit(biases, ctype, shift):
    biases = np.array(biases, np.int32)
    packed, found = pack_biases(biases)
    assert (packed.ctype, found) == (ctype, shift)
    np.testing.assert_array_equal(
        np.int64(packed.values) * 2 ** (found if found != WIDE else 0), biases
    )


def test_inputs_of_more_axes_are_refused(random_int8):
    model = random_int8(lambda x: keras.ops.mean(x, axis=1), (3, 4, 5, 6))
    with pytest.raises(ExportError, match="'task': .* more than 4 axes"):
        to_c({"task": DeviceTask(model, ())})


def test_shapes_that_only_the_file_says_are_refused(random_int8):
    """LiteRT computes shapes itself; a device would write beyond its arena."""
    flat = keras.Sequential([layers.Flatten(), layers.Dense(300), layers.Dense(4)])
    model = as_object(random_int8(lambda x: flat(x)).data)
    graph = model.subgraphs[0]
    (wide,) = (tensor for tensor in graph.tensors if list(tensor.shape) == [1, 300])
    wide.shape = np.array([1, 1], np.int32)
    with pytest.raises(ExportError, match=r"said to have the shape \(1, 1\), but has \(1, 300\)"):
        to_c({"task": DeviceTask(parse(to_file(model)), ())})


@pytest.mark.parametrize("name", ["", "2words", "a-b", "x;", "swr_program"])
def test_bad_names_are_refused(name, tasks):
    with pytest.raises(ValueError, match="C identifier"):
        to_c(tasks, name=name)


def test_labels_that_do_not_fit_are_refused(int8):
    with pytest.raises(ValueError, match="2 outputs. Received: 3 labels"):
        to_c({"task": DeviceTask(int8["english"], ("a", "b", "c"))})


def test_no_task_is_refused():
    with pytest.raises(ValueError, match="no task"):
        to_c({})


def test_a_host_without_a_compiler_is_told(tasks):
    with pytest.raises(OSError, match="No C compiler was found: no-such-compiler"):
        HostModel(to_c(tasks), compiler="no-such-compiler")


def test_what_the_compiler_says_is_told(tasks):
    with pytest.raises(RuntimeError, match="refuses the sources: .*no-such-flag"):
        HostModel(to_c(tasks), flags=["-no-such-flag"])


def test_inputs_that_do_not_fit_are_refused(tasks):
    host = HostModel(to_c(tasks))
    with pytest.raises(ValueError, match="120 values. Received: float32"):
        host.predict_int8("english", np.zeros((2, 12, 10, 1), "float32"))
    with pytest.raises(ValueError, match="120 values. Received: int8 of shape"):
        host.predict_int8("english", np.zeros((2, 10, 10, 1), "int8"))
    with pytest.raises(KeyError, match="No task 'german'"):
        host.predict_int8("german", np.zeros((2, 12, 10, 1), "int8"))
    assert host.predict_int8("english", np.zeros((0, 12, 10, 1), "int8")).shape == (0, 2)
