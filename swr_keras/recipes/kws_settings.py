"""What the keyword-spotting recipe is asked to do."""

import dataclasses

import keras

from swr_keras import audio, backbones

_EPOCHS = {"supernet_epochs": 10, "task_epochs": 12}
_MIN_STEPS = 200


@dataclasses.dataclass(frozen=True)
class Settings:
    """The flags of the recipe as a value; `kws.py` says what each means."""

    data_dir: list[str] | None
    test_dir: list[str] | None
    noise_dir: str | None
    keywords: list[str] | None
    unknown_words: list[str] | None
    unknown_cap: float | None
    silence: bool
    share_unknown: bool
    skip_unreadable: bool
    clip_seconds: float
    resample: bool
    audio_reader: str
    features: str
    backbone: str
    base: str | None
    pretrained: str | None
    target_cost: tuple[float, ...]
    reading: str
    bn_mode: str
    base_epochs: int
    supernet_epochs: int | None
    sample_gates: bool
    search_steps: int
    task_epochs: int | None
    batch_size: int
    base_learning_rate: float
    learning_rate: float
    classifier_learning_rate: float
    search_learning_rate: float
    cost_weight: float
    base_snr_db: tuple[float, float] | None
    train_snr_db: tuple[float, float] | None
    test_snr_db: tuple[float, float] | None
    baselines: bool
    random_policies: int
    last_layers_first: bool
    calibration_clips: int
    seed: int
    output_dir: str

    @property
    def front_end(self) -> audio.FrontEnd:
        """The front end, at 16 kHz."""
        return audio.FRONT_ENDS["embedding_mel" if self.pretrained else self.features](16000)

    @property
    def spec_augment_freq_width(self) -> int | None:
        """See `audio.spec_augment_freq_width`; none for other backbones than BC-ResNet."""
        if self.pretrained or not self.backbone.startswith("bcresnet"):
            return None
        return audio.spec_augment_freq_width(float(self.backbone.removeprefix("bcresnet")))

    def epochs(self, name: str, steps_per_epoch: int) -> int:
        """Returns the flag `supernet_epochs` or `task_epochs`, or else enough for few clips."""
        return getattr(self, name) or max(_EPOCHS[name], -(-_MIN_STEPS // steps_per_epoch))

    def build_backbone(self, num_classes: int, input_shape: tuple[int, ...]) -> keras.Model:
        """Builds the base with fresh weights."""
        options = {"num_classes": num_classes, "input_shape": input_shape}
        if self.backbone.startswith("bcresnet"):
            return backbones.bcresnet(float(self.backbone.removeprefix("bcresnet")), **options)
        width = {"res15": 45, "res15-narrow": 19}[self.backbone]
        return backbones.res15(width, **options)
