"""The persons of the synthetic corpus: how each of them speaks, and over which channel."""

from dataclasses import dataclass

import numpy as np

VARIANTS = {
    "training": """
        Alex Andy Denis Diogo Henrique Hugo Jacky Lee Mike Reed adam anika antonio belinda benjamin
        croak david edward edward2 f1 grandma grandpa iven iven2 iven3 iven4 john kaukovalta klatt3
        klatt4 klatt5 klatt6 linda m1 m3 m4 m5 m6 max michel miguel mike2 pablo paul quincy rob
        robert zac
    """.split(),
    "validation": """
        Andrea Mario Michael Nguyen Storm Tweaky ed gustave m7 m8 marcelo steph steph2 steph3
    """.split(),
    "testing": """
        Annie Gene Gene2 boris f4 ian klatt klatt2 m2 norbert pedro shelby travis
    """.split(),
}
"""Variants of espeak-ng by split; those that sound alike share one.

Left out: robots, whisperers and monotonous ones, and Alicia, Demonic, f2, f3, f5, sandro, victor,
which read uninitialised memory and never say a word twice alike.
"""

ACCENTS = (
    "en",
    "en-029",
    "en-GB-scotland",
    "en-GB-x-gbclan",
    "en-GB-x-gbcwmd",
    "en-GB-x-rp",
    "en-US",
    "en-US-nyc",
)

MIN_SPEAKERS = 12
# Of how many speakers one is held out for it.
_HELD_OUT = {"validation": 10, "testing": 3}


@dataclass(frozen=True)
class Speaker:
    """One person with a microphone in a room.

    Attributes:
        name: As in the names of files.
        split: `"training"`, `"validation"` or `"testing"`.
        variant: Of espeak-ng.
        accent: Voice of espeak-ng for English.
        words_per_minute, pitch, pitch_range: As for `Espeak.say`.
        warp: Factor of all frequencies; above 1 for a shorter vocal tract.
        tilt_db: Of the microphone, per octave.
        low_cut_hz: Of the microphone.
        reverberation_seconds: Time in which the room's echo decays by 60 dB.
        echo_db: Energy of the echo relative to the direct sound.
        peak_db: Largest sample of a clip, relative to full scale.
        snr_db: Of the clips.
    """

    name: str
    split: str
    variant: str
    accent: str
    words_per_minute: int
    pitch: int
    pitch_range: int
    warp: float
    tilt_db: float
    low_cut_hz: float
    reverberation_seconds: float
    echo_db: float
    peak_db: float
    snr_db: float


def draw_speakers(speakers: int, seed: int) -> tuple[Speaker, ...]:
    """Draws persons: a tenth for validation, a third for testing, the others for training.

    Raises:
        ValueError: If there are fewer speakers than 12, or the seed is negative.
    """
    if speakers < MIN_SPEAKERS:
        raise ValueError(f"speakers must be at least {MIN_SPEAKERS}. Received: {speakers}.")
    if seed < 0:
        raise ValueError(f"seed must not be negative. Received: seed={seed}.")
    held_out = {split: speakers // share for split, share in _HELD_OUT.items()}
    sizes = {"training": speakers - sum(held_out.values()), **held_out}
    drawn: list[Speaker] = []
    for split, size in sizes.items():
        random = np.random.default_rng([0, seed, len(drawn)])
        # Every variant serves equally often, as far as the number allows.
        variants = np.resize(random.permutation(VARIANTS[split]), size).tolist()
        for variant in variants:
            drawn.append(_draw(f"s{len(drawn):04d}", split, variant, random))
    return tuple(drawn)


def _draw(name: str, split: str, variant: str, random: np.random.Generator) -> Speaker:
    def uniform(low: float, high: float) -> float:
        return round(random.uniform(low, high), 3)

    return Speaker(
        name=name,
        split=split,
        variant=variant,
        accent=ACCENTS[random.integers(len(ACCENTS))],
        words_per_minute=int(random.integers(130, 220)),
        pitch=int(random.integers(20, 81)),
        pitch_range=int(random.integers(35, 86)),
        warp=uniform(0.90, 1.12),
        tilt_db=uniform(-3, 3),
        low_cut_hz=uniform(40, 300),
        reverberation_seconds=uniform(0.1, 0.5),
        echo_db=uniform(-20, -3),
        peak_db=uniform(-18, -2),
        snr_db=uniform(12, 40),
    )
