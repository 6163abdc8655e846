import re

import keras
import pytest
from absl import flags

from swr_keras.recipes import kws
from swr_keras.recipes.kws_run import bundle_name

NAMES = ("english", "en-US", "en US", "की", "का", "2nd", "task_1")


def test_bundles_of_a_run_have_c_names_of_their_own():
    names = [bundle_name(task, cost) for task in NAMES for cost in (0.1, 0.01, 1e-5, 1)]
    assert names[0] == "english_c0_1_int8"
    assert all(name.isascii() and name.isidentifier() for name in names)
    assert len(set(names)) == len(names)


@pytest.mark.parametrize(
    ("shape", "labels", "message"),
    [
        ((101,), None, r"takes inputs of shape \(101,\)"),
        ((99, 40, 1), None, "takes inputs of shape"),
        ((101, 40, 1), '{"labels": ["a", "b"]}', "names of its 3 outputs"),
        ((101, 40, 1), "{}", "names of its 3 outputs"),
        ((101, 40, 1), "labels", "names of its 3 outputs"),
    ],
)
def test_a_base_that_does_not_fit_is_refused(
    shape, labels, message, tmp_path, write_corpus, capsys
):
    corpus = write_corpus(tmp_path / "english", ["yes", "no"])
    keras.Sequential([keras.Input(shape), keras.layers.Flatten(), keras.layers.Dense(3)]).save(
        tmp_path / "base.keras"
    )
    if labels:
        (tmp_path / "base.json").write_text(labels)
    output = tmp_path / "run"
    flags.FLAGS.unparse_flags()
    flags.FLAGS(
        ["kws", f"--data_dir={corpus}", f"--base={tmp_path}/base.keras", f"--output_dir={output}"]
    )
    assert kws.main(["kws"]) == 1
    assert re.search(message, capsys.readouterr().err)
    assert not output.exists()
