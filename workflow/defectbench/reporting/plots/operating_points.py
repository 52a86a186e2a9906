"""Plot of escape against overkill of test images at every threshold of their defect score, and of the points of val."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from defectbench.evaluation.operating_points import LEAST_COST, read_images
from defectbench.reporting.numbers import format_decimal
from defectbench.reporting.plots.lines import Curve, Panel, Row, best_of, hues_of, lines_figure
from defectbench.reporting.records import Record

TITLE = "Overkill and escape, test images"
X, Y = "overkill: share of clean images flagged", "escape: share of defective images missed"
MOST = 5  # more curves with points and bars are not distinguishable
CLOSE = 0.2  # escape up to which the second panel shows the curves


def operating_points_figure(records: Sequence[Record], points: pd.DataFrame) -> Figure:
    """Draw the best experiments of the automatic track; ``points`` are the rows of operating_points.csv."""
    scored = [record for record in records if record.exp_id in set(points["exp_id"])]
    best_records, n_hidden = best_of(scored, "automatic", MOST)
    curves = [curve for record in best_records for curve in _curves(record, points)]
    panels = [Panel(X, Y, curves), Panel(X, f"escape, up to {CLOSE:g}", curves, y_range=(-0.004, CLOSE))]
    texts = [
        "An image is flagged if its highest p reaches a threshold. Left: every threshold; right: the low escape rates.",
        f"Dots: thresholds chosen on val so that at most {_escapes(points)} % of the defective images escape there. "
        "Bars: 95 % intervals of the escape on the test images. Best is the lower left corner.",
    ]
    rows = [Row("automatic", panels, n_hidden)] if best_records else []
    nothing = "No experiment of the automatic track has scores, and clean and defective images on val and test."
    return lines_figure(TITLE, texts, rows, nothing, hues_of(records))


def _curves(record: Record, points: pd.DataFrame) -> list[Curve]:
    """The curve of all thresholds, and a point with its interval for each that val chose."""
    rates = read_images(record.folder, "test")[0].rates()
    note = f"AUROC of images {format_decimal(record.row['image_auroc'])}"
    curves = [Curve(record, rates.overkill, rates.escape, note=note)]
    for _, point in _shown(points[points["exp_id"] == record.exp_id]).iterrows():
        x, y, low, high = (np.array([point[name]]) for name in ("overkill", "escape", "escape_lo", "escape_hi"))
        curves.append(Curve(record, x, y, low, high, points=True, note=note))
    return curves


def _shown(points: pd.DataFrame) -> pd.DataFrame:
    """The points at escape rates that val supports."""
    return points[points["supported"] & (points["point"] != LEAST_COST)]


def _escapes(points: pd.DataFrame) -> str:
    """The escape rates of the points, in %, in words."""
    percents = [name.removeprefix("escape_") for name in _shown(points)["point"].unique()]
    return " or ".join(filter(None, [", ".join(percents[:-1]), *percents[-1:]]))
