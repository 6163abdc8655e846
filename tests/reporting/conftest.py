"""A run with all that a report can show, of made-up results."""

import numpy as np
import pytest

from swr_keras.policy.policy import Policy

LABELS = ["_silence_", "_unknown_", "yes", "no", "up", "down", "left", "right", "on", "off", "go"]
COSTS = (0.05, 0.1, 0.3)


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
        "clips": {"training": 8_000, "validation": 1_000, "testing": 1_200},
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


@pytest.fixture(scope="session")
def run():
    return example_run()
