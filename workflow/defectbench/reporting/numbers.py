"""Numbers as a page shows them; what is not known is an empty text."""

from typing import Any

import pandas as pd

DASH = "–"


def decimal(value: Any, places: int = 3) -> str:
    """A metric, or a dash."""
    return DASH if pd.isna(value) else f"{value:.{places}f}"


def amount(value: Any) -> str:
    """A count: 950, 14.3 k, 14.3 M."""
    if pd.isna(value):
        return ""
    for unit, size in (("G", 1e9), ("M", 1e6), ("k", 1e4)):
        if value >= size:
            return f"{value / (1e3 if unit == 'k' else size):.1f} {unit}"
    return f"{int(value):,}"


def memory(value: Any) -> str:
    """Bytes as MB or GB, powers of ten."""
    if pd.isna(value):
        return ""
    return f"{value / 1e9:.2f} GB" if value >= 1e9 else f"{value / 1e6:.1f} MB"


def milliseconds(value: Any) -> str:
    """Seconds as milliseconds."""
    return "" if pd.isna(value) else f"{1000 * value:.1f} ms"


def minutes(value: Any) -> str:
    """Seconds as s, min or h."""
    if pd.isna(value):
        return ""
    if value < 120:
        return f"{value:.0f} s"
    return f"{value / 60:.0f} min" if value < 7200 else f"{value / 3600:.1f} h"
