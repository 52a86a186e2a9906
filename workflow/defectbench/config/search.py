"""Which experiments of a study a search over settings compares."""

from collections.abc import Sequence

from defectbench.config.experiment import Experiment


def divide(experiments: Sequence[Experiment]) -> tuple[list[Experiment], dict[str, list[Experiment]]]:
    """The trainings that can be ranked by the same numbers, and the others by why they cannot.

    Of experiments that differ only in how they predict there is one training.
    """
    compared: list[Experiment] = []
    others: dict[str, list[Experiment]] = {}
    for experiment in {one.training.exp_id: one.training for one in experiments}.values():
        reason = _obstacle(experiment)
        (others.setdefault(reason, []) if reason else compared).append(experiment)
    return compared, others


def _obstacle(experiment: Experiment) -> str:
    """Why a training's score on val, as history.csv has it, is not that of the others; empty if it is."""
    if experiment.traits.unsearchable:
        return experiment.traits.unsearchable
    return "cross-validated: each fold has val images of its own" if experiment.cv else ""
