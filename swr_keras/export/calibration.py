"""Which calibration examples may set the range of activations."""

import dataclasses

import keras
import numpy as np
from keras import layers, ops, tree

from swr_keras.export.trace import inference_graph

_BOUNDED_LAYERS = (layers.Softmax,)
_BOUNDED = (
    keras.activations.sigmoid,
    keras.activations.softmax,
    keras.activations.tanh,
    keras.activations.hard_sigmoid,
)
_BINS = 4
_TIED = 0.05


@dataclasses.dataclass(frozen=True)
class Calibration:
    """How a conversion was calibrated.

    Attributes:
        examples: Examples that were given.
        kept: Those of them that set the ranges.
        agreement: Share of answers (the class found; of a single output, its side of the
            threshold) that are the float model's, averaged over the answers of the float model,
            so that a rare one counts as much as any other.
        snr_db: Power of the float outputs' variation over that of the difference, in dB, median
            over the examples compared.
    """

    examples: int
    kept: int
    agreement: float
    snr_db: float


def extremeness(model: keras.Model, examples: np.ndarray) -> np.ndarray:
    """Scores how far each example drives the activations of a model.

    The range of an int8 activation is that of its largest value over all calibration examples. A
    single odd one (digital silence, whose log-mel is the logarithm of the floor) can widen ranges
    so far that all others lose most of their steps. An example's score is the largest ratio, over
    all activations, of its magnitude to the median magnitude over examples. The model's outputs
    and what is bounded anyway (sigmoid, softmax, tanh) don't count: there, far is what is sought.

    Args:
        model: A model with batch 1, as `deploy_graph` returns it.
        examples: float32 `(n, *input_shape[1:])`.

    Returns:
        float32 `(n,)`, around 1 for ordinary examples.
    """
    magnitudes = _magnitude_probe(model).predict(examples, batch_size=1, verbose=0)
    typical = np.median(magnitudes, axis=0)
    return np.max(magnitudes / np.where(typical > 0, typical, 1.0), axis=1)


def _magnitude_probe(model):
    """A model that gives the largest magnitude of every activation, `(1, activations)`."""
    graph = inference_graph(model)
    outputs = {id(tensor) for tensor in tree.flatten(graph.outputs)}
    activations = [
        tensor
        for call in graph.calls
        for tensor in tree.flatten(call.output)
        if tensor.dtype == "float32" and id(tensor) not in outputs and not _is_bounded(call)
    ]
    activations = activations or tree.flatten(graph.inputs)
    magnitudes = [ops.reshape(ops.max(ops.abs(tensor)), (1, 1)) for tensor in activations]
    return keras.Model(graph.inputs, ops.concatenate(magnitudes, axis=-1))


def _is_bounded(call):
    activation = getattr(call.operation, "activation", None)
    return isinstance(call.operation, _BOUNDED_LAYERS) or activation in _BOUNDED


def representatives(outputs: np.ndarray, most: int) -> np.ndarray:
    """Chooses examples that stand for all: as many of each answer as there are, up to its share.

    Args:
        outputs: What the float model gives for all examples, `(n, ...)`.
        most: Most examples to choose.

    Returns:
        Their indices, rising.
    """
    strata = _strata(outputs)
    kinds = np.unique(strata)
    share = max(most // len(kinds), 1)
    chosen = [_spread(np.flatnonzero(strata == kind), share) for kind in kinds]
    rest = np.setdiff1d(np.arange(len(outputs)), np.concatenate(chosen))
    chosen.append(_spread(rest, max(most - sum(map(len, chosen)), 0)))
    return np.sort(np.concatenate(chosen))[: max(most, len(kinds))]


def _spread(rows, count):
    if not count:
        return rows[:0]
    return rows[np.unique(np.linspace(0, len(rows) - 1, min(count, len(rows))).astype(int))]


def agreement(found: np.ndarray, expected: np.ndarray) -> float:
    """Returns the `agreement` of a `Calibration` between outputs `(n, ...)` and the float ones."""
    return float(_agreements(found, expected).mean())


def _agreements(found, expected):
    """Share of the same answers for each answer of the float model."""
    answers = _answers(expected, expected)
    same = _answers(found, expected) == answers
    return np.array([same[answers == answer].mean() for answer in np.unique(answers)])


def snr_db(found: np.ndarray, expected: np.ndarray) -> float:
    """Returns the `snr_db` of a `Calibration` for outputs `(n, ...)` and the float ones."""
    noise, variation = _powers(found, expected)
    return float(10 * np.log10(max(variation, 1e-12) / max(np.median(noise), 1e-12)))


def by_nearness(candidates: list[np.ndarray], expected: np.ndarray) -> list[int]:
    """Orders several outputs by how near they come to the float model's, rare answers included.

    First come, of the candidates that lose the fewest answers altogether, and whose agreement is
    within 5 points of the best, those with the smallest error: the mean over examples, bounded for
    each, since odd ones are clipped on purpose. A single output is judged by the error over each
    part of its range instead: an alarm that never goes off is a large error over all of the part
    that matters.

    Args:
        candidates: Outputs `(n, ...)` of each.
        expected: Outputs of the float model.
    """
    if _is_single(expected):
        by_part = [_error_by_part(found, expected) for found in candidates]
        return sorted(range(len(candidates)), key=lambda index: by_part[index])
    by_answer = [_agreements(found, expected) for found in candidates]
    lost = [np.count_nonzero(each == 0) for each in by_answer]
    means = [each.mean() if lost[i] == min(lost) else 0.0 for i, each in enumerate(by_answer)]
    errors = [mean_error(found, expected) for found in candidates]
    worse = [each < max(means) - _TIED for each in means]
    return sorted(range(len(candidates)), key=lambda index: (worse[index], errors[index]))


def _error_by_part(found, expected):
    bounded = _bounded_errors(found, expected)
    strata = _strata(expected)
    return np.mean([bounded[strata == kind].mean() for kind in np.unique(strata)])


def _bounded_errors(found, expected):
    """Error of each example in units of the outputs' variation, at most 1."""
    noise, variation = _powers(found, expected)
    return np.minimum(noise / (variation or 1.0), 1.0)


def _powers(found, expected):
    """Squared difference of each example, and mean squared deviation of the float outputs."""
    found, expected = (np.float64(each).reshape(len(each), -1) for each in (found, expected))
    variation = np.mean(np.square(expected - expected.mean(axis=0)))
    return np.mean(np.square(found - expected), axis=1), variation


def mean_error(found: np.ndarray, expected: np.ndarray) -> float:
    """Returns the mean error of outputs `(n, ...)`, from 0 to 1: the float ones' variation."""
    return float(np.mean(_bounded_errors(found, expected)))


def _is_single(outputs):
    return outputs[0].size == 1


def _answers(outputs, reference):
    flat = outputs.reshape(len(outputs), -1)
    if not _is_single(outputs):
        return flat.argmax(axis=1)
    probability = reference.min() >= 0 and reference.max() <= 1
    return (flat[:, 0] > (0.5 if probability else 0.0)).astype(int)


def _strata(outputs):
    """The answer of each example; of a single output, with the part of its range."""
    answers = _answers(outputs, outputs)
    if not _is_single(outputs):
        return answers
    values = outputs.reshape(-1)
    edges = np.linspace(values.min(), values.max(), _BINS + 1)[1:-1]
    return answers * _BINS + np.digitize(values, edges)
