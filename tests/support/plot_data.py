"""Result tables as plots read them, and what a figure shows of them."""

import pandas as pd

from defectbench.evaluation.pairwise import PAIRWISE, RANKS, TAU
from defectbench.evaluation.results import COLUMNS
from defectbench.reporting.power_law import CURVES, FITS


def row(exp_id, dice, n=336, track="automatic", **changes):
    model, _, variant = exp_id.split("_none_")[0].rpartition("_")[0].partition("-")
    base = {
        **dict.fromkeys(("exp_id", "name", "unabridged_id"), exp_id),
        "model": model,
        "variant": variant,
        "family": model if track != "reference" else track,
        "dataset": "steel",
        "prompt_type": "none",
        "img_size": "native",
        "seed": int(exp_id.rpartition("_s")[2]),
        "track": track,
        "policy": "calibrated",
        "n_labels_train": n,
        "n_test": 86,
        "n_test_defective": 46,
    }
    for metric, value in {"dice_all": dice, "test_Dice": dice - 0.1, "test_mIoU": dice - 0.2}.items():
        base |= {"experiment": exp_id, metric: value, f"{metric}_lo": value - 0.03, f"{metric}_hi": value + 0.02}
    return base | changes


def table(*rows):
    return pd.DataFrame({name: pd.Series([r.get(name) for r in rows], dtype=kind) for name, kind in COLUMNS.items()})


def drawn(axes, kind):
    """Artists of ``kind`` on the axes, by the id of the row or series."""
    artists = [*axes.lines, *axes.collections]
    return {a.get_gid().removeprefix(f"{kind} "): a for a in artists if (a.get_gid() or "").startswith(f"{kind} ")}


def texts(figure):
    return " ".join(text.get_text() for text in [*figure.texts, *(t for axes in figure.axes for t in axes.texts)])


BEST = "unet-resnet18_full_none_native_steps-9_s42"
ROWS = (
    row("unet-resnet18_80_none_native_steps-9_s42", 0.70, 80),
    row(BEST, 0.81),
    row("unet-resnet18_full_none_native_task-per-class_steps-9_s42", 0.79),
    row("sam-tiny_full_none_native_s1", 0.77),
    row("sam-tiny_full_none_native_s2", 0.75),
    row("all_empty_full_none_native_s42", 0.46, 0, "reference"),
    row("tophat_otsu_full_none_native_s42", 0.49, 336, "reference"),
)
NO_CURVES = pd.DataFrame(columns=list(CURVES))
NO_FITS = pd.DataFrame({name: pd.Series(dtype=kind) for name, kind in FITS.items()})
NO_PAIRS = pd.DataFrame(columns=list(PAIRWISE))
NO_RANKS = pd.DataFrame(columns=[*RANKS, *TAU])
ORACLE = row(
    "sam-tiny_80_box_native_s42", 0.95, 80, "oracle", prompt_type="box", model="sam", variant="tiny",
    dice_all=None, dice_all_lo=None, dice_all_hi=None,
)  # fmt: skip
