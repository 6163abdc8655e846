"""What SWR is without one of its parts, or with one more."""

import dataclasses

from swr_keras.methods.swr import SWR


def ablations(method: SWR) -> dict[str, SWR]:
    """Returns a setting of SWR with one thing changed at a time, by short names.

    Not staged, a policy that would be refined is read by budget instead, which keeps the cost, too.

    Args:
        method: The setting that they are compared with; staged, any layer may change.

    Source: table 2 and figure 2 of arXiv 2302.13435; "all gates open" is how its super-net trains.
    """
    learning = method.learning

    def learned(**changes):
        return dataclasses.replace(method, learning=dataclasses.replace(learning, **changes))

    unweighed = dataclasses.replace(learning.search, weigh_layers=False)
    at_once = "budget" if method.reading == "refined" else method.reading
    return {
        "not-staged": dataclasses.replace(method, staged=False, reading=at_once),
        "batch-norm-affine": dataclasses.replace(
            method, batch_norm="affine", variant="+ BN affine"
        ),
        "supernet-weight": dataclasses.replace(method, start="supernet"),
        "without-supernet": learned(joint=True, sample_gates=True),
        "without-layer-weights": learned(search=unweighed),
        "all-gates-open": dataclasses.replace(
            learned(sample_gates=False), variant="all gates open"
        ),
    }
