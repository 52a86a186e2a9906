"""Colours that every picture and table of a study shares, safe for any colour vision."""

from collections.abc import Iterable, Mapping, Sequence

from matplotlib.colors import to_hex, to_rgb

INK, MUTED, FAINT = "#1f1f1f", "#6b6b6b", "#dddddd"
# Okabe and Ito's colours, distinguishable with any colour vision, and Tol's wine in place of black and yellow: one is
# ink, one too pale. Sky blue comes last: it is near the shades of blue.
HUES = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#882255", "#56b4e9")


def distinct_colours(names: Iterable[str]) -> dict[str, str]:
    """A colour for each distinct name, in the order of first appearance; the colours repeat after the last one."""
    return {name: HUES[i % len(HUES)] for i, name in enumerate(dict.fromkeys(names))}


def family_colours(families: Sequence[str], tracks: Sequence[str]) -> dict[str, str]:
    """A colour for each family of a study's experiments, the same in all pictures; reference methods are grey."""
    trained = [family for family, track in zip(families, tracks, strict=True) if track != "reference"]
    return dict.fromkeys(families, MUTED) | distinct_colours(trained)


def series_colours(hues: Mapping[str, str], families: Sequence[str], series: Sequence[str]) -> dict[str, str]:
    """A shade of its family's colour for each series; ``hues`` are the colours of all families of the study.

    In a study of a single family the series get the distinct colours.
    """
    if len({hue for hue in hues.values() if hue != MUTED}) == 1:
        return distinct_colours(series)
    family_of = dict(zip(series, families, strict=True))
    colour_of: dict[str, str] = {}
    for family in dict.fromkeys(families):
        members = [name for name in family_of if family_of[name] == family]
        colour_of |= {name: lighter(hues[family], 0.55 * i / len(members)) for i, name in enumerate(members)}
    return colour_of


def lighter(colour: str, amount: float) -> str:
    """``colour`` moved towards white by ``amount``, 0 to 1."""
    return to_hex([channel + amount * (1 - channel) for channel in to_rgb(colour)])
