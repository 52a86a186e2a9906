"""Fit severstal_prior.yaml to a table of the defect area per class of every Severstal training image.

python resources/fit_severstal_prior.py class_areas.csv > resources/severstal_prior.yaml
Columns of the table: ImageId, area_1 … area_4, in pixels of a 256 × 1600 image; 0 where a class is absent.
"""

from __future__ import annotations

import argparse

import numpy as np
import pandas as pd
import yaml

IMAGE_PIXELS = 256 * 1600
CLASSES = (1, 2, 3, 4)
HEADER = """\
# What the synthetic steel strips imitate: how often defects occur, together with which others, and how large.
# Source: the training labels of Severstal: Steel Defect Detection (Kaggle, 2019), {n:,} images of 256 x 1600.
# Made by fit_severstal_prior.py; only these fitted numbers are kept, not the labels.
#   share_clean    share of the images with no defect
#   combinations   classes found together in one image: share of the defective images
#   area_fraction  share of the image that a class covers where it is present: lognormal fitted by maximum
#                  likelihood (mu, sigma of the natural logarithm), clipped to the 1 % and 99 % quantiles
"""


def fit(areas: pd.DataFrame) -> dict:
    """Fit the prior to `areas`: a row per image, columns area_1 … area_4 in pixels."""
    fraction = areas[[f"area_{c}" for c in CLASSES]].to_numpy() / IMAGE_PIXELS
    present = fraction > 0
    defective = present[present.any(axis=1)]
    names = pd.Series(["+".join(str(c) for c, there in zip(CLASSES, row, strict=True) if there) for row in defective])
    return {
        "share_clean": _rounded(1 - len(defective) / len(areas)),
        "combinations": {k: _rounded(v) for k, v in names.value_counts(normalize=True).items()},
        "area_fraction": {c: _fit_area(fraction[:, i][present[:, i]]) for i, c in enumerate(CLASSES)},
    }


def _fit_area(fraction: np.ndarray) -> dict[str, float]:
    logs = np.log(fraction)
    low, high = np.quantile(fraction, [0.01, 0.99])
    return {k: _rounded(v) for k, v in {"mu": logs.mean(), "sigma": logs.std(), "low": low, "high": high}.items()}


def _rounded(value: float) -> float:
    return float(f"{value:.5g}")


def main(argv: list[str] | None = None) -> None:
    """Print the fitted YAML."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("table", help="CSV with columns ImageId, area_1 … area_4")
    areas = pd.read_csv(parser.parse_args(argv).table)
    print(HEADER.format(n=len(areas)) + yaml.safe_dump(fit(areas), sort_keys=False), end="")


if __name__ == "__main__":
    main()
