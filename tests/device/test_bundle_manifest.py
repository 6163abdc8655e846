import hashlib
import json

import numpy as np
import pytest

from swr_keras.audio import LogMel
from swr_keras.device import Bundle, bundle_manifest, read_bundle_manifest, write_bundle
from swr_keras.export import LiteModel, describe_front_end

FRONT_END = describe_front_end(LogMel(num_mels=10))


@pytest.fixture(scope="module")
def bundle(tasks):
    return Bundle.build(tasks)


def test_a_bundle_comes_with_all_that_a_device_must_know(bundle, tasks, tmp_path):
    write_bundle(tmp_path, bundle, name="words", front_end=FRONT_END)
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        f"words.{suffix}" for suffix in ("bin", "cc", "h", "json")
    ]
    found = read_bundle_manifest(tmp_path / "words.bin", bundle)
    assert found["sha256"] == hashlib.sha256(bundle.image).hexdigest()
    assert found["size_bytes"] == len(bundle.image)
    assert LogMel(**found["front_end"]["parameters"]) == LogMel(num_mels=10)
    assert list(found["tasks"]) == list(tasks)
    for name, task in tasks.items():
        described = found["tasks"][name]
        model = LiteModel(bundle.model(name))
        assert described["labels"] == list(task.labels)
        assert described["input"]["shape"] == [1, 12, 10, 1]
        for tensor, scale, zero_point in (
            ("input", model.input_scale, model.input_zero_point),
            ("output", model.output_scale, model.output_zero_point),
        ):
            assert described[tensor]["scale"] == pytest.approx(scale)
            assert described[tensor]["zero_point"] == zero_point


@pytest.mark.parametrize(
    "front_end", [{}, {"class": "LogMel"}, {"class": "LogMel", "parameters": {"x": np.nan}}]
)
def test_nothing_is_written_without_a_front_end(front_end, bundle, tmp_path):
    with pytest.raises(ValueError, match="Received: "):
        write_bundle(tmp_path, bundle, name="words", front_end=front_end)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda found: found | {"format": "other/1"}, "whose format is"),
        (lambda found: [found], "whose format is"),
        (lambda found: found | {"sha256": "0"}, "describes another bundle"),
    ],
)
def test_another_manifest_is_refused(change, message, bundle, tmp_path):
    described = change(bundle_manifest(bundle, FRONT_END))
    (tmp_path / "words.json").write_text(json.dumps(described))
    with pytest.raises(ValueError, match=message):
        read_bundle_manifest(tmp_path / "words.bin", bundle)


def test_a_missing_manifest_is_said(bundle, tmp_path):
    with pytest.raises(FileNotFoundError, match="the manifest of a bundle"):
        read_bundle_manifest(tmp_path / "words.bin", bundle)
