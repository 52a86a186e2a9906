"""Tables of results, tests and ranks as leaderboards and sentences read them, made by hand."""

import pandas as pd

from defectbench.evaluation.image_scores import PRIMARY
from defectbench.evaluation.pairwise import PAIRWISE, RANKS, TAU
from defectbench.evaluation.results import COLUMNS

ISSUES = pd.DataFrame(columns=["file", "row", "problem"])
LEAKS = pd.DataFrame(columns=["dropped_image_id", "dropped_role", "kept_image_id", "kept_role"])
TAIL = "none_native_lr-0.001_steps-500_s42"


def row(exp_id, track="automatic", dice=0.8, **changes):
    """A row of results.parquet: a U-Net with half of the test images clean."""
    base = {
        **dict.fromkeys(("exp_id", "name", "unabridged_id"), exp_id),
        "model": "unet",
        "variant": "resnet18",
        "family": "unet",
        "dataset": "steel",
        "track": track,
        "policy": "at_0.5" if track == "reference" else "calibrated",
        "dice_all": dice,
        "dice_all_lo": dice - 0.05,
        "dice_all_hi": dice + 0.05,
        "test_Dice": dice - 0.1,
        "test_Dice_lo": dice - 0.2,
        "test_Dice_hi": dice,
        "test_mIoU": dice - 0.2,
        "IoU@50": 0.7,
        "Precision": 0.9,
        "fp_image_rate": 0.125,
        "threshold": 0.3359375,
        "used_val_labels": True,
        "n_labels_train": 80,
        "images_seen": 96_000,
        "params_total": 14_328_209,
        "avg_inference_time": 0.099,
        "infer_ms_p50": 12.34,
        "device": "CPU",
        "n_test": 86,
        "n_test_groups": 80,
        "experiment": exp_id,
        "seed": 42,
        "n_test_defective": 45,
    }
    return base | changes


def table(*rows):
    """The rows as results.parquet."""
    return pd.DataFrame({name: pd.Series([r.get(name) for r in rows], dtype=kind) for name, kind in COLUMNS.items()})


def seeds(experiment, values, **changes):
    """Rows of one experiment, seeds 1, 2, 3, ..., with these values of dice_all."""
    stem = experiment.rpartition("_s")[0]
    return [
        row(f"{stem}_s{seed}", dice=value, experiment=experiment, seed=seed, **changes)
        for seed, value in enumerate(values, 1)
    ]


def pair(a, b, claim="no claim", kind="vs_best", track="automatic", **changes):
    """A row of pairwise.csv, of experiments of one training each."""
    base = {"track": track, "metric": "dice_all", "a": a, "b": b, "kind": kind, "n_images": 87, "n_groups": 80}
    base |= {"n_groups_differ": 80, "n_seeds_a": 1, "n_seeds_b": 1, "at_draw_limit": False}
    base |= {"difference": 1.23, "difference_lo": -0.4, "difference_hi": 2.8, "p": 0.07, "p_holm": 0.21}
    return base | {"claim": claim} | changes


def pairs(*rows):
    """The rows as pairwise.csv."""
    return pd.DataFrame({name: pd.Series([r.get(name) for r in rows], dtype=kind) for name, kind in PAIRWISE.items()})


def ranks(results, **changes):
    """ranks.csv of ``results``: means over seeds, intervals of 0.06 to both sides; ``changes`` are whole columns."""
    rows = []
    for (track, experiment), of_one in results.groupby(["track", "experiment"], sort=False):
        values = of_one[PRIMARY[track]]
        mean = values.mean()
        groups = dict.fromkeys(("n_groups", "effective_groups"), of_one["n_test_groups"].iloc[0])
        bounds = {"mean": mean, "sd": values.std(), "mean_lo": mean - 0.06, "mean_hi": mean + 0.06}
        rows.append({"track": track, "experiment": experiment, "n_seeds": len(of_one), **bounds, **groups})
    return pd.DataFrame(rows, columns=[*RANKS, *TAU]).assign(**changes)


NO_PAIRS = pairs()
A, B, C = (f"unet-resnet18_{subset}_{TAIL}" for subset in ("full", "80", "160"))
EMPTY = "all_empty_full_none_native_s42"


def three():
    """Results of three U-Nets, and of a method that finds nothing."""
    empty = row(EMPTY, "reference", 0.5, model="all_empty", variant="")
    return table(row(A, dice=0.8), row(B, dice=0.7), row(C, dice=0.75), empty)
