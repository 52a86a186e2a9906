"""Findings of the tests in sentences: one per comparison, words of ranking only where a test backs them."""

from collections.abc import Iterable, Iterator, Mapping

import pandas as pd

from defectbench.evaluation.intervals import FEWEST_GROUPS
from defectbench.evaluation.power import MOST_TIMES
from defectbench.evaluation.statistics import A_BETTER, B_BETTER, IDENTICAL, NO_CLAIM, TOO_FEW
from defectbench.reporting import power_law
from defectbench.reporting.boards import board_rows, luck_note
from defectbench.reporting.budgets import compare_budgets
from defectbench.reporting.claim_notes import claim_notes
from defectbench.reporting.data_notes import data_notes
from defectbench.reporting.markdown import as_text
from defectbench.reporting.names import experiment_names, training_names
from defectbench.reporting.numbers import format_points
from defectbench.reporting.verdicts import LOSERS, Standing, is_true

MINUS = "−"
CHANCE = ", the chance of training included"
LABELS_NOTE = "Of training images; those of the val images, which choose checkpoints and thresholds, come on top."


def findings(
    results: pd.DataFrame,
    ranks: pd.DataFrame,
    pairwise: pd.DataFrame,
    seeds: pd.DataFrame,
    fits: pd.DataFrame,
    issues: pd.DataFrame,
    leaks: pd.DataFrame,
) -> str:
    """Write the page, Markdown, from results.parquet, ranks.csv, pairwise.csv, seeds.csv and data_efficiency.csv.

    ``issues`` and ``leaks`` are as for :func:`data_notes`.
    """
    names, trainings = experiment_names(results), training_names(results)
    parts = [f"# Findings: {', '.join(results['dataset'].unique())}"]
    parts += [f"**{as_text(note)}**" for note in data_notes(issues, leaks)]
    notes = [
        f"{names[row['experiment']]}, seed {row['seed']}: {row['problems']}"
        for row in results.dropna(subset="problems").to_dict("records")
    ]
    notes += [*compare_budgets(results, names), *claim_notes(results, ranks, pairwise, names)]
    parts += [f"**{as_text(sentence)}.**" for sentence in notes]
    for track in pairwise["track"].drop_duplicates():
        rows = pairwise[pairwise["track"] == track]
        lines = [difference_sentence(row, names, trainings) for row in rows.to_dict("records")]
        lines += [_seeds_sentence(row, names) for row in seeds[seeds["track"] == track].to_dict("records")]
        standing = Standing.of(results, pairwise, track).sentence(names, trainings)
        paragraphs = [standing, *_first_row(results, ranks, track)] if track != "reference" else []
        parts += [f"## {track.capitalize()} track", *map(as_text, paragraphs), _list(lines)]
    if len(fits):
        lines = [power_law.law_sentence(row) for row in fits.to_dict("records")]
        parts += ["## Numbers of labels", LABELS_NOTE, _list(lines)]
    if pairwise.empty:
        parts.append("No two experiments were compared.")
    return "\n\n".join(parts) + "\n"


def _list(sentences: Iterable[str]) -> str:
    return "\n".join(f"- {as_text(sentence)}" for sentence in sentences)


def _first_row(results: pd.DataFrame, ranks: pd.DataFrame, track: str) -> Iterator[str]:
    rows = board_rows(results, ranks, track)
    if rows and pd.notna(rows[0].mean):
        first = rows[0]
        yield " ".join(
            [f"First by test value: {first.name}, {first.format_interval()}.", *luck_note(rows, ranks, track)]
        )


def difference_sentence(row: dict, names: Mapping[str, str], trainings: Mapping[str, str]) -> str:
    """One row of pairwise.csv in words.

    ``names`` maps experiments to their short names, ``trainings`` to those that stand for their trainings only.
    """
    a, b = names[row["a"]], names[row["b"]]
    if pd.isna(row["difference"]):
        return f"{a} {MINUS} {b}: no image has a value of {row['metric']} for both."
    counts = f"{row['n_images']:,} images in {row['n_groups']:,} groups"
    if row["claim"] == IDENTICAL:
        text = f"{a} and {b} are equal on every test image ({row['metric']}, {counts})."
        return " ".join([text, *_margin(row, trainings)])
    if row["n_groups_differ"] < row["n_groups"]:
        counts += f", {row['n_groups_differ']:,} of which differ"
    with_chance = pd.notna(row["p_seeds"])
    subjects = names if with_chance else trainings
    value = f"{a} {MINUS} {b}: {_format_difference(row)}"
    if row["claim"] == TOO_FEW:
        text = f"{value}, too few groups for a test ({counts}; {FEWEST_GROUPS} that differ are needed)."
    else:
        text = f"{value}{_claim(row, subjects)}; Holm p {format_holm(row)}{CHANCE if with_chance else ''}, {counts}."
    return " ".join([text, *_margin(row, subjects), *_power(row)])


def _format_difference(row: dict) -> str:
    difference, low, high = (row[key] for key in ("difference", "difference_lo", "difference_hi"))
    # What is less than 0.1 pp is no 0.
    places = 4 if max(abs(difference), abs(low), abs(high)) < 0.1 else 1
    sign = "+" if difference > 0 else ""
    interval = f"[{_format_points(low, places)}, {_format_points(high, places)}]"
    return f"{sign}{_format_points(difference, places)} pp {row['metric']} {interval}"


def _claim(row: dict, subjects: Mapping[str, str]) -> str:
    if row["claim"] in LOSERS:
        loser = LOSERS[row["claim"]]
        winner = "a" if loser == "b" else "b"
        return f": {subjects[row[winner]]} is better than {subjects[row[loser]]}"
    if row["difference_lo"] <= 0 <= row["difference_hi"]:
        return ", not significant"
    explanation = str(row["reason"]).partition(": ")[2]
    why = f" ({explanation})" if explanation else ""
    return f", not significant, though the interval, which is not corrected, excludes 0{why}"


def format_holm(row: dict) -> str:
    """Holm's corrected p of a row of pairwise.csv with its sign: a bound, if the resamples allow no smaller one."""
    if is_true(row["at_draw_limit"]):
        return f"≤ {row['p_holm']:.2g} (limit of the draws)"
    return "< 0.001" if row["p_holm"] < 0.001 else f"= {row['p_holm']:.2g}"


def _margin(row: dict, subjects: Mapping[str, str]) -> Iterator[str]:
    """Whether b is shown to be not worse than a by more than the margin, unless a claim says more."""
    if pd.isna(row["margin"]) or row["claim"] == B_BETTER:
        return
    a, b, most = subjects[row["a"]], subjects[row["b"]], f"by more than {row['margin']:g} pp"
    if is_true(row["not_worse"]):
        yield f"Not worse {most}: {b} than {a} (Holm p = {row['p_not_worse']:.2g})."
    elif row["claim"] != A_BETTER:
        yield f"Not shown: that {b} is not worse than {a} {most}."


def _power(row: dict) -> Iterator[str]:
    """What the test images of a comparison without a claim could have shown, and how many would show the difference."""
    if row["claim"] not in (NO_CLAIM, TOO_FEW) or row["n_groups"] < 2 or row["difference"] == 0:
        return
    parts, observed = [], f"{abs(row['difference']):.2g} pp"
    if pd.notna(row["smallest_difference"]):
        parts.append(f"these images would show {row['smallest_difference']:.1f} pp in four of five studies")
    if pd.isna(row["images_needed"]):
        parts.append(f"the observed {observed} would take more than {MOST_TIMES} times as many")
    elif row["images_needed"] > row["n_images"]:
        parts.append(f"the observed {observed} would take about {_round(row['images_needed']):,} test images")
    else:
        parts.append(f"the observed {observed} would be shown by as many images in four of five studies")
    text = "; ".join(parts)
    yield f"{text[0].upper()}{text[1:]}."


def _round(number: float) -> int:
    """``number`` to two digits: an estimate is no more exact."""
    return int(float(f"{number:.2g}"))


def _seeds_sentence(row: dict, names: dict[str, str]) -> str:
    return (
        f"{names[row['experiment']]}: {row['metric']} {row['mean']:.3f} ± {row['sd']:.3f} over {row['n_seeds']} seeds "
        f"(standard deviations: seeds {row['seed_sd']:.3f}, images {row['image_sd']:.3f}, rest {row['rest_sd']:.3f})."
    )


def _format_points(value: float, places: int) -> str:
    return "?" if pd.isna(value) else format_points(value, places)
