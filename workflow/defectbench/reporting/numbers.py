"""Formatting of numbers for readers; an unknown number is an empty text."""

from typing import Any

import pandas as pd

DASH = "–"


def format_decimal(value: Any, places: int = 3) -> str:
    """A metric, or a dash."""
    return DASH if pd.isna(value) else f"{value:.{places}f}"


def format_count(value: Any) -> str:
    """A count: 950, 14.3 k, 14.3 M."""
    if pd.isna(value):
        return ""
    for unit, size in (("G", 1e9), ("M", 1e6), ("k", 1e4)):
        if value >= size:
            return f"{value / (1e3 if unit == 'k' else size):.1f} {unit}"
    return f"{int(value):,}"


def format_bytes(value: Any) -> str:
    """Bytes as MB or GB, powers of ten."""
    if pd.isna(value):
        return ""
    return f"{value / 1e9:.2f} GB" if value >= 1e9 else f"{value / 1e6:.1f} MB"


def format_milliseconds(value: Any) -> str:
    """Seconds as milliseconds."""
    return "" if pd.isna(value) else f"{1000 * value:.1f} ms"


def format_duration(value: Any) -> str:
    """Seconds as s, min or h."""
    if pd.isna(value):
        return ""
    if value < 120:
        return f"{value:.0f} s"
    return f"{value / 60:.0f} min" if value < 7200 else f"{value / 3600:.1f} h"


def format_points(value: float, places: int) -> str:
    """Percentage points with a real minus sign, and no sign before zero."""
    return f"{round(value, places) + 0.0:.{places}f}".replace("-", "−")
