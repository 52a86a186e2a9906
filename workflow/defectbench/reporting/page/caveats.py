"""Caveats of a study: sentences that its data call for."""

from collections.abc import Iterator, Mapping, Sequence

import pandas as pd

from defectbench.evaluation.image_scores import PRIMARY
from defectbench.evaluation.statistics import FEWEST_GROUPS
from defectbench.reporting.budgets import compare_budgets
from defectbench.reporting.data_notes import UNGROUPED
from defectbench.reporting.names import list_names
from defectbench.reporting.records import MIXED, Record
from defectbench.reporting.threshold_noise import threshold_caveat
from defectbench.reporting.verdicts import Standing

FEW_IMAGES = 100  # at a true share of 0.8, its standard error is then 0.04


def caveats(
    results: pd.DataFrame,
    records: Sequence[Record],
    standings: Mapping[str, Standing],
    names: Mapping[str, str],
    issues: pd.DataFrame,
    leaks: pd.DataFrame,
    ungrouped: bool = False,
) -> list[str]:
    """The sentences that apply; ``standings`` by track, ``names`` maps experiments to short names.

    ``ungrouped``: only the pixels tell which images belong together.
    """
    return [
        *_data(results, issues, leaks),
        *([UNGROUPED] if ungrouped else []),
        *(f"{record.name}: {record.row['problems']}." for record in records if record.row["problems"]),
        *(f"{sentence}." for sentence in compare_budgets(results, names)),
        *_training(records),
        *threshold_caveat(records),
        *_leads(results, standings, names),
        *_tracks(results),
        *_missing(results, records),
    ]


def _data(results: pd.DataFrame, issues: pd.DataFrame, leaks: pd.DataFrame) -> Iterator[str]:
    n, defective, groups = (int(results[name].max()) for name in ("n_test", "n_test_defective", "n_test_groups"))
    if groups < FEWEST_GROUPS:
        yield f"Too few test images to test anything: {n} images in {groups} groups; {FEWEST_GROUPS} groups are needed."
    elif n < FEW_IMAGES:
        yield f"Few test images: {n}, of which {defective} are defective."
    if groups < n:
        yield f"The {n:,} test images come in {groups:,} groups; a group counts as one observation."
    if n == defective:
        yield "No test image is clean: false alarms on clean surfaces were not measured."
    if len(issues):
        first = issues.iloc[0]
        yield (
            f"{len(issues):,} problem(s) in the source files; the samples concerned are quarantined and in no number "
            f"here. The first: {first['file']}: {first['problem']}"
        )
    if len(leaks):
        roles = ", ".join(f"{count} from {role}" for role, count in leaks["dropped_role"].value_counts().items())
        yield f"{len(leaks):,} image(s) were dropped ({roles}): the given split had the same picture in two roles."


def _training(records: Sequence[Record]) -> Iterator[str]:
    trained = [record for record in records if record.row["track"] != "reference"]
    # Of a cascade, both stages are named.
    random = [record for record in trained if "random" in str(record.row["weights_source"]).split(" + ")]
    if random:
        yield (
            f"{len(random)} of {len(trained)} experiments started from random weights, not from pretrained ones: "
            f"{_names(random)}."
        )
    searched = [record for record in trained if record.row["searched"]]
    if searched:
        yield (
            f"Settings of {len(searched)} of {len(trained)} experiments were found by a search on the validation "
            f"images (column searched), those of the others are as the study states them: {_names(searched)}."
        )
    labels = {record.row["n_labels_train"] for record in trained} - {None}
    if len(labels) > 1:
        yield (
            f"Numbers of training labels differ, {min(labels):,} to {max(labels):,}: a rank on the leaderboard is "
            "that of a model with its labels."
        )
    divided = [record for record in trained if (record.run.get("batch_parts") or 1) > 1]
    if divided:
        yield (
            "Batches did not fit into memory and were divided into micro-batches with accumulated gradients: "
            f"{_names(divided)}."
        )


def _leads(results: pd.DataFrame, standings: Mapping[str, Standing], names: Mapping[str, str]) -> Iterator[str]:
    for track, standing in standings.items():
        metric = PRIMARY[track]
        means = results[results["track"] == track].groupby("experiment", sort=False)[metric].mean().dropna()
        if len(means) < 2:
            continue
        first = means.idxmax()
        shared = [names[name] for name in means.index[means.round(12) == means.round(12).max()]]
        doubts = standing.doubts(first, names)
        if len(shared) > 1:
            yield f"{track.capitalize()} track: {', '.join(shared)} share the highest {metric} on the test images."
        elif doubts:
            lead = f"{track.capitalize()} track: {names[first]} has the highest {metric} on the test images"
            yield f"{lead}, but {doubts}."
        if standing.best and names[standing.best] not in shared:
            yield (
                f"{track.capitalize()} track: {names[standing.best]} has the highest validation score, {names[first]} "
                "the highest test score; the tests compare against the former."
            )
        yield from standing.against_references(names)


def _tracks(results: pd.DataFrame) -> Iterator[str]:
    n_oracle = int((results["track"] == "oracle").sum())
    if n_oracle:
        yield (
            f"{n_oracle} experiment(s) were given prompts from the true masks (oracle track): a ceiling for "
            "annotation, not to be compared with the automatic track."
        )
    devices = results.loc[results["track"] != "reference", "device"].dropna().unique()
    if len(devices) > 1 or MIXED in devices:
        yield f"Times were measured on different devices and do not compare: {'; '.join(devices)}."


def _missing(results: pd.DataFrame, records: Sequence[Record]) -> Iterator[str]:
    for track, metric in PRIMARY.items():
        rows = results[results["track"] == track]
        without = [r for r in records if r.row["track"] == track and r.row[metric] is None]
        if without:
            yield f"{track.capitalize()} track: no value of {metric} for {_names(without)}."
        if track != "reference" and (rows[metric].notna() & rows[f"{metric}_lo"].isna()).any():
            yield f"{track.capitalize()} track: some intervals could not be determined."
    if len(results) and results["recall_at_fp_1"].isna().all():
        yield "recall_at_fp is empty: true defects are fragmented, or no method has scores."
    if len(results) and results["peak_memory_infer_bytes"].isna().all():
        yield "Memory of prediction was not measured."


def _names(records: Sequence[Record]) -> str:
    return list_names([record.name for record in records])
