r"""Keyword spotting: from folders of recordings to verified int8 models, one for each task.

Trains (or loads) a base on the words of all folders, learns for each folder which layers to
change at the target cost, trains these, and writes the merged models:

  python -m swr_keras.recipes.kws --data_dir=english,mandarin --target_cost=0.1

The run's folder gets a report.html. A run that was stopped goes on when called again.
"""

import math
import os
import platform
import sys
from collections.abc import Sequence
from typing import Any

from absl import app, flags, logging

from swr_keras.backbones.bcresnet import TAUS
from swr_keras.layers.normalization import TaskNormalization
from swr_keras.policy.policy import READINGS, check_target_cost
from swr_keras.recipes.kws_run import run
from swr_keras.recipes.kws_settings import Settings

_FEATURES = ["log_mel", "mfcc", "micro_frontend"]
_BACKBONES = [*(f"bcresnet{tau:g}" for tau in TAUS), "res15", "res15-narrow"]
# The base hears synthetic speech in little noise; a task learns to spot it in much noise.
_SYNTHETIC_SNR_DB = {"train_snr_db": (0.0, 20.0), "test_snr_db": (0.0, 10.0)}

flags.DEFINE_list(
    "data_dir",
    None,
    "Folders of recordings, comma-separated, one a task, in the layout of Speech Commands: "
    "<folder>/<word>/<speaker>_nohash_<n>.wav (or .flac) and <folder>/_background_noise_/; or in "
    "MagicHub's, with a words.json. Default: synthetic English and Mandarin, made on first use.",
)
flags.DEFINE_list(
    "test_dir",
    None,
    "For each folder, one with the clips to test on, by class, such as the test set of Speech "
    "Commands; an empty entry for none. Default: the folders' own test lists.",
)
flags.DEFINE_string("noise_dir", None, "Background recordings for folders in MagicHub's layout.")
flags.DEFINE_list(
    "keywords", None, "Words to spot, over all folders. Default: all but --unknown_words."
)
flags.DEFINE_list(
    "unknown_words",
    None,
    "Words of the class 'unknown', over all folders. Default: all but --keywords.",
)
flags.DEFINE_float(
    "unknown_cap",
    None,
    "Most clips of unknown words, as a share of the keywords' clips; 0.1 in the 12-class "
    "benchmark. Default: all.",
    lower_bound=0,
)
flags.DEFINE_bool(
    "share_unknown", True, "Whether tasks share the base's classes 'unknown' and 'silence'."
)
flags.DEFINE_bool(
    "skip_unreadable", False, "Whether to leave out clips that can't be used, and list them."
)
flags.DEFINE_bool("silence", True, "Whether there is a class 'silence', made of the noises.")
flags.DEFINE_float("clip_seconds", 1.0, "Length of a clip in seconds.", lower_bound=0.1)
flags.DEFINE_bool("resample", False, "Whether to accept other sample rates than 16 kHz.")
flags.DEFINE_enum(
    "audio_reader", "soundfile", ["soundfile", "tensorflow_io"], "Library that decodes the clips."
)
flags.DEFINE_enum("features", "log_mel", _FEATURES, "Front end.")
flags.DEFINE_enum("backbone", "bcresnet1", _BACKBONES, "Architecture of the base.")
flags.DEFINE_string(
    "base", None, "A trained base (.keras) for these features. Default: train one on all words."
)
flags.DEFINE_enum(
    "pretrained",
    None,
    ["speech_embedding"],
    "A published base with features of its own: Google's speech embedding, 328,224 parameters.",
)
flags.DEFINE_list(
    "target_cost",
    ["0.1"],
    "Share of the base's parameters that a task may own, from 0 to 1; or several, comma-separated.",
)
flags.DEFINE_enum("reading", "budget", READINGS, "How layers are chosen from their probabilities.")
flags.DEFINE_enum(
    "bn_mode", "statistics", TaskNormalization.MODES, "What of batch norm belongs to a task."
)
flags.DEFINE_integer("base_epochs", 10, "Epochs of the base.", lower_bound=1)
flags.DEFINE_integer(
    "supernet_epochs",
    None,
    "Epochs of each task's super-net. Default: 10, or as many as make 200 steps.",
    lower_bound=1,
)
flags.DEFINE_bool(
    "sample_gates",
    True,
    "Whether the super-net trains with gates drawn for each batch, or with all of them open.",
)
flags.DEFINE_integer(
    "search_steps", 400, "Steps of each task's policy search, of 16 clips.", lower_bound=10
)
flags.DEFINE_integer(
    "task_epochs",
    None,
    "Epochs of each task model. Default: 12, or as many as make 200 steps.",
    lower_bound=1,
)
flags.DEFINE_integer("batch_size", 64, "Clips a batch.", lower_bound=2)
flags.DEFINE_float("base_learning_rate", 5e-3, "Adam's first rate for the base.", lower_bound=0)
flags.DEFINE_float(
    "learning_rate",
    None,
    "Adam's first rate for super-nets and task models. Default: 0.01; for a published base 0.001.",
    lower_bound=0,
)
flags.DEFINE_float(
    "classifier_learning_rate", 1e-2, "Adam's first rate for classifier-only.", lower_bound=0
)
flags.DEFINE_float(
    "search_learning_rate", 5e-3, "Adam's first rate for the policy network.", lower_bound=0
)
flags.DEFINE_float("cost_weight", 3.0, "Factor of the cost loss in the policy search.")
flags.DEFINE_list(
    "train_snr_db",
    None,
    "Lowest and highest SNR in the tasks' training in dB. Default: the paper's noise, of random "
    "gain; for synthetic speech 0,20.",
)
flags.DEFINE_list(
    "base_snr_db", None, "Likewise in the training of the base. Default: the paper's noise."
)
flags.DEFINE_list(
    "test_snr_db",
    None,
    "Lowest and highest SNR at validation and test in dB, over the whole clip, of crops of the "
    "same recordings of noise as in training. Default: no noise; for synthetic speech 0,10.",
)
flags.DEFINE_bool("baselines", True, "Whether to train classifier-only and fine-tuning all, too.")
flags.DEFINE_integer(
    "random_policies", 0, "Number of random policies to compare with at each cost.", lower_bound=0
)
flags.DEFINE_bool(
    "last_layers_first",
    False,
    "Whether to compare with a policy that takes the layers from the last one on, at each cost.",
)
flags.DEFINE_integer(
    "calibration_clips", 200, "Training clips that int8 is calibrated on.", lower_bound=1
)
flags.DEFINE_integer("seed", 0, "Seed of everything random.", lower_bound=0)
flags.DEFINE_string(
    "output_dir", "runs/kws", "Folder to write: a new one, or that of a run to go on with."
)


def _numbers(values: Sequence[str] | None) -> tuple[float, ...] | None:
    return None if values is None else tuple(float(value) for value in values)


def _valid_costs(values):
    try:
        costs = _numbers(values) or ()
        for cost in costs:
            check_target_cost(cost)
    except ValueError as error:
        raise flags.ValidationError(str(error)) from None
    if len(set(costs)) < len(costs):
        raise flags.ValidationError(f"a cost is given twice, received {values}")
    return bool(values)


def _valid_folders(values):
    if values is not None and not all(values or [""]):
        raise flags.ValidationError(f"an entry names no folder, received {values}")
    return True


def _valid_snr(values):
    try:
        snr = _numbers(values)
    except ValueError as error:
        raise flags.ValidationError(str(error)) from None
    if snr is not None and not (
        len(snr) == 2 and all(map(math.isfinite, snr)) and snr[0] <= snr[1]
    ):
        raise flags.ValidationError(f"expected the lowest and the highest SNR, received {values}")
    return True


flags.register_validator("data_dir", _valid_folders)
flags.register_validator("target_cost", _valid_costs)
flags.register_validator("base_snr_db", _valid_snr)
flags.register_validator("train_snr_db", _valid_snr)
flags.register_validator("test_snr_db", _valid_snr)
flags.register_validator(
    "cost_weight", lambda value: value > 0, message="the cost loss needs a positive factor"
)

flags.register_multi_flags_validator(
    ["base", "pretrained"],
    lambda values: not (values["base"] and values["pretrained"]),
    message="the base is either --base or --pretrained",
)


def settings_from_flags() -> Settings:
    """Returns the flags as one value."""
    defined = flags.FLAGS.get_key_flags_for_module(sys.modules[__name__])
    values: dict[str, Any] = {flag.name: flag.value for flag in defined}
    for name in ("target_cost", "base_snr_db", "train_snr_db", "test_snr_db"):
        values[name] = _numbers(values[name])
    if values["learning_rate"] is None:
        values["learning_rate"] = 1e-3 if values["pretrained"] else 1e-2
    if values["data_dir"] is None:
        values |= {name: values[name] or snr for name, snr in _SYNTHETIC_SNR_DB.items()}
    return Settings(**values)


def main(argv):
    if len(argv) > 1:
        raise app.UsageError(f"Unknown arguments: {argv[1:]}. Flags take the form --name=value.")
    logging.set_verbosity(logging.WARNING)
    try:
        run(settings_from_flags())
    except KeyboardInterrupt:
        print("\nInterrupted. The same command goes on from here.", file=sys.stderr)
        return 130
    except (ValueError, OSError, ImportError, FloatingPointError) as error:
        print(f"\nError: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    # On x86 without AVX-512, TensorFlow leaves its fast kernels off unless told before its import.
    if platform.machine() == "x86_64" and "TF_ENABLE_ONEDNN_OPTS" not in os.environ:
        os.environ["TF_ENABLE_ONEDNN_OPTS"] = "1"
        os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])
    app.run(main)
