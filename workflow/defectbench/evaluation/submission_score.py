"""Score of a Kaggle submission from its runs, without pixels: mean Dice over image x class, both empty = 1."""

import numpy as np

from defectbench.data.submission import Runs, SubmissionError
from defectbench.metrics.counts import dice


def score_submission(submitted: Runs, truth: Runs) -> dict[str, float]:
    """``dice_kaggle`` of a submission, ``dice_kaggle_empty`` of an empty one, and gain and skill over it.

    With d the score and e the score of the empty submission (the share of image x class with no defect): gain = d - e,
    skill = (d - e)/(1 - e), which is left out where e = 1.

    Raises:
        SubmissionError: if it is not of exactly the images and classes of ``truth``.
    """
    for what, keys in (("missing", truth.keys() - submitted.keys()), ("unexpected", submitted.keys() - truth.keys())):
        if keys:
            first = ", ".join(f"{image_id} class {value}" for image_id, value in sorted(keys)[:5])
            raise SubmissionError(f"the submission is not of these images: {len(keys)} row(s) {what}: {first}")
    sizes = np.array([(run_area(submitted[key]), run_area(truth[key])) for key in truth])
    shared = np.array([shared_pixels(submitted[key], truth[key]) for key in truth])
    score = float(dice(shared, sizes[:, 0] - shared, sizes[:, 1] - shared).mean())
    empty = float((sizes[:, 1] == 0).mean())
    scores = {"dice_kaggle": score, "dice_kaggle_empty": empty, "dice_kaggle_gain": score - empty}
    return scores | ({"dice_kaggle_skill": (score - empty) / (1 - empty)} if empty < 1 else {})


def run_area(runs: np.ndarray) -> int:
    """Number of pixels of runs (N, 2)."""
    return int((runs[:, 1] - runs[:, 0]).sum())


def shared_pixels(a: np.ndarray, b: np.ndarray) -> int:
    """Number of pixels that two masks share, from their runs (N, 2) and (M, 2), ordered and disjoint."""
    if not (len(a) and len(b)):
        return 0
    before = np.concatenate([[0], np.cumsum(b[:, 1] - b[:, 0])])

    def pixels_below(position: np.ndarray) -> np.ndarray:
        """Pixels of b before each position."""
        begun = np.searchsorted(b[:, 0], position, side="right")
        last = np.maximum(begun - 1, 0)
        beyond = np.maximum(b[last, 1] - position, 0)
        return np.where(begun > 0, before[begun] - beyond, 0)

    return int((pixels_below(a[:, 1]) - pixels_below(a[:, 0])).sum())
