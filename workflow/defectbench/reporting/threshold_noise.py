"""How far other val images would have moved the thresholds of the results, in words."""

from collections.abc import Iterator, Sequence

from defectbench.config.base import MERGED
from defectbench.evaluation.policies import CALIBRATED
from defectbench.reporting.names import list_names
from defectbench.reporting.records import Record

WIDE = 0.3
"""Range of p from which a threshold is hardly determined"""


def threshold_ranges(record: Record) -> dict[str, list[float]]:
    """Class -> 95 % range of p over resamples of the val images; empty if val did not choose the thresholds."""
    ranges = record.calibration["threshold_range"] if record.row["policy"] == CALIBRATED else {}
    return {name: found for name, found in ranges.items() if found is not None}


def describe_ranges(record: Record) -> list[str]:
    """The ranges of :func:`threshold_ranges` in words, a text for each class."""
    prefixes = {name: "" if name == MERGED else f"{name} " for name in threshold_ranges(record)}
    return [f"{prefixes[name]}{low:.2f} to {high:.2f}" for name, (low, high) in threshold_ranges(record).items()]


def threshold_caveat(records: Sequence[Record]) -> Iterator[str]:
    """Sentences on thresholds that the val images hardly determine, and on target recalls that no threshold reaches."""
    wide = [
        f"{record.name} ({'; '.join(describe_ranges(record))})"
        for record in records
        if any(high - low > WIDE for low, high in threshold_ranges(record).values())
    ]
    if wide:
        yield (
            f"The val images hardly determine the threshold of {len(wide)} experiment(s): on resampled ones its 95 % "
            f"range in p is wider than {WIDE:g}. The intervals of scores contain neither this nor the choice of "
            f"post-processing: {list_names(wide)}."
        )
    missed = [record.name for record in records if _misses_recall(record)]
    if missed:
        recall = records[0].calibration["recall"]
        yield f"No threshold has a recall of {recall:g} on val, the highest recall was taken: {list_names(missed)}."


def _misses_recall(record: Record) -> bool:
    calibration = record.calibration
    values = [value for value in calibration["value"].values() if value is not None]
    return calibration["recall"] is not None and calibration["has_scores"] and min(values, default=0) < 0
