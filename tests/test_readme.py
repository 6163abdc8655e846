"""The README's Python runs as it stands, with small data and few epochs."""

import pathlib
import re
import shlex

import keras
import numpy as np
import tensorflow as tf
from keras import layers

from swr_keras.recipes.deploy_settings import DeploySettings
from swr_keras.recipes.kws_settings import KwsSettings
from swr_keras.recipes.setting_flags import parse

ROOT = pathlib.Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()


def blocks(language):
    return re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL)


def data_sets():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(48, 12, 8, 1)).astype("float32")
    labels = np.arange(48) % 12
    dataset = tf.data.Dataset.from_tensor_slices((x, labels)).batch(16)
    names = [f"word {number}" for number in range(12)]
    labels = {"labels": names, "base_labels": [*names, *map(str, range(8))], "its_labels": "abc"}
    return {"train": dataset, "validation": dataset, "calibration": x, **labels}


def test_python_blocks_run_in_order(toy_int8, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "cantonese.tflite").write_bytes(toy_int8)
    inputs = keras.Input((12, 8, 1))
    x = layers.Conv2D(6, 3, use_bias=False)(inputs)
    x = layers.ReLU()(layers.BatchNormalization(momentum=0.9)(x))
    x = layers.GlobalAveragePooling2D()(layers.DepthwiseConv2D(3)(x))
    keras.Model(inputs, layers.Dense(20)(x)).save("base.keras")
    code = "\n".join(blocks("python"))
    code = re.sub(r"epochs=\d+", "epochs=1", code)
    quick = "swr.SWR(learning=swr.methods.PolicyLearning(search=swr.training.SearchFit(steps=20)))"
    code = code.replace("num_classes=12)", f"num_classes=12, method={quick})", 1)
    code = code.replace("swr.SWR(fit=fit)", quick)
    exec(compile(code, "README.md", "exec"), data_sets())
    printed = capsys.readouterr().out
    assert "layers changed" in printed
    assert "full copies" in printed
    assert "accuracy" in printed
    assert "cantonese" in printed
    assert "arena" in printed
    assert (tmp_path / "firmware" / "keywords" / "swr.c").is_file()
    assert (tmp_path / "keywords" / "mandarin.swr.safetensors").is_file()


def test_commands_take_their_flags(monkeypatch):
    monkeypatch.chdir(ROOT)
    (command,) = re.findall(r"python -m swr_keras\.recipes\.kws (.*)", README)
    assert parse(KwsSettings, ["kws", *shlex.split(command)]).transfer.target_cost == (0.1,)
    (command,) = re.findall(r"python -m swr_keras\.recipes\.deploy (.*)", README)
    assert parse(DeploySettings, ["deploy", *shlex.split(command)]).run_dir == "runs/kws"
    (flagfile,) = re.findall(r"--flagfile=(\S+?)`", README)
    assert parse(KwsSettings, ["kws", f"--flagfile={flagfile}"]).corpora.data_dir
