"""Plot of the score of promptable models against the noise of true boxes: how careful an annotator must be."""

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure

from defectbench.config.prompts import NOISY_KINDS, track_of
from defectbench.reporting.plots.lines import Curve, Panel, Row, hues_of, lines_figure
from defectbench.reporting.plots.prompting import METRIC, group_by_segmenter
from defectbench.reporting.records import Record

TITLE = "Score against box noise"
NOTHING = "No promptable model has experiments with true boxes at two levels of noise."


def box_noise_figure(records: Sequence[Record]) -> Figure:
    """Draw the value of each promptable model, and kind of prompt, at each level of noise."""
    curves = [_curve(levels) for levels in records_by_noise(records)]
    texts = [
        f"{METRIC}: mean Dice over defective test images, with 95 % intervals. Each side of a true box was moved by "
        "N(0, noise · length of the side), clipped to the image, the same way at all levels. The models are the same: "
        "nothing was retrained."
    ]
    if not curves:
        return lines_figure(TITLE, texts, [], NOTHING, {})
    most = max(curve.x.max() for curve in curves)
    bounds = np.concatenate([part for curve in curves for part in (curve.y, curve.low, curve.high) if part is not None])
    space = max(0.05 * np.ptp(bounds[~np.isnan(bounds)]), 0.01)
    y_range = (max(np.nanmin(bounds) - space, 0.0), min(np.nanmax(bounds) + space, 1.02))
    panel = Panel(
        "noise: standard deviation of a side's position, % of its length",
        METRIC,
        curves,
        x_range=(-0.05 * most, 1.05 * most),
        y_range=y_range,
    )
    return lines_figure(TITLE, texts, [Row("oracle", [panel])], NOTHING, hues_of(records))


def records_by_noise(records: Sequence[Record]) -> list[list[Record]]:
    """Experiments with true boxes that differ only in noise, by increasing noise; at least two levels each."""
    with_boxes = [
        record
        for record in records
        if track_of(record.row["prompt_source"]) == "oracle" and record.row["prompt_type"] in NOISY_KINDS
    ]
    curves = []
    for of_segmenter in group_by_segmenter(with_boxes).values():
        for kind in NOISY_KINDS:
            levels: dict[float, Record] = {}
            for record in of_segmenter:
                if record.row["prompt_type"] == kind and record.row[METRIC] is not None:
                    levels.setdefault(record.row["prompt_noise"] or 0.0, record)
            if len(levels) > 1:
                curves.append([levels[noise] for noise in sorted(levels)])
    return curves


def _curve(levels: Sequence[Record]) -> Curve:
    x = np.array([100 * (record.row["prompt_noise"] or 0.0) for record in levels])
    y, low, high = (np.array([record.row[f"{METRIC}{end}"] for record in levels], float) for end in ("", "_lo", "_hi"))
    return Curve(levels[0], x, y, low, high, points=True)
