"""The study's question answered first: which model, how sure, at what cost."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pandas as pd

from defectbench.evaluation.image_scores import PRIMARY
from defectbench.evaluation.statistics import A_BETTER, B_BETTER
from defectbench.reporting.numbers import amount, decimal, memory, milliseconds, minutes
from defectbench.reporting.records import MIXED
from defectbench.reporting.verdicts import Standing
from defectbench.reporting.words import MEANING

_MOST = 5


@dataclass(frozen=True)
class Answer:
    """Sentences under three headings."""

    which: list[str]
    sure: list[str]
    cost: list[str]


def answer(
    results: pd.DataFrame, pairwise: pd.DataFrame, standings: Mapping[str, Standing], called: Mapping[str, str]
) -> Answer:
    """Answer for the automatic track, or for the oracle track where no model is automatic."""
    track = next((track for track in ("automatic", "oracle") if track in standings), None)
    if track is None:
        return Answer(["No trained model is in this study, only reference methods."], [], [])
    standing, metric = standings[track], PRIMARY[track]
    rows = results[results["track"] == track]
    which = [f"Oracle track: {standing.sentence(called)}" if track == "oracle" else standing.sentence(called)]
    means = rows.groupby("experiment", sort=False)[metric].mean()
    if standing.winner is None and len(standing.unbeaten) > 1 and standing.tested:
        ordered = sorted(standing.unbeaten, key=lambda name: -means.fillna(-1)[name])
        shown = "; ".join(f"{called[name]} ({decimal(means[name])})" for name in ordered[:_MOST])
        more = f"; and {len(ordered) - _MOST} more" if len(ordered) > _MOST else ""
        which.append(f"Those by test value: {shown}{more}.")
    focus = standing.winner or standing.best or rows["experiment"].iloc[0]
    own = rows[rows["experiment"] == focus]
    return Answer(which, _sure(own, called[focus], metric, pairwise), _cost(own, called[focus], rows, standing, called))


def _sure(own: pd.DataFrame, name: str, metric: str, pairwise: pd.DataFrame) -> list[str]:
    row = own.iloc[0]
    value = f"{name}: {decimal(own[metric].mean())}"
    interval = f"[{decimal(own[f'{metric}_lo'].min())}, {decimal(own[f'{metric}_hi'].max())}]"
    if len(own) > 1:
        value += f", mean of {len(own)} seeds, standard deviation {decimal(own[metric].std())}"
        said = f"the 95 % intervals of the seeds lie within {interval}"
    else:
        value += f" {interval}"
        said = "brackets: 95 % interval"
    texts = [
        f"{value}; {metric} is the {MEANING[metric]}.",
        f"{row['n_test']:,} test images in {row['n_test_groups']:,} groups; {said}.",
    ]
    claims = pairwise["claim"].isin([A_BETTER, B_BETTER]).sum()
    if len(pairwise):
        texts.append(f"Comparisons declared: {len(pairwise)}; significant: {claims}.")
    return texts


def _cost(own: pd.DataFrame, name: str, rows: pd.DataFrame, standing: Standing, called: Mapping[str, str]) -> list[str]:
    # Means over seeds.
    parts = {
        f"per image{_on(own['device'])}": milliseconds(own["avg_inference_time"].mean()),
        "parameters": amount(own["params_total"].mean()),
        "peak memory of prediction": memory(own["peak_memory_infer_bytes"].mean()),
        f"training{_on(own['train_device'])}": minutes(own["train_seconds"].mean()),
        "labelled training images": amount(own["n_labels_train"].mean()),
    }
    known = ", ".join(f"{value} {what}" for what, value in parts.items() if value)
    texts = [f"{name}: {known or 'nothing was measured'}."]
    unbeaten = rows[rows["experiment"].isin(standing.unbeaten)]
    times = unbeaten.groupby("experiment")["avg_inference_time"].mean().dropna()
    if len(times) > 1 and unbeaten["device"].nunique() == 1 and MIXED not in set(unbeaten["device"]):
        least = times.idxmin()
        texts.append(
            f"Lowest measured time among those not shown to be worse: {called[least]}, {milliseconds(times[least])} "
            "per image."
        )
    return texts


def _on(devices: pd.Series) -> str:
    known = [f"{device} devices" if device == MIXED else device for device in devices.dropna().unique()]
    return f" ({' and '.join(known)})" if known else ""


def standings_of(results: pd.DataFrame, pairwise: pd.DataFrame) -> dict[str, Standing]:
    """The standing of every track of trained models."""
    tracks: Sequence[str] = [track for track in ("automatic", "oracle") if (results["track"] == track).any()]
    return {track: Standing.of(results, pairwise, track) for track in tracks}
