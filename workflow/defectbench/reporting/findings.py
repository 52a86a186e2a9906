"""Findings of the tests in sentences: one per comparison, words of ranking only where a test backs them."""

import pandas as pd

from defectbench.evaluation.statistics import A_BETTER, B_BETTER, TOO_FEW
from defectbench.reporting import power_law
from defectbench.reporting.data_notes import data_notes
from defectbench.reporting.names import experiment_names
from defectbench.reporting.verdicts import Standing

MINUS = "−"
LABELS_NOTE = "Of training images; those of the val images, which choose checkpoints and thresholds, come on top."


def findings(
    results: pd.DataFrame,
    pairwise: pd.DataFrame,
    seeds: pd.DataFrame,
    fits: pd.DataFrame,
    issues: pd.DataFrame,
    leaks: pd.DataFrame,
) -> str:
    """Write the page, Markdown, from the tables results.parquet, pairwise.csv, seeds.csv and data_efficiency.csv.

    ``issues`` and ``leaks`` are as for :func:`data_notes`.
    """
    names = experiment_names(results)
    parts = [f"# Findings: {', '.join(results['dataset'].unique())}"]
    parts += [f"**{note}**" for note in data_notes(issues, leaks)]
    failed = results.dropna(subset="problems")
    parts += [
        f"**{names[row['experiment']]}, seed {row['seed']}: {row['problems']}.**" for row in failed.to_dict("records")
    ]
    for track in pairwise["track"].drop_duplicates():
        rows = pairwise[pairwise["track"] == track]
        lines = [f"- {difference_sentence(row, names)}" for row in rows.to_dict("records")]
        lines += [f"- {_seeds_sentence(row, names)}" for row in seeds[seeds["track"] == track].to_dict("records")]
        standing = "" if track == "reference" else f"{Standing.of(results, pairwise, track).sentence(names)}\n\n"
        parts.append(f"## {track.capitalize()} track\n\n{standing}" + "\n".join(lines))
    if len(fits):
        lines = [f"- {power_law.law_sentence(row)}" for row in fits.to_dict("records")]
        parts.append("\n\n".join(["## Numbers of labels", LABELS_NOTE, "\n".join(lines)]))
    if pairwise.empty:
        parts.append("No two experiments were compared.")
    return "\n\n".join(parts) + "\n"


def difference_sentence(row: dict, names: dict[str, str]) -> str:
    """One row of pairwise.csv in words; ``names`` maps experiments to their short names."""
    a, b = names[row["a"]], names[row["b"]]
    counts = f"{row['n_images']} images in {row['n_groups']} groups"
    if pd.isna(row["difference"]):
        return f"{a} {MINUS} {b}: no image has a value of {row['metric']} for both."
    interval = f"[{_format_points(row['difference_lo'])}, {_format_points(row['difference_hi'])}]"
    value = f"{a} {MINUS} {b}: {_format_points(row['difference'], '+')} pp {row['metric']} {interval}"
    if row["claim"] == TOO_FEW:
        return f"{value}, too few groups for a test ({counts})."
    p = "< 0.001" if row["p_holm"] < 0.001 else f"= {row['p_holm']:.2g}"
    winner = {A_BETTER: a, B_BETTER: b}.get(row["claim"])
    if winner is not None:
        return f"{value}: {winner} is better (Holm p {p}, {counts})."
    includes_0 = row["difference_lo"] <= 0 <= row["difference_hi"]
    contrast = "" if includes_0 else ", though the interval, which is not corrected, excludes 0"
    return f"{value}, not significant (Holm p {p}{contrast}, {counts})."


def _seeds_sentence(row: dict, names: dict[str, str]) -> str:
    return (
        f"{names[row['experiment']]}: {row['metric']} {row['mean']:.3f} ± {row['sd']:.3f} over {row['n_seeds']} seeds "
        f"(standard deviations: seeds {row['seed_sd']:.3f}, images {row['image_sd']:.3f}, rest {row['rest_sd']:.3f})."
    )


def _format_points(value: float, sign: str = "") -> str:
    if pd.isna(value):
        return "?"
    return f"{value:{sign}.1f}".replace("-", MINUS)
