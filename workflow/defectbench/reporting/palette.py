"""Colours that every picture and table of a study shares, safe for any colour vision."""

from collections.abc import Iterable, Mapping, Sequence

from matplotlib.colors import to_hex, to_rgb

INK, MUTED, FAINT = "#1f1f1f", "#6b6b6b", "#dddddd"
# Okabe and Ito's colours, told apart with any colour vision, and Tol's wine in place of black and yellow: one is ink,
# one too pale. Sky blue comes last: it is near the shades of blue.
HUES = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#882255", "#56b4e9")


def colours(names: Iterable[str]) -> dict[str, str]:
    """A colour for each distinct name, in the order of first appearance; after the last one they start again."""
    return {name: HUES[i % len(HUES)] for i, name in enumerate(dict.fromkeys(names))}


def family_colours(families: Sequence[str], tracks: Sequence[str]) -> dict[str, str]:
    """A colour for each family of a study's experiments, the same in all its pictures; reference methods are grey."""
    trained = [family for family, track in zip(families, tracks, strict=True) if track != "reference"]
    return dict.fromkeys(families, MUTED) | colours(trained)


def series_colours(hues: Mapping[str, str], families: Sequence[str], series: Sequence[str]) -> dict[str, str]:
    """A colour for each series: its family's of ``hues`` (all families of the study), a shade for each series.

    In a study of a single family the hues go to its series, where they are of more use.
    """
    if len({hue for hue in hues.values() if hue != MUTED}) == 1:
        return colours(series)
    family_of = dict(zip(series, families, strict=True))
    found = {}
    for family in dict.fromkeys(families):
        own = [name for name in family_of if family_of[name] == family]
        found |= {name: lighter(hues[family], 0.55 * i / len(own)) for i, name in enumerate(own)}
    return found


def lighter(colour: str, amount: float) -> str:
    """``colour`` moved towards white by ``amount``, 0 to 1."""
    return to_hex([channel + amount * (1 - channel) for channel in to_rgb(colour)])
