"""Budgets of the trainings in a table of results."""

from collections.abc import Mapping

import pandas as pd

LARGEST_RATIO = 1.5
"""Of the images seen by two trainings of a track that are still called equal budgets."""


def compare_budgets(results: pd.DataFrame, names: Mapping[str, str]) -> list[str]:
    """A sentence per track in which some trainings saw far fewer images than others; ``names`` are of experiments.

    Zero-shot and reference methods have no budget. Members of ensembles and stages of cascades are compared as the rows
    that they are themselves.
    """
    sentences = []
    for track, rows in results.dropna(subset="images_seen").groupby("track", sort=False):
        most = int(rows["images_seen"].max())
        fewer = rows[rows["images_seen"] * LARGEST_RATIO < most]
        if len(fewer):
            seen = fewer.groupby("experiment", sort=False)["images_seen"].min()
            listed = ", ".join(f"{names[experiment]} {int(images):,}" for experiment, images in seen.items())
            sentences.append(
                f"{str(track).capitalize()} track: budgets differ. Training images seen, each as often as it was: "
                f"{listed}; the most of the track are {most:,}. Differences between these rows are also differences of "
                "budget"
            )
    return sentences
