import copy
import html.parser
import json
import re
import shutil
import subprocess

import keras
import matplotlib
import numpy as np
import pytest
from keras import layers

import swr_keras as swr
from swr_keras.data import LogMel
from swr_keras.export import LiteModel, c_array, convert_int8, write_bundle
from swr_keras.policy.policy import Policy
from swr_keras.reporting import policy_curve, render_report

LABELS = ["_silence_", "_unknown_", "yes", "no", "up", "down", "left", "right", "on", "off", "go"]
COSTS = (0.05, 0.1, 0.3)
CLIPS = {"training": 8_000, "validation": 1_000, "testing": 1_200}


def example_layers():
    """Paths, parameters and kinds of a BC-ResNet's layers."""
    listed = [("stem_conv", 400, "convolution")]
    for stage, (blocks, width) in enumerate(zip((2, 2, 4, 4), (8, 12, 16, 20), strict=True)):
        for block in range(blocks):
            name = f"stage{stage}_block{block}"
            if block == 0:
                listed.append((f"{name}_expand_conv", 13 * width, "pointwise"))
            listed.append((f"{name}_frequency_depthwise", 3 * width, "depthwise"))
            listed.append((f"{name}_time_depthwise", 3 * width, "depthwise"))
            listed.append((f"{name}_time_conv", width * width, "pointwise"))
    listed += [("neck_depthwise", 500, "depthwise"), ("neck_conv", 640, "pointwise")]
    return listed


def example_curve(seed):
    """A policy curve of made-up probabilities that rise with the cost."""
    paths, sizes, kinds = zip(*example_layers(), strict=True)
    liking = np.random.default_rng(seed).normal(0, 1.5, len(paths))
    costs = [step / 40 for step in range(41)]
    shift = 4.0 * np.log((np.array(costs) + 0.02) / (1.02 - np.array(costs)))
    probabilities = (1 / (1 + np.exp(-3.0 * liking - shift[:, None]))).tolist()
    readings = {
        reading: [
            Policy.from_probabilities(paths, sizes, p, cost, reading)
            for p, cost in zip(probabilities, costs, strict=True)
        ]
        for reading in ("threshold", "budget")
    }
    return {
        "layers": list(paths),
        "num_parameters": list(sizes),
        "kinds": list(kinds),
        "costs": costs,
        "probabilities": probabilities,
        "expected": [policy.expected_cost for policy in readings["budget"]],
        "threshold": [policy.achieved_cost for policy in readings["threshold"]],
        "budget": [policy.achieved_cost for policy in readings["budget"]],
    }


def example_history(epochs, start, rng):
    rise = 1 - np.exp(-np.arange(1, epochs + 1) / 6)
    noise = rng.normal(0, 0.01, (4, epochs))
    return {
        "loss": (2.4 - 2.1 * rise + noise[0]).tolist(),
        "val_loss": (2.4 - 1.9 * rise + noise[1]).tolist(),
        "accuracy": (start + (0.97 - start) * rise + noise[2]).clip(0, 1).tolist(),
        "val_accuracy": (start + (0.93 - start) * rise + noise[3]).clip(0, 1).tolist(),
        "learning_rate": np.linspace(0.01, 0, epochs).tolist(),
    }


def example_manifest(accuracy):
    return {
        "size_bytes": 48_216,
        "labels": LABELS,
        "front_end": {"class": "LogMel", "parameters": {"num_mels": 40}},
        "input": {"shape": [1, 101, 40, 1], "dtype": "int8", "scale": 0.0784, "zero_point": 47},
        "output": {"shape": [1, 11], "dtype": "int8", "scale": 0.21, "zero_point": -3},
        "operators": {"PAD": 2, "CONV_2D": 18, "DEPTHWISE_CONV_2D": 37, "MAX_POOL_2D": 2},
        "arena": {"bytes_host_estimate": 91_408, "note": "Measured on the host."},
        "accuracy": {"int8": accuracy},
    }


def example_task(name, seed, *, better=0.07):
    """One task as a recipe measures it: baselines, SWR at three costs, random policies."""
    rng = np.random.default_rng(seed)
    curve = example_curve(seed)
    results = [
        {"method": "base", "validation_accuracy": 0.861, "testing_accuracy": 0.857},
        row("classifier-only", 0.852, 0.0, curve, 5_840),
        row("fine-tuning all", 0.957, 1.0, curve, 45_000),
    ]
    bundles, confusions = [], []
    for step, cost in enumerate(COSTS):
        accuracy = 0.852 + better + 0.01 * step
        results.append(row("SWR", accuracy, cost, curve, round(8_000 + 25_000 * cost)))
        results.append(row("SWR int8", accuracy - 0.004, cost, curve))
        results += [row("random policy", accuracy - 0.01 * k, cost, curve) for k in range(1, 4)]
        stem = f"{name}/c{cost:g}/model_int8"
        manifest = example_manifest(accuracy - 0.004)
        bundles.append({"target_cost": cost, "stem": stem, "manifest": manifest})
    counts = np.eye(len(LABELS), dtype=int) * 95 + rng.poisson(0.6, (len(LABELS),) * 2)
    counts[3, 10] += 12
    confusions.append({"title": "SWR int8 at c = 0.1", "counts": counts.tolist()})
    search = {
        "task_loss": np.linspace(1.9, 1.1, 10).tolist(),
        "cost_loss": np.linspace(0.3, 0.01, 10).tolist(),
        "tracking_error": np.linspace(0.25, 0.008, 10).tolist(),
    }
    return {
        "task": name,
        "labels": LABELS,
        "clips": CLIPS,
        "results": results,
        "histories": {
            "super-net": example_history(15, 0.2, rng),
            "policy search": search,
            "classifier-only": example_history(30, 0.3, rng),
            **{f"SWR at c = {cost:g}": example_history(30, 0.2, rng) for cost in COSTS},
        },
        "policy_curve": curve,
        "policy_tracking_error": float(
            np.mean(np.abs(np.subtract(curve["expected"], curve["costs"])))
        ),
        "confusions": confusions,
        "bundles": bundles,
    }


def row(method, accuracy, cost, curve, owned_bytes=None):
    nearest = curve["probabilities"][round(cost * 40)]
    policy = Policy.from_probabilities(curve["layers"], curve["num_parameters"], nearest, cost)
    return {
        "method": method,
        "target_cost": cost,
        "achieved_cost": policy.achieved_cost,
        "changed_layers": list(policy.selected_layers),
        "validation_accuracy": accuracy + 0.003,
        "testing_accuracy": accuracy,
        "both_right": 0.852 * accuracy,
        "owned_bytes": owned_bytes,
    }


def example_run():
    """A run with all that a report can show."""
    return {
        "title": "Keyword spotting: english, mandarin",
        "base": {
            "name": "bcresnet1",
            "parameters": 9_232,
            "bytes": 46_592,
            "multiplies": 2_482_156,
        },
        "tasks": [example_task("english", 0), example_task("mandarin", 1, better=0.01)],
        "seconds": {
            "base: 30 epochs on all words": 812.4,
            "english: super-net (15 epochs) and policy search": 402.0,
            "english: classifier-only (30 epochs)": 201.3,
            "english: SWR at c = 0.1 (30 epochs)": 301.8,
        },
        "files": {
            "base.keras": "The base, a Keras model.",
            "english/c0.1/model.keras": "The merged model of the task, a plain Keras model.",
            "english/c0.1/task.swr.h5": "The task pack: all that the task changes of the base.",
            "english/c0.1/model_int8.tflite": "The int8 model, verified on TFLite Micro.",
            "english/c0.1/model_int8.json": "Its manifest: labels, front end, scales, operators.",
        },
        "settings": {"data_dir": ["english", "mandarin"], "seed": 0, "base": None, "lr": 0.01},
        "versions": {"python": "3.11.4", "keras": "3.15.1", "tensorflow": "2.21.0"},
    }


class Page(html.parser.HTMLParser):
    """What a page contains; fails on tags that aren't closed in order."""

    def __init__(self, text):
        super().__init__(convert_charrefs=True)
        self.tags, self.ids, self.references, self.text = [], set(), set(), []
        self.open: list[str] = []
        self.feed(text)
        self.close()
        assert not self.open

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        if tag not in ("meta", "br"):
            self.open.append(tag)
        for name, value in attrs:
            assert not name.startswith("on"), (tag, name)
            assert name != "src"
            if name == "id":
                self.ids.add(value)
            if name == "href":
                self.references.add(value)
            self.references |= set(re.findall(r"url\((.*?)\)", value or ""))

    def handle_startendtag(self, tag, attrs):
        self.handle_starttag(tag, attrs)
        self.handle_endtag(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text.append(data)

    @property
    def words(self):
        return " ".join("".join(self.text).split())


@pytest.fixture(scope="module")
def run():
    return example_run()


@pytest.fixture(scope="module")
def rendered(run):
    return render_report(run)


def minimal_run(*results, clips=CLIPS):
    task = {"task": "one", "labels": ["a", "b"], "clips": clips, "results": list(results)}
    return {"tasks": [task]}


def result(method, accuracy, cost, **more):
    return {
        "method": method,
        "validation_accuracy": accuracy,
        "testing_accuracy": accuracy,
        "target_cost": cost,
        "achieved_cost": cost,
        "changed_layers": ["conv"] if cost else [],
        "both_right": 0.8 * accuracy,
        **more,
    }


def words(run):
    return Page(render_report(run)).words


def test_page_is_self_contained(rendered):
    page = Page(rendered)
    assert not {"script", "link", "img", "iframe", "object"} & set(page.tags)
    assert "@import" not in rendered
    assert "http" not in rendered
    assert page.references
    assert page.references == {f"#{name}" for name in page.ids} & page.references


def test_same_run_gives_the_same_page(run, rendered):
    before = copy.deepcopy(run)
    assert render_report(json.loads(json.dumps(run))) == rendered
    assert run == before


def test_page_has_all_sections(rendered):
    page = Page(rendered)
    for title in (
        "Task english",
        "Task mandarin",
        "Results",
        "Which layers SWR changed",
        "Achieved against target cost",
        "Learning curves",
        "Confusions on the test clips: SWR int8 at c = 0.1",
        "Sizes",
        "Seconds of each stage",
        "How to use the outputs",
        "Settings",
        "Versions",
    ):
        assert title in page.words
    assert page.tags.count("svg") == 2 * (2 + 6)
    assert "no taken for go (12 of" in page.words
    assert "stage3_block3_time_conv" in page.words
    assert "base + 2 packs at target cost 0.1" in page.words


def test_everything_is_escaped():
    evil = "<script>alert('x')</script> & \"quoted\" $x^2$"
    run = example_run()
    task = run["tasks"][0]
    run["tasks"] = [task]
    text = json.dumps(run)
    for value in ("english", "yes", "super-net", "neck_conv", "random policy", "3.11.4", "seed"):
        text = text.replace(f'"{value}"', json.dumps(evil + value))
    run = json.loads(text)
    run["title"] = run["base"]["name"] = evil
    run["files"] = {evil: evil}
    run["tasks"][0]["confusions"][0]["title"] = evil
    run["tasks"][0]["bundles"][0]["stem"] = evil
    run["seconds"] = {evil: 1.0}
    text = render_report(run)
    page = Page(text)
    assert "script" not in page.tags
    assert page.words.count(evil) > 20
    assert "neck_conv" in page.words


@pytest.mark.filterwarnings("error")
def test_labels_of_any_script(run):
    strange = copy.deepcopy({"tasks": run["tasks"][:1]})
    task = strange["tasks"][0]
    task["labels"] = [f"天{label}" for label in task["labels"]]
    task["task"] = "普通话"
    task["policy_curve"]["layers"][0] = "层"
    for row in task["results"]:
        row["changed_layers"] = [
            "层" if path == "stem_conv" else path for path in row.get("changed_layers", ())
        ]
    assert "天yes" in words(strange)


def test_smallest_run():
    page = Page(render_report(minimal_run()))
    assert "svg" not in page.tags
    assert "No model was trained with SWR" in page.words
    assert "Settings" not in page.words


def test_verdict_says_whether_swr_beat_the_classifier():
    classifier = result("classifier-only", 0.80, 0.0)
    better = words(minimal_run(classifier, result("SWR", 0.90, 0.1)))
    assert "SWR changed 1 layer with 10.0 % of the parameters and got 90.0 %" in better
    assert "It beat training the classifier only, which got 80.0 %, by 10.0 points" in better
    worse = words(minimal_run(classifier, result("SWR", 0.70, 0.1)))
    assert "It was worse than training the classifier only" in worse
    level = words(minimal_run(classifier, result("SWR", 0.81, 0.1)))
    assert "1,200 clips can't tell which is better" in level
    alone = words(minimal_run(result("SWR", 0.81, 0.1), result("SWR int8", 0.79, 0.1)))
    assert "nothing to compare with" in alone
    assert "As int8 it got 79.0 % (-2.0 points)" in alone


def test_few_clips_widen_the_interval():
    results = result("classifier-only", 0.80, 0.0), result("SWR", 0.90, 0.1)
    assert "can't tell" in words(minimal_run(*results, clips={**CLIPS, "testing": 40}))
    assert "It beat" in words(minimal_run(*results))


def test_models_that_err_on_the_same_clips_are_told_apart_by_fewer():
    classifier = result("classifier-only", 0.80, 0.0)
    few = {**CLIPS, "testing": 200}
    apart, together = result("SWR", 0.86, 0.1), result("SWR", 0.86, 0.1, both_right=0.79)
    assert "can't tell" in words(minimal_run(classifier, apart, clips=few))
    assert "It beat" in words(minimal_run(classifier, together, clips=few))


def test_seeds_are_averaged():
    results = [
        result(method, accuracy + 0.01 * seed, cost, both_right=0.75)
        for method, accuracy, cost in (("classifier-only", 0.8, 0.0), ("SWR", 0.9, 0.1))
        for seed in range(3)
    ]
    results[-1]["testing_accuracy"] = 0.95
    text = words(minimal_run(*results))
    assert "with 3 seeds" in text
    assert "SWR (mean of 3)" in text
    assert "From seed to seed the difference was +10.0 to +13.0" in text
    assert "repeat the run" not in text
    assert "repeat the run" in words(minimal_run(results[0], results[3]))


def test_diverged_training_is_shown(run):
    diverged = copy.deepcopy({"tasks": run["tasks"][:1]})
    diverged["tasks"][0]["histories"] = {"lost": {"loss": [1.0, float("nan"), None]}}
    assert "lost" in words(diverged)


def test_histories_of_keras(base, dataset):
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    supernet = swr.SuperNet(base, num_classes=3)
    supernet.compile("adam", loss, metrics=["accuracy"])
    histories = {
        "super-net": supernet.fit(
            dataset, validation_data=dataset, epochs=2, shuffle=False, verbose=0
        ).history
    }
    search = swr.PolicySearch(supernet)
    search.compile("adam", loss)
    histories["policy search"] = search.fit(dataset, epochs=2, shuffle=False, verbose=0).history
    run = minimal_run()
    run["tasks"][0].update(
        histories=histories,
        policy_curve=policy_curve(search),
        policy_tracking_error=search.grid_error(),
    )
    text = words(run)
    for label in ("loss", "accuracy", "training", "validation"):
        assert label in text
    for label in ("task loss", "cost loss", "mean error of the cost"):
        assert label in text


def test_bad_runs_are_refused(run):
    good = result("SWR", 0.9, 0.1)
    curve = {"layers": ["other"], "num_parameters": [1], "kinds": ["dense"]}
    for bad, message in (
        ({}, "list `tasks`"),
        ({"tasks": [{"task": "one"}]}, r"tasks\[0\] of a report lacks \['labels'"),
        (minimal_run({"method": "SWR"}), "validation_accuracy"),
        (minimal_run({**good, "testing_accuracy": 93.0}), "testing_accuracy=93.0"),
        (minimal_run({k: v for k, v in good.items() if k != "target_cost"}), "target_cost"),
        (minimal_run(clips={**CLIPS, "testing": 0}), "testing=0"),
        (
            minimal_run(
                result("classifier-only", 0.8, 0.0),
                {k: v for k, v in good.items() if k != "both_right"},
            ),
            "both_right",
        ),
    ):
        with pytest.raises(ValueError, match=message):
            render_report(bad)
    for extra, message in (
        ({"confusions": [{"title": "t", "counts": [[1, 2]]}]}, r"2 rows of 2.*lengths \[2\]"),
        ({"policy_curve": curve}, r"\['conv'\]"),
    ):
        bad = minimal_run(good)
        bad["tasks"][0].update(extra)
        with pytest.raises(ValueError, match=message):
            render_report(bad)


def test_matplotlib_settings_are_left_alone(run):
    before = dict(matplotlib.rcParams)
    render_report({"tasks": run["tasks"][:1]})
    assert dict(matplotlib.rcParams) == before


def code_blocks(text):
    return [html.unescape(block) for block in re.findall(r"<pre>(.*?)</pre>", text, re.DOTALL)]


def test_python_snippet_runs(tmp_path, monkeypatch, capsys):
    keras.utils.set_random_seed(0)
    pooling = [layers.AveragePooling2D(10), layers.Flatten(), layers.Dense(3)]
    model = keras.Sequential([keras.Input((101, 40, 1)), *pooling])
    rng = np.random.default_rng(0)
    clips = rng.normal(0, 0.1, (20, 16000)).astype("float32")
    data = convert_int8(model, LogMel()(clips).numpy())
    manifest = write_bundle(
        tmp_path,
        data,
        name="words",
        labels=["no", "yes", "go"],
        front_end=LogMel(),
        calibration_names=[],
    )
    run = minimal_run()
    run["tasks"][0]["bundles"] = [{"target_cost": 0.1, "stem": "words", "manifest": manifest}]
    python, _ = code_blocks(render_report(run))
    monkeypatch.chdir(tmp_path)
    exec(python, {"audio": clips[:4]})
    expected = LiteModel(data).predict(LogMel()(clips[:4])).argmax(-1)
    assert capsys.readouterr().out.strip() == str([["no", "yes", "go"][i] for i in expected])


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


def test_cpp_snippet_compiles(run, tmp_path):
    if not shutil.which("g++"):
        pytest.skip("needs the compiler g++")
    bundle = run["tasks"][0]["bundles"][0]
    run = minimal_run()
    run["tasks"][0]["bundles"] = [bundle]
    _, cpp = code_blocks(render_report(run))
    header, _ = c_array(b"model", "model_int8")
    for name, text in {**_STUBS, "model_int8.h": header, "main.cc": cpp}.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    strict = ["-std=c++17", "-Wall", "-Wextra", "-Werror", "-fsyntax-only", "-I."]
    subprocess.run(["g++", *strict, "main.cc"], cwd=tmp_path, check=True)
