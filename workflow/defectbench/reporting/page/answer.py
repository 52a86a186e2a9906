"""The answer on top of the page: which model, how sure, at what cost."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pandas as pd

from defectbench.evaluation.image_scores import PRIMARY
from defectbench.evaluation.statistics import A_BETTER, B_BETTER
from defectbench.reporting.numbers import (
    format_bytes,
    format_count,
    format_decimal,
    format_duration,
    format_milliseconds,
)
from defectbench.reporting.records import MIXED
from defectbench.reporting.verdicts import Standing
from defectbench.reporting.words import METRIC_MEANINGS

_MOST = 5


@dataclass(frozen=True)
class Answer:
    """Sentences under three headings."""

    which: list[str]
    sure: list[str]
    cost: list[str]


def answer(
    results: pd.DataFrame, pairwise: pd.DataFrame, standings: Mapping[str, Standing], names: Mapping[str, str]
) -> Answer:
    """Answer for the automatic track, or for the oracle track where no model is automatic."""
    track = next((track for track in ("automatic", "oracle") if track in standings), None)
    if track is None:
        return Answer(["No trained model is in this study, only reference methods."], [], [])
    standing, metric = standings[track], PRIMARY[track]
    rows = results[results["track"] == track]
    which = [f"Oracle track: {standing.sentence(names)}" if track == "oracle" else standing.sentence(names)]
    means = rows.groupby("experiment", sort=False)[metric].mean()
    if standing.winner is None and len(standing.unbeaten) > 1 and standing.tested:
        ordered = sorted(standing.unbeaten, key=lambda name: -means.fillna(-1)[name])
        leaders = "; ".join(f"{names[name]} ({format_decimal(means[name])})" for name in ordered[:_MOST])
        more = f"; and {len(ordered) - _MOST} more" if len(ordered) > _MOST else ""
        which.append(f"By test value: {leaders}{more}.")
    focus = standing.winner or standing.best or rows["experiment"].iloc[0]
    seed_rows = rows[rows["experiment"] == focus]
    return Answer(
        which, _sure(seed_rows, names[focus], metric, pairwise), _cost(seed_rows, names[focus], rows, standing, names)
    )


def _sure(seed_rows: pd.DataFrame, name: str, metric: str, pairwise: pd.DataFrame) -> list[str]:
    row = seed_rows.iloc[0]
    value = f"{name}: {format_decimal(seed_rows[metric].mean())}"
    interval = f"[{format_decimal(seed_rows[f'{metric}_lo'].min())}, {format_decimal(seed_rows[f'{metric}_hi'].max())}]"
    if len(seed_rows) > 1:
        value += f", mean of {len(seed_rows)} seeds, standard deviation {format_decimal(seed_rows[metric].std())}"
        interval_note = f"the 95 % intervals of the seeds are within {interval}"
    else:
        value += f" {interval}"
        interval_note = "brackets: 95 % interval"
    texts = [
        f"{value}; {metric} is the {METRIC_MEANINGS[metric]}.",
        f"{row['n_test']:,} test images in {row['n_test_groups']:,} groups; {interval_note}.",
    ]
    claims = pairwise["claim"].isin([A_BETTER, B_BETTER]).sum()
    if len(pairwise):
        texts.append(f"Comparisons declared: {len(pairwise)}; significant: {claims}.")
    return texts


def _cost(
    seed_rows: pd.DataFrame, name: str, rows: pd.DataFrame, standing: Standing, names: Mapping[str, str]
) -> list[str]:
    # Means over seeds.
    parts = {
        f"per image{_device_suffix(seed_rows['device'])}": format_milliseconds(seed_rows["avg_inference_time"].mean()),
        "parameters": format_count(seed_rows["params_total"].mean()),
        "peak memory of prediction": format_bytes(seed_rows["peak_memory_infer_bytes"].mean()),
        f"training{_device_suffix(seed_rows['train_device'])}": format_duration(seed_rows["train_seconds"].mean()),
        "labelled training images": format_count(seed_rows["n_labels_train"].mean()),
    }
    known = ", ".join(f"{value} {what}" for what, value in parts.items() if value)
    texts = [f"{name}: {known or 'nothing was measured'}."]
    unbeaten = rows[rows["experiment"].isin(standing.unbeaten)]
    times = unbeaten.groupby("experiment")["avg_inference_time"].mean().dropna()
    if len(times) > 1 and unbeaten["device"].nunique() == 1 and MIXED not in set(unbeaten["device"]):
        least = times.idxmin()
        texts.append(
            f"Lowest measured time among those not shown to be worse: {names[least]}, "
            f"{format_milliseconds(times[least])} per image."
        )
    return texts


def _device_suffix(devices: pd.Series) -> str:
    known = [f"{device} devices" if device == MIXED else device for device in devices.dropna().unique()]
    return f" ({' and '.join(known)})" if known else ""


def standings_by_track(results: pd.DataFrame, pairwise: pd.DataFrame) -> dict[str, Standing]:
    """The standing of every track of trained models."""
    tracks: Sequence[str] = [track for track in ("automatic", "oracle") if (results["track"] == track).any()]
    return {track: Standing.of(results, pairwise, track) for track in tracks}
