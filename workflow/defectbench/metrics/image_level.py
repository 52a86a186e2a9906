"""Metrics of inspection, which passes or stops whole images: by their defect score, over all thresholds.

The defect score of an image is the highest code of its map, as for MVTec AD (Bergmann et al., IJCV 129, 2021): a
threshold flags the image exactly if it leaves at least one pixel of the mask.
"""

from typing import NamedTuple

import numpy as np

from defectbench.metrics.definition import NOT_ORACLE, SHARE, Definition
from defectbench.metrics.histograms import average_precision

ESCAPES = (0, 1, 2, 5)
"""Escape rates in % that thresholds are chosen for."""


class ImageScores(NamedTuple):
    """N images: their defect scores, codes (N,) int64, and whether they are defective, (N,) bool."""

    codes: np.ndarray
    defective: np.ndarray

    @property
    def n_defective(self) -> int:
        """Number of defective images."""
        return int(self.defective.sum())

    @property
    def both_kinds(self) -> bool:
        """Whether some images are defective and some are clean."""
        return 0 < self.n_defective < len(self.defective)

    def rates(self) -> "Rates":
        """Overkill and escape rates at every threshold that matters; NaN where there is no image of the kind."""
        candidates = np.append(np.unique(self.codes), self.codes.max(initial=-1) + 1)
        return Rates(candidates, self.overkill(candidates), self.escape(candidates))

    def overkill(self, threshold: np.ndarray | int) -> np.ndarray:
        """Share of clean images flagged, of ``threshold``'s shape: those with a score of at least ``threshold``."""
        clean = np.sort(self.codes[~self.defective])
        return 1 - _share_below(clean, threshold)

    def escape(self, threshold: np.ndarray | int) -> np.ndarray:
        """Share of defective images missed, of ``threshold``'s shape: those with a score below ``threshold``."""
        return _share_below(np.sort(self.codes[self.defective]), threshold)

    def histogram(self) -> np.ndarray:
        """Clean and defective images per distinct score, ascending: (2, K) int64."""
        codes, index = np.unique(self.codes, return_inverse=True)
        return np.stack([np.bincount(index[kind], minlength=len(codes)) for kind in (~self.defective, self.defective)])


class Rates(NamedTuple):
    """Rates at thresholds from the lowest up, all (K,): an image is flagged if its score is at least the threshold."""

    threshold: np.ndarray
    """codes; the last one flags no image"""
    overkill: np.ndarray
    """share of clean images flagged"""
    escape: np.ndarray
    """share of defective images missed"""

    def index_at_escape(self, percent: int, n_defective: int) -> int:
        """Index of the highest threshold by which at most ``percent`` % of ``n_defective`` images escape."""
        missed = np.rint(self.escape * n_defective).astype(np.int64)
        return int(np.flatnonzero(100 * missed <= percent * n_defective)[-1])

    def index_of_least_cost(self, of_overkill: float, of_escape: float) -> int:
        """Index of the lowest ``of_overkill`` · overkill + ``of_escape`` · escape; of equals the highest threshold."""
        cost = of_overkill * self.overkill + of_escape * self.escape
        return int(np.flatnonzero(cost <= cost.min() + 1e-12)[-1])


def supports_escape(percent: int, n_defective: int) -> bool:
    """Whether ``percent`` % of ``n_defective`` images are at least one; 0 % always is what it says."""
    return percent == 0 or percent * n_defective >= 100


def image_auroc(images: ImageScores) -> float | None:
    """Probability that a defective image scores higher than a clean one, ties half; None without both kinds."""
    if not images.both_kinds:
        return None
    clean, defective = images.histogram()
    below = np.cumsum(clean) - clean / 2
    return float(below @ defective / (clean.sum() * defective.sum()))


def image_ap(images: ImageScores) -> float | None:
    """Average precision of "defective" over the images' scores; None without both kinds of images."""
    return average_precision(images.histogram()) if images.both_kinds else None


def operating_rates(val: ImageScores, test: ImageScores) -> dict[str, float | None]:
    """Both rates of test images by column, at the threshold for each of ESCAPES on the val images.

    None without both kinds of images in both roles, or if that share of the defective val images is less than one.
    """
    rates: dict[str, float | None] = dict.fromkeys(OPERATING_RATES)
    if val.both_kinds and test.both_kinds:
        curve = val.rates()
        for percent in (percent for percent in ESCAPES if supports_escape(percent, val.n_defective)):
            threshold = int(curve.threshold[curve.index_at_escape(percent, val.n_defective)])
            rates[f"overkill_at_escape_{percent}"] = float(test.overkill(threshold))
            rates[f"escape_at_escape_{percent}"] = float(test.escape(threshold))
    return rates


def _share_below(ascending: np.ndarray, threshold: np.ndarray | int) -> np.ndarray:
    """Share of ``ascending`` numbers below each threshold; NaN if there are none."""
    below = np.searchsorted(ascending, threshold, side="left")
    return below / len(ascending) if len(ascending) else np.full(np.shape(threshold), np.nan)


_NO_CHOICE = "the method has no scores, or the images are all clean or all defective"
_POINT_NULL = (
    f"{_NO_CHOICE}; that share of the defective val images is less than one; or the method is zero-shot, which must "
    "not use val labels (`operating_points.csv` has it)"
)
IMAGE_RANKING: dict[str, Definition] = {
    definition.name: definition
    for definition in (
        Definition(
            name="image_auroc",
            formula="share of pairs of a defective and a clean image in which the defective one has the higher score; "
            "equal scores count half",
            averaging="over all pairs of images",
            value_range=SHARE,
            null_when=_NO_CHOICE,
            source="as scikit-learn's roc_auc_score",
            track=NOT_ORACLE,
            description="Area under the ROC curve of images. The score of an image is the highest p of its map.",
        ),
        Definition(
            name="image_ap",
            formula="sum over the distinct scores, from the highest down, of (R_n - R_(n-1)) P_n",
            averaging="from totals of images",
            value_range=SHARE,
            null_when=_NO_CHOICE,
            source="as scikit-learn's average_precision_score",
            track=NOT_ORACLE,
            description="Average precision of images, by the same score; that of a random order is the share of "
            "defective images.",
        ),
    )
}
OPERATING_RATES: dict[str, Definition] = {
    definition.name: definition
    for percent in ESCAPES
    for definition in (
        Definition(
            name=f"overkill_at_escape_{percent}",
            formula="clean images flagged/clean images, at the highest threshold of the images' score by which at most "
            f"{percent} % of the defective val images escape",
            averaging="from totals of images",
            value_range=SHARE,
            null_when=_POINT_NULL,
            track=NOT_ORACLE,
            description="Overkill: share of clean test images flagged.",
        ),
        Definition(
            name=f"escape_at_escape_{percent}",
            formula="defective images not flagged/defective images, at the same threshold",
            averaging="from totals of images",
            value_range=SHARE,
            null_when=_POINT_NULL,
            track=NOT_ORACLE,
            description=f"Share of defective test images missed by that threshold; on val it was at most {percent} %.",
        ),
    )
}
