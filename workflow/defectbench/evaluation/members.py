"""Selection of an ensemble's members and their weights, on val (or out-of-fold) images, never on test images."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from defectbench.evaluation.truth import ValidationData, merge_masks
from defectbench.inference.ensemble import common_classes, iterate_aligned, mean_codes
from defectbench.metrics import counts
from defectbench.metrics.codes import N_BINS, probabilities_from_codes
from defectbench.metrics.histograms import joint_histogram, sweep

# Pixels that weights are fitted to, over all images and classes; a bound on memory, whatever the number of images.
_SAMPLE = 2**20


class Sample(NamedTuple):
    """One image with the prediction of every member and the truth."""

    image_id: str
    maps: list[np.ndarray]
    """(C, H, W) uint16 of each member"""
    truth: np.ndarray
    """(C, H, W) bool"""
    ignored: np.ndarray | None
    """(H, W) bool: pixels that nobody decided; None if the dataset marks none"""


class MemberMaps:
    """Complete val predictions of all members, joined with the truth; iterating streams them as :class:`Sample`."""

    def __init__(self, members: Sequence[ValidationData]) -> None:
        """Join ``members``.

        Raises:
            TypeError: if one of them is not of val images: nothing may be decided on test.
            PredictionFileError: while iterating, if they are not of the same images in one order.
        """
        for data in members:
            if not isinstance(data, ValidationData):
                raise TypeError(f"members are chosen on ValidationData only, not {type(data).__name__}")
        self.members = members
        self.n_images = len(members[0].ids)
        self.classes = common_classes([data.predictions for data in members])

    def __len__(self) -> int:
        """Number of members."""
        return len(self.members)

    def __iter__(self) -> Iterator[Sample]:
        """Stream the images."""
        first = self.members[0]
        for image_id, maps in iterate_aligned([data.predictions for data in self.members]):
            yield Sample(image_id, maps, first.true_masks(image_id), first.truth.ignored(image_id))


@dataclass(frozen=True)
class Step:
    """One step of forward selection."""

    added: int
    """index of the member that was added"""
    value: float
    """dice_all with it"""
    tried: dict[int, float]
    """dice_all with each member that could have been added"""


def select_members(data: MemberMaps, most: int) -> list[Step]:
    """Add one member after the other, at equal weights, each time the one with the highest ``dice_all``.

    Stops at ``most`` members or when no further one raises it; of equals the first listed is taken. ``dice_all`` is at
    the best common threshold k/256 of the map's merged classes, from one pass over the images per step.
    Forward selection: R. Caruana et al., Ensemble selection from libraries of models, ICML 2004.
    """
    selected: list[int] = []
    steps: list[Step] = []
    while len(selected) < most:
        free = [member for member in range(len(data)) if member not in selected]
        totals = {member: np.zeros(N_BINS - 1) for member in free}
        for sample in data:
            truth, counted = merge_masks(sample.truth), ... if sample.ignored is None else ~sample.ignored
            # The maximum over classes of the mean: the mean has to come first.
            for member in free:
                codes = mean_codes([sample.maps[m] for m in (*selected, member)]).max(axis=0)
                totals[member] += counts.dice(*sweep(joint_histogram(codes[counted], truth[counted])))
        tried = {member: float(total.max() / data.n_images) for member, total in totals.items()}
        best = max(tried, key=tried.__getitem__)
        if steps and tried[best] <= steps[-1].value:
            break
        selected.append(best)
        steps.append(Step(best, tried[best], tried))
    return steps


def fit_weights(data: MemberMaps, seed: int, iterations: int = 200) -> np.ndarray:
    """Weights (M,) of the mean of probabilities with the highest likelihood of the true pixels; they add up to 1.

    The mean is a mixture, so expectation maximisation climbs to its only maximum (A. P. Dempster et al., Maximum
    likelihood from incomplete data via the EM algorithm, JRSS B 39, 1977). Fitted to pixels drawn from every image and
    class, as many with as without a defect where there are as many, each weighted by the number that it represents.
    """
    likelihood, weight = _sample_pixels(data, np.random.default_rng(seed))
    weights = np.full(len(data), 1 / len(data))
    for _ in range(iterations):
        shares = likelihood * weights
        shares /= shares.sum(axis=1, keepdims=True)
        better = weight @ shares / weight.sum()
        if np.abs(better - weights).max() < 1e-6:
            return better
        weights = better
    return weights


def _sample_pixels(data: MemberMaps, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Probability that each member gives to the truth of the sampled pixels, (N, M), and the weight of these, (N,)."""
    per_side = max(1, _SAMPLE // (2 * data.n_images * len(data.classes)))
    likelihood, weight = [], []
    for sample in data:
        for plane, truth in enumerate(sample.truth):
            for side in (True, False):
                is_counted = truth == side if sample.ignored is None else (truth == side) & ~sample.ignored
                pixels = np.flatnonzero(is_counted)
                sampled = rng.choice(pixels, min(per_side, len(pixels)), replace=False)
                p = np.stack([probabilities_from_codes(codes[plane].ravel()[sampled]) for codes in sample.maps], axis=1)
                likelihood.append((p if side else 1 - p).astype(np.float32))
                weight.append(np.full(len(sampled), len(pixels) / max(1, len(sampled)), np.float32))
    # Never 0: a member that is sure and wrong must not make a pixel impossible.
    return np.maximum(np.concatenate(likelihood), 1e-12).astype(np.float64), np.concatenate(weight)
