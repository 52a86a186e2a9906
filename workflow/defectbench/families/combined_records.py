"""Values in the records of a combination of experiments: totals of their costs, and what they have in common."""

from collections.abc import Sequence
from typing import Any


def sum_known(values: Sequence[float | None]) -> float | None:
    """The sum of ``values``; None if one of them is not known."""
    known = [value for value in values if value is not None]
    return sum(known) if len(known) == len(values) else None


def mean_known(values: Sequence[int | None]) -> int | None:
    """The mean of ``values``, rounded; None if one of them is not known."""
    total = sum_known(values)
    return None if total is None else round(total / len(values))


def max_known(values: Sequence[float | None]) -> float | None:
    """The largest of the known ``values``; None if none is known."""
    return max((value for value in values if value is not None), default=None)


def common_value(values: Sequence[str | None]) -> str | None:
    """The value that all of ``values`` are, or 'mixed'; None if there are none."""
    return "mixed" if len(set(values)) > 1 else next(iter(values), None)


def inherited_label_ids(runs: Sequence[dict[str, Any]]) -> list[str]:
    """Ids of the labelled images behind the initial weights of ``runs`` (run.json), beyond their own subsets."""
    return sorted({image_id for run in runs for image_id in run.get("labels_of_init_from") or []})


def merge_notes(runs: Sequence[dict[str, Any]], key: str = "notes") -> list[str]:
    """The notes, or what else is under ``key``, of all ``runs`` (run.json), each once."""
    return list(dict.fromkeys(note for run in runs for note in run.get(key) or []))
