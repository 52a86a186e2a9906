"""Plot of trainings: losses and validation scores against steps."""

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure

from defectbench.reporting.plots.lines import Curve, Panel, Row, best_of, hues_of, lines_figure
from defectbench.reporting.records import Record

TITLE = "Training, evaluation by evaluation"
SCORE = "val_iou_fixed"


def training_figure(records: Sequence[Record]) -> Figure:
    """Draw the training loss and the validation score at p = 0.5 against steps, for the best trained experiments."""
    rows = []
    for track in ("automatic", "oracle"):
        with_history = [record for record in records if len(record.history)]
        best_records, n_hidden = best_of(with_history, track)
        scores = [curve for record in best_records for curve in [_curve(record, SCORE)] if curve is not None]
        losses = [curve for record in best_records for curve in [_curve(record, "train_loss")] if curve is not None]
        if scores:
            last = max(curve.x[-1] for curve in scores)
            x_range = (0.0, float(last))
            panels = [Panel("step", "val mIoU at p = 0.5", scores, x_range, in_steps=True)]
            if losses:
                logarithmic = _is_wide(np.concatenate([curve.y for curve in losses]))
                label = f"training loss{' (logarithmic)' if logarithmic else ''}"
                panels.append(Panel("step", label, losses, x_range, None, in_steps=True, logarithmic=logarithmic))
            rows.append(Row(track, panels, n_hidden))
    texts = [
        "Dot: the best evaluation, whose weights were kept. A curve that begins at step 0 shows the model before "
        "training. Losses of different families have different scales. Single trainings: there are no intervals."
    ]
    nothing = "No experiment of this study has a training history."
    return lines_figure(TITLE, texts, rows, nothing, hues_of(records))


def _is_wide(losses: np.ndarray) -> bool:
    """Whether losses differ so much in size that a linear axis would hide the small ones."""
    return bool(losses.min() > 0 and losses.max() > 5 * losses.min())


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
