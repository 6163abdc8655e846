"""A run with all that a report can show, of made-up results."""

import base64
import html.parser
from xml.etree import ElementTree

import numpy as np
import pytest

from swr_keras.jobs.result import Result, pack_bits
from swr_keras.jobs.run import BaseFacts, Run, TaskFacts
from swr_keras.policy.policy import Policy

_SVG = "data:image/svg+xml;base64,"
LABELS = ("_silence_", "_unknown_", "yes", "no", "up", "down", "left", "right", "on", "off", "go")
COSTS = (0.05, 0.1, 0.3)
EXAMPLES = {"training": 8_000, "validation": 1_000, "testing": 1_200}


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
        "sizes": list(sizes),
        "kinds": list(kinds),
        "costs": costs,
        "probabilities": probabilities,
        "expected": [policy.expected_cost for policy in readings["budget"]],
        "threshold": [policy.achieved_cost for policy in readings["threshold"]],
        "budget": [policy.achieved_cost for policy in readings["budget"]],
    }


@pytest.fixture(scope="session")
def make_curve():
    """Makes a policy curve of a seed, see `example_curve`."""
    return example_curve


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
        "labels": list(LABELS),
        "front_end": {"class": "LogMel", "parameters": {"num_mels": 40}},
        "input": {"shape": [1, 101, 40, 1], "dtype": "int8", "scale": 0.0784, "zero_point": 47},
        "output": {"shape": [1, 11], "dtype": "int8", "scale": 0.21, "zero_point": -3},
        "operators": {"PAD": 2, "CONV_2D": 18, "DEPTHWISE_CONV_2D": 37, "MAX_POOL_2D": 2},
        "arena": {"bytes_host_estimate": 91_408, "note": "Measured on the host."},
        "accuracy": {"int8": accuracy},
        "verification": {
            "engines": ["litert", "tflite_micro"],
            "examples": 64,
            "max_lsb": 1,
            "differing": 0.012,
        },
        "calibration_record": {"given": 200, "kept": 180},
    }


def example_results(task, seed, *, better=0.07):
    """One task as a recipe measures it: baselines, SWR at three costs, random policies."""
    rng = np.random.default_rng(seed)
    curve = example_curve(seed)
    search = {
        "task_loss": np.linspace(1.9, 1.1, 10).tolist(),
        "cost_loss": np.linspace(0.3, 0.01, 10).tolist(),
        "tracking_error": np.linspace(0.25, 0.008, 10).tolist(),
    }
    yield Result(
        kind="search",
        title=f"{task}: search",
        task=task,
        histories={"super-net": example_history(15, 0.2, rng), "policy search": search},
        seconds={"super-net": 300.5, "policy search": 102.0},
        policy_curve=curve,
        tracking_error=float(np.mean(np.abs(np.subtract(curve["expected"], curve["costs"])))),
    )
    yield model(task, "base", 0.857)
    yield adapted(task, "classifier-only", 0.852, 0.0, curve, rng, owned_bytes=5_840)
    yield adapted(task, "fine-tuning all", 0.957, 1.0, curve, rng, owned_bytes=45_000)
    for step, cost in enumerate(COSTS):
        accuracy = 0.852 + better + 0.01 * step
        owned = round(8_000 + 25_000 * cost)
        yield adapted(task, "SWR", accuracy, cost, curve, rng, owned_bytes=owned)
        yield adapted(
            task,
            "SWR",
            accuracy - 0.004,
            cost,
            curve,
            kind="int8",
            title=f"{task}: SWR int8 at c = {cost:g}",
            confusion=example_confusion(rng) if cost == 0.1 else None,
            stem=f"{task}/c{cost:g}/model_int8",
            manifest=example_manifest(accuracy - 0.004),
        )
        for number in range(1, 4):
            title = f"{task}: random policy {number} at c = {cost:g}"
            control = accuracy - 0.01 * number
            yield adapted(task, "random policy", control, cost, curve, title=title)


def example_confusion(rng):
    counts = np.eye(len(LABELS), dtype=int) * 95 + rng.poisson(0.6, (len(LABELS),) * 2)
    counts[3, 10] += 12
    return tuple(map(tuple, counts.tolist()))


def model(task, method, accuracy, cost=None, *, examples=1_200, first_right=0, **more):
    """A model that gets a share of the test examples right, from one of them on."""
    hits = np.zeros(examples, bool)
    hits[first_right : first_right + round(accuracy * examples)] = True
    fields = {
        "kind": "model",
        "title": f"{task}: {method}" + ("" if cost is None else f" at c = {cost:g}"),
        "validation_accuracy": min(accuracy + 0.003, 1.0),
        "testing_accuracy": float(hits.mean()),
        "right": pack_bits(hits),
    }
    return Result(task=task, method=method, target_cost=cost, **{**fields, **more})


def adapted(task, method, accuracy, cost, curve, rng=None, **more):
    """A model with a policy; with learning curves where it is given random numbers."""
    nearest = curve["probabilities"][round(cost * 40)]
    policy = Policy.from_probabilities(curve["layers"], curve["sizes"], nearest, cost)
    if rng is not None:
        more["histories"] = {"training": example_history(30, 0.25, rng)}
        more["seconds"] = {"training": 201.3 + 100 * cost}
    return model(
        task,
        method,
        accuracy,
        cost,
        achieved_cost=policy.achieved_cost,
        changed_layers=tuple(policy.selected_layers),
        first_right=0 if method == "classifier-only" else 40,
        **more,
    )


def example_run():
    """A run with all that a report can show."""
    rng = np.random.default_rng(7)
    base = Result(
        kind="base",
        title="base",
        task="base",
        histories={"training": example_history(30, 0.1, rng)},
        seconds={"training": 812.4},
    )
    return Run(
        settings={"data_dir": ["english", "mandarin"], "seed": 0, "base": None, "lr": 0.01},
        base=BaseFacts("bcresnet1", parameters=9_232, multiplies=2_482_156, num_bytes=46_592),
        tasks=(
            TaskFacts("english", LABELS, EXAMPLES, ("Left out, training: yes/broken.wav",)),
            TaskFacts("mandarin", LABELS, EXAMPLES),
        ),
        results=(
            base,
            *example_results("english", 0),
            *example_results("mandarin", 1, better=0.01),
        ),
        versions={"python": "3.11.4", "keras": "3.15.1", "tensorflow": "2.21.0"},
    )


FILES = {
    "base.keras": "The base, a Keras model.",
    "english/c0.1/model.keras": "The merged model of the task, a plain Keras model.",
    "english/c0.1/task.swr.safetensors": "The task pack: all that the task changes of the base.",
    "english/c0.1/model_int8.tflite": "The int8 model.",
    "english/c0.1/model_int8.json": "Its manifest: labels, front end, scales, operators.",
}


@pytest.fixture(scope="session")
def run():
    return example_run()


@pytest.fixture(scope="session")
def files():
    return FILES


@pytest.fixture(scope="session")
def make_model():
    """Makes the result of a model, see `model`."""
    return model


class Page(html.parser.HTMLParser):
    """What a page contains; fails on tags that aren't closed in order."""

    def __init__(self, text):
        super().__init__(convert_charrefs=True)
        self.tags, self.ids, self.references, self.text = [], set(), set(), []
        self.pictures: dict[str, ElementTree.Element] = {}
        self.open: list[str] = []
        self.feed(text)
        self.close()
        assert not self.open

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        if tag not in ("meta", "br", "img"):
            self.open.append(tag)
        for name, value in attrs:
            assert not name.startswith("on"), (tag, name)
            if name == "src":
                assert tag == "img" and value.startswith(_SVG)
                svg = base64.b64decode(value.removeprefix(_SVG), validate=True)
                self.pictures[dict(attrs)["alt"]] = ElementTree.fromstring(svg)
            if name == "id":
                self.ids.add(value)
            if name == "href":
                self.references.add(value)
            assert "url(" not in (value or "")

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text.append(data)

    @property
    def words(self):
        return " ".join("".join(self.text).split())

    @property
    def drawn(self):
        """All text in pictures."""
        return [" ".join("".join(svg.itertext()).split()) for svg in self.pictures.values()]


@pytest.fixture(scope="session")
def read_page():
    """Reads what a page contains."""
    return Page
