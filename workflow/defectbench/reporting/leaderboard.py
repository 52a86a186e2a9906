"""The leaderboard: a Markdown table per track, readable in a terminal and rendered."""

import textwrap
from collections.abc import Sequence

import pandas as pd

from defectbench.evaluation.image_scores import PRIMARY
from defectbench.evaluation.policies import AT_HALF
from defectbench.reporting.data_notes import UNGROUPED, data_notes
from defectbench.reporting.names import experiment_names, short_names
from defectbench.reporting.numbers import DASH, format_decimal
from defectbench.reporting.verdicts import Standing
from defectbench.reporting.words import METRIC_MEANINGS, TRACKS

WIDTH = 120
NOTES = (
    "●: no test shows another experiment of the track to be better. Each was tested against the one with the highest "
    "validation score, by groups of images, with Holm's correction; see pairwise.csv and findings.md.",
    "Thresholds were chosen on validation images alone; – for a method without scores or with a threshold per class.",
    "Intervals: 95 %, studentised bootstrap over groups of test images. They do not cover the chance of training.",
    "test_mIoU: mean IoU over defective images. IoU@50: share of defective images with IoU ≥ 0.5. "
    "fp_image_rate: share of clean images with any predicted pixel.",
    "_pp: with the post-processing that was chosen on validation images; – where none was.",
    "labels: labelled training images; the val images, which choose checkpoints and thresholds, come on "
    "top. seen: training images seen, each as often as it was. params: parameters of the model. "
    "ms/image: mean prediction time, for a cascade also of both stages.",
)
ZERO_SHOT_NOTE = "Zero-shot models are scored at p = 0.5, so that they owe nothing to validation images: threshold –."
CV_NOTE = "CV: dice_all out of fold at thresholds chosen on the other folds, mean ± standard deviation between folds."


def leaderboard(
    results: pd.DataFrame, pairwise: pd.DataFrame, issues: pd.DataFrame, leaks: pd.DataFrame, ungrouped: bool = False
) -> str:
    """Write the page, Markdown, from results, tests, and the tables of problems found in the data.

    ``pairwise`` has the columns of pairwise.csv; ``issues`` and ``leaks`` are as for :func:`data_notes`;
    ``ungrouped``: only the pixels tell which images belong together.
    """
    parts = [f"# Leaderboard: {', '.join(results['dataset'].unique())}"]
    names = experiment_names(results)
    for track in TRACKS:
        rows = results[results["track"] == track].sort_values(PRIMARY[track], ascending=False, kind="stable")
        if len(rows):
            standing = Standing.of(results, pairwise, track)
            parts.append(_section(track, rows, standing, standing.sentence(names)))
    notes = [*(f"**{note}**" for note in data_notes(issues, leaks)), *([UNGROUPED] if ungrouped else []), *NOTES]
    if ((results["policy"] == AT_HALF) & (results["track"] != "reference")).any():
        notes.append(ZERO_SHOT_NOTE)
    if results["cv_folds"].notna().any():
        notes.append(CV_NOTE)
    parts.append("## Notes\n\n" + "\n".join(_wrapped(note, "- ") for note in notes))
    return "\n\n".join(parts) + "\n"


def _section(track: str, rows: pd.DataFrame, standing: Standing, verdict: str) -> str:
    primary, names = PRIMARY[track], short_names(rows)
    n_test, n_defective, n_groups = rows[["n_test", "n_test_defective", "n_test_groups"]].iloc[0]
    # Reference methods do not compete.
    marked = () if track == "reference" else standing.unbeaten
    with_pp, with_cv = (bool(rows[name].notna().any()) for name in ("post_processing", "cv_folds"))
    cells = [
        [name, "●" if row["experiment"] in marked else "", *_cells(row, primary, with_pp, with_cv)]
        for name, (_, row) in zip(names, rows.iterrows(), strict=True)
    ]
    header = [
        "experiment",
        "top",
        f"{primary} [95 % CI]",
        *([f"{primary}_pp"] if with_pp else []),
        *(["CV"] if with_cv else []),
        "test_mIoU",
        "IoU@50",
        "fp_image_rate",
        "threshold",
        "labels",
        "seen",
        "params",
        "ms/image",
    ]
    ids = "\n".join(f"- {name}: `{exp_id}`" for name, exp_id in zip(names, rows["exp_id"], strict=True))
    about = (
        f"{TRACKS[track]} {n_test} test images in {n_groups} groups, {n_defective} images defective. "
        f"Sorted by {primary}: {METRIC_MEANINGS[primary]}."
    )
    paragraphs = [f"## {track.capitalize()} track", _wrapped(about), markdown_table(header, cells)]
    if track != "reference":
        paragraphs.append(_wrapped(verdict))
    return "\n\n".join([*paragraphs, "Experiment ids:", ids])


def _cells(row: pd.Series, primary: str, with_pp: bool, with_cv: bool) -> list[str]:
    # Bounds without their leading zero keep the table within a terminal's width.
    low, high = (format_decimal(row[f"{primary}_{end}"]).removeprefix("0") for end in ("lo", "hi"))
    return [
        f"{format_decimal(row[primary])} [{low}, {high}]",
        *([format_decimal(row[f"{primary}_pp"]) if pd.notna(row["post_processing"]) else DASH] if with_pp else []),
        *([_format_folds(row)] if with_cv else []),
        format_decimal(row["test_mIoU"]),
        format_decimal(row["IoU@50"]),
        format_decimal(row["fp_image_rate"]),
        format_decimal(row["threshold"]) if row["used_val_labels"] else DASH,
        DASH if pd.isna(row["n_labels_train"]) else str(row["n_labels_train"]),
        DASH if pd.isna(row["images_seen"]) else f"{row['images_seen'] / 1000:.3g}k",
        _format_count(row["params_total"]),
        _format_milliseconds(row),
    ]


def markdown_table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Align ``rows`` under ``header`` as a Markdown table: the first column to the left, the others to the right."""
    columns = list(zip(header, *rows, strict=True))
    widths = [max(map(len, column)) for column in columns]
    rule = ["-" * widths[0], *("-" * (width - 1) + ":" for width in widths[1:])]
    lines = [_pad(header, widths), rule, *(_pad(row, widths) for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _pad(cells: Sequence[str], widths: Sequence[int]) -> list[str]:
    return [cells[0].ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(cells[1:], widths[1:], strict=True))]


def _wrapped(text: str, bullet: str = "") -> str:
    return textwrap.fill(
        text, WIDTH, initial_indent=bullet, subsequent_indent=" " * len(bullet), break_on_hyphens=False
    )


def _format_folds(row: pd.Series) -> str:
    """Mean ± standard deviation between the folds of a cross-validated experiment."""
    if pd.isna(row["cv_folds"]):
        return DASH
    return f"{format_decimal(row['cv_dice_all_mean'])} ± {format_decimal(row['cv_dice_all_sd'])}"


def _format_milliseconds(row: pd.Series) -> str:
    """Mean time per image, for a cascade with its stages."""
    if pd.isna(row["avg_inference_time"]):
        return DASH
    total = f"{1000 * row['avg_inference_time']:.1f}"
    if pd.isna(row["infer_ms_stage1"]):
        return total
    return f"{total} = {row['infer_ms_stage1']:.1f} + {row['infer_ms_stage2']:.1f}"


def _format_count(value: float) -> str:
    if pd.isna(value):
        return DASH
    for unit, size in (("M", 1e6), ("k", 1e3)):
        if value >= size:
            return f"{value / size:.1f} {unit}"
    return str(value)
