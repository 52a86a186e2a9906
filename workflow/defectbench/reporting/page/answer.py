"""The answer on top of the page: which model, how sure, at what cost."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pandas as pd

from defectbench.evaluation.image_scores import PRIMARY
from defectbench.evaluation.pairwise import is_trained
from defectbench.evaluation.statistics import NO_CLAIM
from defectbench.reporting.boards import BoardRow, board_rows
from defectbench.reporting.names import experiment_names, training_names
from defectbench.reporting.numbers import format_bytes, format_count, format_decimal, format_duration
from defectbench.reporting.records import MIXED
from defectbench.reporting.verdicts import LOSERS, Standing, is_true
from defectbench.reporting.words import METRIC_MEANINGS

_MOST = 5


@dataclass(frozen=True)
class Answer:
    """Sentences under three headings."""

    which: list[str]
    sure: list[str]
    cost: list[str]


def answer(
    results: pd.DataFrame, ranks: pd.DataFrame, pairwise: pd.DataFrame, standings: Mapping[str, Standing]
) -> Answer:
    """Answer for the automatic track, or for the oracle track where no model is automatic."""
    track = next((track for track in ("automatic", "oracle") if track in standings), None)
    if track is None:
        return Answer(["No trained model is in this study, only reference methods."], [], [])
    standing, rows = standings[track], board_rows(results, ranks, track)
    sentence = standing.sentence(experiment_names(results), training_names(results))
    which = [f"Oracle track: {sentence}" if track == "oracle" else sentence]
    leaders = [row for row in rows if row.experiment in standing.top]
    if standing.winner is None and len(leaders) > 1:
        listed = "; ".join(f"{row.name} ({format_decimal(row.mean)})" for row in leaders[:_MOST])
        more = f"; and {len(leaders) - _MOST} more" if len(leaders) > _MOST else ""
        which.append(f"By test value: {listed}{more}.")
    focus = standing.winner or standing.best
    row = next((row for row in rows if row.experiment == focus), rows[0])
    cost = [_cost(row), *_cheaper_ones(row, rows, standing, pairwise)]
    return Answer(which, _sure(row, PRIMARY[track], pairwise, track), cost)


def _sure(row: BoardRow, metric: str, pairwise: pd.DataFrame, track: str) -> list[str]:
    n_seeds, first = len(row.trainings), row.trainings.iloc[0]
    seeds, interval = "", "95 % interval"
    if n_seeds > 1:
        seeds = f", mean ± standard deviation of {n_seeds} seeds"
        interval = "95 % interval of that mean, the chance of training included"
    elif is_trained(row.trainings).all():
        interval = "95 % interval of this training, not of the method with another seed"
    texts = [
        f"{row.name}: {row.format_interval()}{seeds}; {metric} is the {METRIC_MEANINGS[metric]}.",
        f"{first['n_test']:,} test images in {first['n_test_groups']:,} groups; brackets: {interval}.",
    ]
    if pd.notna(at_share := row.values["dice_at_clean_share"]):
        spread = row.format_spread("dice_at_clean_share")
        share = f"{100 * row.values['clean_share']:g} %"
        texts.append(f"With {share} clean images, as on the line: {format_decimal(at_share)} ({spread}).")
    if len(pairwise):
        claims = pairwise["claim"].isin(LOSERS).sum()
        texts.append(f"Comparisons declared: {len(pairwise)}; significant: {claims}.")
    open_rows = pairwise[(pairwise["claim"] == NO_CLAIM) & (pairwise["track"] == track)]
    smallest = open_rows["smallest_difference"].dropna()
    if len(smallest):
        least, most = f"{smallest.min():.1f}", f"{smallest.max():.1f}"
        span = least if least == most else f"{least} to {most}"
        texts.append(
            f"Where no claim is made, these images would show differences of {span} pp in four of five studies; how "
            "many images the observed ones would take is said with each test."
        )
    return texts


def _cost(row: BoardRow) -> str:
    values = row.values
    parts = {
        f"per image{_device_suffix(row.trainings['device'])}": _time(row),
        "parameters": format_count(values["params_total"]),
        "peak memory of prediction": format_bytes(values["peak_memory_infer_bytes"]),
        f"training{_device_suffix(row.trainings['train_device'])}": format_duration(values["train_seconds"]),
        "labelled training images": format_count(values["n_labels_train"]),
    }
    known = ", ".join(f"{value} {what}" for what, value in parts.items() if value)
    return f"{row.name}: {known or 'nothing was measured'}."


def _cheaper_ones(focus: BoardRow, rows: list[BoardRow], standing: Standing, pairwise: pd.DataFrame) -> list[str]:
    """Whether one with less measured time may be taken: only a test of non-inferiority answers that."""
    cheaper = sorted((row for row in rows if _is_faster(row, focus)), key=lambda row: row.milliseconds()[0])
    if not any(row.experiment in standing.unbeaten for row in cheaper):
        return []
    question = f"May I take a cheaper one than {focus.name}?"
    if pairwise["margin"].isna().all():
        if standing.untested:
            return []
        return [
            f"{question} That was not tested. Set report.margin to the difference that you can live with, as 0.02 for "
            "2 pp: the tests then say which models are not worse by more than that."
        ]
    margin = f"not worse by more than {pairwise['margin'].max():g} pp"
    tested = pairwise[(pairwise["a"] == focus.experiment) & pairwise["not_worse"].map(is_true)]
    shown = [row for row in cheaper if row.experiment in set(tested["b"])]
    if not shown:
        return [f"{question} None of the {len(cheaper)} with less measured time is shown to be {margin}."]
    listed = "; ".join(f"{row.name}, {_time(row)} per image" for row in shown[:_MOST])
    return [f"{question} Shown to be {margin}: {listed}."]


def _is_faster(row: BoardRow, other: BoardRow) -> bool:
    """Whether ``row`` takes less measured time per image, on the same device."""
    devices = pd.concat([row.trainings["device"], other.trainings["device"]])
    if devices.isna().any() or devices.nunique() > 1 or MIXED in set(devices):
        return False
    (time, is_median), (other_time, other_is_median) = row.milliseconds(), other.milliseconds()
    if is_median != other_is_median:  # a median is compared with no mean
        time, other_time = (1000 * of.values["avg_inference_time"] for of in (row, other))
    return bool(time < other_time)


def _time(row: BoardRow) -> str:
    value, is_median = row.milliseconds()
    return "" if pd.isna(value) else f"{'' if is_median else '~'}{value:.1f} ms"


def _device_suffix(devices: pd.Series) -> str:
    known = [f"{device} devices" if device == MIXED else device for device in devices.dropna().unique()]
    return f" ({' and '.join(known)})" if known else ""


def standings_by_track(results: pd.DataFrame, pairwise: pd.DataFrame) -> dict[str, Standing]:
    """The standing of every track of trained models."""
    tracks: Sequence[str] = [track for track in ("automatic", "oracle") if (results["track"] == track).any()]
    return {track: Standing.of(results, pairwise, track) for track in tracks}
