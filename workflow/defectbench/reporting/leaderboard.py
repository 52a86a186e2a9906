"""The leaderboard: a Markdown table per track, readable in a terminal and rendered."""

from collections.abc import Sequence

import pandas as pd

from defectbench.evaluation.image_scores import PRIMARY
from defectbench.evaluation.policies import AT_HALF
from defectbench.reporting.boards import BoardRow, board_notes, board_rows, clean_share
from defectbench.reporting.claim_notes import claim_notes
from defectbench.reporting.data_notes import UNGROUPED, data_notes
from defectbench.reporting.markdown import as_text, markdown_table, paragraph
from defectbench.reporting.names import experiment_names, training_names
from defectbench.reporting.numbers import DASH, format_count, format_decimal
from defectbench.reporting.verdicts import Standing
from defectbench.reporting.words import METRIC_MEANINGS, TRACKS

NOTES = (
    "A row is an experiment: of several seeds the mean ± standard deviation, in the other columns the mean; "
    "the interval is that of the mean; the seeds are listed below the table.",
    "●: no test shows another experiment of the track to be better. Each was compared with the one with the highest "
    "validation score, by groups of images, with Holm's correction; see pairwise.csv and findings.md.",
    "Thresholds were chosen on validation images alone; – for a method without scores or with a threshold per class.",
    "Intervals: 95 %, by groups of test images (docs/statistics.md). Those of the other columns are in results.csv.",
    "test_mIoU: mean IoU over defective images. IoU@50: share of defective images with IoU ≥ 0.5. "
    "fp_image_rate: share of clean images with any predicted pixel.",
    "_pp: with the post-processing that was chosen on validation images; – where none was.",
    "labels: labelled training images; the val images, which choose checkpoints and thresholds, come on "
    "top. seen: training images seen, each as often as it was. params: parameters of the model. "
    "ms/image: median prediction time; ~ of ensembles and cascades the mean, of cascades also of both stages.",
)
ZERO_SHOT_NOTE = "Zero-shot models are scored at p = 0.5, so that they owe nothing to validation images: threshold –."
CLEAN_SHARE_NOTE = (
    "at … % clean: dice_all if that share of the images were clean, as report.clean_share says of the line; brackets: "
    "95 % interval, of several seeds ± their standard deviation."
)
IMPOSED_NOTE = (
    "_imposed: at the threshold and smallest area that calibrate.imposed gives beforehand; nobody chose them on the "
    "validation images, and no row is sorted or tested by it."
)
CV_NOTE = "CV: dice_all out of fold at thresholds chosen on the other folds, mean ± standard deviation between folds."


def leaderboard(
    results: pd.DataFrame,
    ranks: pd.DataFrame,
    pairwise: pd.DataFrame,
    issues: pd.DataFrame,
    leaks: pd.DataFrame,
    ungrouped: bool = False,
) -> str:
    """Write the page, Markdown, from results, their means and tests, and the tables of problems found in the data.

    ``ranks`` and ``pairwise`` have the columns of ranks.csv and pairwise.csv; ``issues`` and ``leaks`` are as for
    :func:`data_notes`; ``ungrouped``: only the pixels tell which images belong together.
    """
    parts = [f"# Leaderboard: {', '.join(results['dataset'].unique())}"]
    names, trainings = experiment_names(results), training_names(results)
    for track in TRACKS:
        if rows := board_rows(results, ranks, track):
            standing = Standing.of(results, pairwise, track)
            texts = [] if track == "reference" else [standing.sentence(names, trainings)]
            # Reference methods do not compete.
            marked = () if track == "reference" else standing.top
            parts.append(_section(track, rows, marked, [*texts, *board_notes(rows, ranks, track)]))
    of_study = [*data_notes(issues, leaks), *(f"{note}." for note in claim_notes(results, ranks, pairwise, names))]
    notes = [*(f"**{as_text(note)}**" for note in of_study), *([UNGROUPED] if ungrouped else []), *NOTES]
    if ((results["policy"] == AT_HALF) & (results["track"] != "reference")).any():
        notes.append(ZERO_SHOT_NOTE)
    if results["dice_at_clean_share"].notna().any():
        notes.append(CLEAN_SHARE_NOTE)
    if results["dice_all_imposed"].notna().any():
        notes.append(IMPOSED_NOTE)
    if results["cv_folds"].notna().any():
        notes.append(CV_NOTE)
    parts.append("## Notes\n\n" + "\n".join(paragraph(note, "- ") for note in notes))
    return "\n\n".join(parts) + "\n"


def _section(track: str, rows: list[BoardRow], marked: Sequence[str], texts: Sequence[str]) -> str:
    primary = PRIMARY[track]
    first = rows[0].trainings.iloc[0]
    with_sd = any(pd.notna(row.sd) for row in rows)
    share = clean_share(rows)
    with_pp, with_imposed, with_cv = (
        any(pd.notna(row.values[name]) for row in rows)
        for name in ("post_processing", f"{primary}_imposed", "cv_folds")
    )
    shown = (share, with_pp, with_imposed, with_cv)
    cells = [
        [as_text(row.name), "●" if row.experiment in marked else "", *_cells(row, primary, *shown)] for row in rows
    ]
    header = [
        "experiment",
        "top",
        f"{primary} {'± sd ' if with_sd else ''}[95 % CI]",
        *([f"at {100 * share:g} % clean"] if share else []),
        *([f"{primary}_pp"] if with_pp else []),
        *([f"{primary}_imposed"] if with_imposed else []),
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
    about = (
        f"{TRACKS[track]} {first['n_test']} test images in {first['n_test_groups']} groups, "
        f"{first['n_test_defective']} images defective. Sorted by {primary}: {METRIC_MEANINGS[primary]}."
    )
    paragraphs = [f"## {track.capitalize()} track", paragraph(about), markdown_table(header, cells)]
    listed = "\n".join(line for row in rows for line in _trainings(row, primary))
    return "\n\n".join([*paragraphs, *(paragraph(as_text(text)) for text in texts), "Experiment ids:", listed])


def _trainings(row: BoardRow, primary: str) -> list[str]:
    """The experiment's id, or its seeds with their values and ids, by seed."""
    if len(row.trainings) == 1:
        return [f"- {as_text(row.name)}: `{row.trainings['exp_id'].iloc[0]}`"]
    seeds = row.trainings.to_dict("records")
    values = [f"{format_decimal(seed[primary])} {_format_interval(*_bounds(seed, primary))}" for seed in seeds]
    lines = [f"  - seed {seed['seed']}: {value}, `{seed['exp_id']}`" for seed, value in zip(seeds, values, strict=True)]
    return [f"- {as_text(row.name)}: {primary} {row.format_mean()}", *lines]


def _bounds(seed: dict, primary: str) -> tuple[float, float]:
    return seed[f"{primary}_lo"], seed[f"{primary}_hi"]


def _cells(
    row: BoardRow, primary: str, share: float | None, with_pp: bool, with_imposed: bool, with_cv: bool
) -> list[str]:
    values, processed = row.values, row.processed(f"{primary}_pp")
    return [
        f"{row.format_mean()} {_format_interval(row.low, row.high)}",
        *([_format_at_clean_share(row)] if share else []),
        *([format_decimal(processed) + ("" if pd.isna(processed) else row.mark("_pp"))] if with_pp else []),
        *([format_decimal(values[f"{primary}_imposed"])] if with_imposed else []),
        *([_format_folds(values)] if with_cv else []),
        format_decimal(values["test_mIoU"]),
        format_decimal(values["IoU@50"]),
        format_decimal(values["fp_image_rate"]),
        format_decimal(values["threshold"]) if values["used_val_labels"] else DASH,
        format_count(values["n_labels_train"]) or DASH,
        DASH if pd.isna(values["images_seen"]) else f"{values['images_seen'] / 1000:.3g}k",
        format_count(values["params_total"]) or DASH,
        _format_milliseconds(row),
    ]


def _format_interval(low: float, high: float) -> str:
    # Bounds without their leading zero keep the table within a terminal's width.
    return "[{}, {}]".format(*(format_decimal(end).removeprefix("0") for end in (low, high)))


def _format_at_clean_share(row: BoardRow) -> str:
    value, spread = row.values["dice_at_clean_share"], row.format_spread("dice_at_clean_share")
    return f"{format_decimal(value)} ({spread})" if spread else format_decimal(value)


def _format_folds(values: dict) -> str:
    """Mean ± standard deviation between the folds of a cross-validated experiment."""
    if pd.isna(values["cv_folds"]):
        return DASH
    return f"{format_decimal(values['cv_dice_all_mean'])} ± {format_decimal(values['cv_dice_all_sd'])}"


def _format_milliseconds(row: BoardRow) -> str:
    """Median time per image; of a cascade or ensemble the mean, marked with ~, of a cascade with its stages."""
    total, is_median = row.milliseconds()
    if pd.isna(total):
        return DASH
    stages = [row.values[f"infer_ms_stage{k}"] for k in (1, 2)]
    text = f"{total:.1f}" if is_median else f"~{total:.1f}"
    return text if pd.isna(stages[0]) else f"{text} = {stages[0]:.1f} + {stages[1]:.1f}"
