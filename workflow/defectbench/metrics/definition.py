"""The definition of one metric or column of results.csv, as docs/metrics.md describes it."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

Records = TypeVar("Records")

ALL_IMAGES = "mean over all images"
DEFECTIVE_IMAGES = "mean over defective images"
CLEAN_IMAGES = "mean over clean images"
TOTALS = "from totals over all images"
NO_AVERAGE = ""

SHARE = "0 to 1"
ALL_TRACKS = "all"
NOT_ORACLE = "automatic, reference"
"""Tracks of the metrics in which clean images take part: the oracle track has none, and there they are null."""


@dataclass(frozen=True, kw_only=True)
class Definition:
    """One metric or column; texts are plain, without markup but `code` in backticks."""

    name: str
    """without prefix and suffix, as IoU@50 of val_IoU@50 and IoU@50_at_0.5"""
    formula: str = ""
    """tp, fp, fn are pixels of one image (or the totals, see ``averaging``), truth and prediction are masks"""
    averaging: str = NO_AVERAGE
    """over which images the mean is taken, or that totals come first; empty for what is no average"""
    value_range: str = ""
    null_when: str = "never"
    source: str = ""
    """publication or implementation"""
    track: str = ALL_TRACKS
    description: str = ""


@dataclass(frozen=True, kw_only=True)
class Metric(Definition, Generic[Records]):
    """A metric with the function that computes it; calling the metric calls the function."""

    compute: Callable[[Records], float | None]

    def __call__(self, records: Records) -> float | None:
        """The metric of the ``records`` of N images; None where it is not defined."""
        return self.compute(records)


def first_paragraph(function: Callable[..., Any]) -> str:
    """First paragraph of a docstring on one line, code in single backticks."""
    paragraph = (function.__doc__ or "").strip().split("\n\n")[0]
    return " ".join(paragraph.split()).replace("``", "`")
