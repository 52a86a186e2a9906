"""Operating points of inspection: thresholds of the images' defect score, chosen on val and reported on test.

An image is flagged if its defect score, the highest code of its map, is at least the threshold. *Overkill* is the share
of clean images flagged, *escape* the share of defective images missed.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from defectbench.config.base import MERGED
from defectbench.config.report import OperatingPointsSettings
from defectbench.evaluation.intervals import GroupBootstrap
from defectbench.evaluation.policies import CALIBRATED
from defectbench.files import read_json
from defectbench.metrics.codes import probabilities_from_codes
from defectbench.metrics.image_level import ESCAPES, ImageScores, Rates, supports_escape

LEAST_COST = "least_cost"
COLUMNS = {
    "exp_id": "str",
    "point": "str",  # escape_0 ... escape_5: at most that many % escape on val; least_cost
    "supported": "boolean",  # whether that share of the defective val images is at least one image
    "threshold": "float64",  # p from which an image is flagged
    "threshold_code": "Int64",  # the same, exactly
    "overkill_val": "float64",
    "escape_val": "float64",
    "overkill": "float64",
    "overkill_lo": "float64",
    "overkill_hi": "float64",
    "escape": "float64",
    "escape_lo": "float64",
    "escape_hi": "float64",
    "cost": "float64",  # expected per 1,000 images of the line, from the test images; null without costs
    "clean_share": "float64",  # of the line, by which costs are weighted
    "n_val_clean": "Int64",
    "n_val_defective": "Int64",
    "n_test_clean": "Int64",
    "n_test_defective": "Int64",
    "note": "str",
}


def operating_points(settings: OperatingPointsSettings) -> pd.DataFrame:
    """The operating points of all experiments, columns COLUMNS.

    Experiments without scores, or without clean and defective images on val and test, have none.
    """
    rows = [row for folder in settings.experiments for row in _points(folder, settings)]
    return pd.DataFrame(
        {name: pd.Series([row.get(name) for row in rows], dtype=kind) for name, kind in COLUMNS.items()}
    )


def read_images(folder: Path, role: str) -> tuple[ImageScores, np.ndarray]:
    """Defect scores of the merged maps of an experiment's images of a role, and the images' groups, (N,) str."""
    filters = [("role", "==", role), ("class", "==", MERGED), ("policy", "==", CALIBRATED)]
    rows = pd.read_parquet(folder / "per_image.parquet", filters=filters).sort_values("image_id")
    images = ImageScores(rows["max_code"].to_numpy(np.int64), rows["n_truth"].to_numpy() > 0)
    return images, rows["group"].to_numpy(str)


def _points(folder: Path, settings: OperatingPointsSettings) -> Iterator[dict[str, Any]]:
    (val, _), (test, groups) = (read_images(folder, role) for role in ("val", "test"))
    if not (read_json(folder / "metrics.json")["has_scores"] and val.both_kinds and test.both_kinds):
        return
    rates, bootstrap = val.rates(), GroupBootstrap(groups, settings.bootstrap_draws, settings.bootstrap_seed)
    for point, index in _choices(rates, val, settings).items():
        threshold = int(rates.threshold[index])
        flagged = (test.codes >= threshold).astype(float)
        overkill, escape = np.where(test.defective, np.nan, flagged), np.where(test.defective, 1 - flagged, np.nan)
        yield {
            "exp_id": folder.name,
            "point": point,
            "threshold": float(probabilities_from_codes(np.array(threshold))),
            "threshold_code": threshold,
            "overkill_val": rates.overkill[index],
            "escape_val": rates.escape[index],
            **_with_interval("overkill", overkill, bootstrap),
            **_with_interval("escape", escape, bootstrap),
            **_cost(float(np.nanmean(overkill)), float(np.nanmean(escape)), test, settings),
            **_support(point, val.n_defective),
            **_sizes("val", val),
            **_sizes("test", test),
        }


def _choices(rates: Rates, val: ImageScores, settings: OperatingPointsSettings) -> dict[str, int]:
    """Index in ``rates`` of each point's threshold."""
    choices = {f"escape_{percent}": rates.index_at_escape(percent, val.n_defective) for percent in ESCAPES}
    if settings.costs is not None:
        clean = _clean_share(val, settings)
        weights = clean * settings.costs.overkill, (1 - clean) * settings.costs.escape
        choices[LEAST_COST] = rates.index_of_least_cost(*weights)
    return choices


def _clean_share(images: ImageScores, settings: OperatingPointsSettings) -> float:
    """The line's share of clean images; if it is not set that of ``images``."""
    return float(np.mean(~images.defective)) if settings.clean_share is None else settings.clean_share


def _cost(overkill: float, escape: float, test: ImageScores, settings: OperatingPointsSettings) -> dict[str, float]:
    """Expected cost per 1,000 images, and the share of clean ones that it is weighted by."""
    clean = _clean_share(test, settings)
    if settings.costs is None:
        return {}
    cost = 1000 * (clean * overkill * settings.costs.overkill + (1 - clean) * escape * settings.costs.escape)
    return {"cost": float(cost), "clean_share": clean}


def _with_interval(name: str, values: np.ndarray, bootstrap: GroupBootstrap) -> dict[str, float]:
    low, high = bootstrap.interval(values, 0, 1)
    return {name: float(np.nanmean(values)), f"{name}_lo": low, f"{name}_hi": high}


def _support(point: str, n_defective: int) -> dict[str, Any]:
    """Whether val has enough defective images for the point, and what it means if not."""
    if point == LEAST_COST:
        return {"supported": True, "note": ""}
    percent = int(point.removeprefix("escape_"))
    if supports_escape(percent, n_defective):
        return {"supported": True, "note": ""}
    note = f"{percent} % of {n_defective} defective val images is less than one: none may escape, as at 0 %"
    return {"supported": False, "note": note}


def _sizes(role: str, images: ImageScores) -> dict[str, int]:
    n = images.n_defective
    return {f"n_{role}_clean": len(images.codes) - n, f"n_{role}_defective": n}
