"""Text out of data and settings as it may be shown: it gives no commands to a terminal."""

import unicodedata

_UNSEEN = ("Cc", "Cs", "Zl", "Zp")
"""Categories of control characters, damaged bytes and separators of lines"""
_BIDI = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")


def is_printable(name: str) -> bool:
    """Whether ``name`` can be shown on one line as it is: no control characters, damaged bytes or turns of direction.

    Joiners, as in emoji and Indic scripts, are printable, unlike by ``str.isprintable``.
    """
    return name.isprintable() or not any(unicodedata.category(c) in _UNSEEN or c in _BIDI for c in name)


def printable(text: str) -> str:
    r"""``text`` with all that cannot be shown as its code, such as \x1b; tabs and line breaks (\n) stay."""
    if text.isprintable():
        return text
    return "".join(c if c in "\n\t" or is_printable(c) else c.encode("unicode_escape").decode() for c in text)
