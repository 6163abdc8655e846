import keras
import numpy as np
import pytest
import tensorflow as tf

from swr_keras import audio
from swr_keras.recipes.kws_results import Results
from swr_keras.recipes.kws_tasks import KeywordTask
from swr_keras.reporting.results import CLASSIFIER, SWR

LABELS = np.array([0, 1, 0, 1, 1], np.int32)


def model_that_finds(classes):
    """A model whose logits pick these classes, whatever it is shown."""
    inputs = keras.Input((2,))
    model = keras.Model(inputs, keras.layers.Rescaling(1.0)(inputs))
    return model, tf.data.Dataset.from_tensors((np.eye(2, dtype="float32")[classes], LABELS))


def test_rows_count_the_clips_that_the_classifier_alone_gets_right_too():
    split = audio.Split(np.zeros((5, 1), "float32"), LABELS, tuple("abcde"), recorded=np.ones(5))
    task = KeywordTask("english", ("no", "yes"), {"validation": split, "testing": split}, ())
    results = Results(task, None, {})
    for method, found in (
        ("base", [0, 0, 0, 0, 0]),
        (CLASSIFIER, [0, 1, 1, 0, 1]),
        (SWR, [1, 1, 0, 1, 1]),
    ):
        model, dataset = model_that_finds(found)
        results.add(method, model, {"validation": dataset, "testing": dataset})
    base, classifier, swr = results.rows
    assert "both_right" not in base | classifier
    assert swr["testing_accuracy"] == pytest.approx(4 / 5)
    assert swr["both_right"] == pytest.approx(2 / 5)
