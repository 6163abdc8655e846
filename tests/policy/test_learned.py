import json

import keras
import numpy as np
import pytest
from keras import layers

import swr_keras as swr
from swr_keras.policy.learned import LearnedPolicies


def test_policy_curve(base):
    search = swr.PolicySearch(swr.SuperNet(base))
    curve = search.policies.curve()
    assert json.loads(json.dumps(curve)) == curve
    assert curve["layers"] == ["conv", "depthwise", "pointwise"]
    assert curve["kinds"] == ["convolution", "depthwise", "pointwise"]
    assert curve["sizes"] == [54, 60, 56]
    assert (curve["costs"][0], curve["costs"][-1]) == (0.0, 1.0)
    sizes = np.array(curve["sizes"])
    probabilities = np.array(curve["probabilities"])
    assert probabilities.shape == (len(curve["costs"]), 3)
    np.testing.assert_allclose(curve["expected"], probabilities @ sizes / 170)
    np.testing.assert_allclose(curve["threshold"], (probabilities > 0.5) @ sizes / 170)
    assert np.all(np.array(curve["budget"]) <= np.array(curve["costs"]) + 1e-9)
    assert curve["budget"][-1] == 1.0
    assert search.policies.curve([0.25])["costs"] == [0.25]
    with pytest.raises(ValueError, match="from 0 to 1"):
        search.policies.curve([1.5])


def test_kinds_of_layers():
    inputs = keras.Input((8, 8, 2))
    x = layers.SeparableConv2D(4, 3, name="separable")(inputs)
    x = layers.Dense(4, name="dense")(layers.Flatten()(x))
    base = keras.Model(inputs, layers.Dense(2, name="head")(x))
    curve = swr.PolicySearch(swr.SuperNet(base)).policies.curve([0.5])
    assert curve["kinds"] == ["separable", "dense"]


def test_saved_policies_answer_alike(base, tmp_path):
    policies = swr.PolicySearch(swr.SuperNet(base)).policies
    policies.save(tmp_path / "policies.safetensors")
    again = LearnedPolicies.load(tmp_path / "policies.safetensors")
    assert again.curve() == policies.curve()
    assert again.policy(0.6, "threshold") == policies.policy(0.6, "threshold")


def test_other_files_are_refused(tmp_path):
    path = tmp_path / "policies.safetensors"
    path.write_bytes(b"no policies")
    with pytest.raises(ValueError, match="no file of learned policies"):
        LearnedPolicies.load(path)
