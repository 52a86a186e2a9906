"""How trainings went: losses and validation scores against steps."""

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure

from defectbench.reporting.plots.lines import Curve, Panel, Row, best_of, lines_figure
from defectbench.reporting.records import Record

TITLE = "Training, evaluation by evaluation"
SCORE = "val_iou_fixed"


def training_figure(records: Sequence[Record]) -> Figure:
    """Draw the training loss and the validation score at p = 0.5 against steps, for the best trained experiments."""
    rows = []
    for track in ("automatic", "oracle"):
        own = [record for record in records if len(record.history)]
        shown, n_hidden = best_of(own, track)
        scores = [curve for record in shown for curve in [_curve(record, SCORE)] if curve is not None]
        losses = [curve for record in shown for curve in [_curve(record, "train_loss")] if curve is not None]
        if scores:
            last = max(curve.x[-1] for curve in scores)
            panels = [Panel("step", "val mIoU at p = 0.5", scores, (0.0, float(last)))]
            if losses:
                panels.append(Panel("step", "training loss", losses, (0.0, float(last)), None))
            rows.append(Row(track, panels, n_hidden))
    texts = [
        "Dot: the best evaluation, whose weights were kept. A curve that begins at step 0 shows the model before "
        "training. Losses of different families are not of one scale. Single trainings: there are no intervals."
    ]
    return lines_figure(TITLE, texts, rows, "No experiment of this study kept a history of its training.")


def _curve(record: Record, name: str) -> Curve | None:
    history = record.history
    if name not in history or "step" not in history:
        return None
    history = history.dropna(subset=[name])
    if history.empty:
        return None
    x, y = history["step"].to_numpy(float), history[name].to_numpy(float)
    # The model before training is no checkpoint.
    best = int(np.argmax(np.where(x > 0, y, -np.inf)))
    return Curve(record, x, y, marked=(x[best], y[best]) if name == SCORE else None)
