"""Lists of names in messages, cut short."""

from collections.abc import Iterable
from itertools import islice

FIRST = 5


def preview_list(items: Iterable[object]) -> str:
    """The first five ``items``, separated by commas, and '...' if there are more."""
    names = [str(item) for item in islice(items, FIRST + 1)]
    return ", ".join(names[:FIRST]) + (", ..." if len(names) > FIRST else "")


def preview_names(items: Iterable[object], noun: str = "images") -> str:
    """Number of ``items`` and the first five of them."""
    names = list(items)
    return f"{len(names)} {noun}: {preview_list(names)}"


def count_nouns(number: int, noun: str) -> str:
    """``number`` with a ``noun`` in singular or plural."""
    plural = f"{noun}es" if noun.endswith(("s", "x")) else f"{noun}s"
    return f"{number:,} {noun if number == 1 else plural}"
