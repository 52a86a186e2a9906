"""Labels that by their value or name are no defects, but pixels that nobody decided: the key `ignore` proposed."""

import re
from dataclasses import replace

from defectbench.config.ingest import FORMATS
from defectbench.data.discovery.folder import Candidate, Doubt
from defectbench.data.readers.mask_pixels import VOID

LARGEST_NUMBER = 31
"""Values up to this one are numbers of classes; among larger ones 255 may be the lightest of several grey levels."""
# In lower case, without anything but letters.
_SURE = {"ignore", "ignored", "dontcare", "unlabeled", "unlabelled", "undecided", "unclear", "uncertain"}
_UNSURE = {"void", "unknown", "unsure", "ambiguous"}  # a void is a defect too: a pore in solder or a casting


def doubt_void(count: int, key: str = "") -> Doubt:
    """The doubt that 255, in ``count`` masks, is ignored; ``key`` if it may be a class."""
    text = f"{count:,} masks have the value {VOID}, which usually says that nobody decided: in no loss and no metric"
    return Doubt(text, key)


def propose_ignored(candidate: Candidate) -> Candidate:
    """``candidate`` with the class of undecided pixels, if one has such a name, as its key ``ignore``.

    Names that may also be those of a defect stay classes; each is a doubt.
    """
    by, classes = FORMATS[candidate.format].ignored_by, candidate.settings["classes"]
    can_ignore = by is not None and candidate.settings.get("mask_kind", "index") == "index"
    for value, name in classes.items():
        plain = re.sub(r"[^a-z]", "", name.lower())
        mark = value if by == "value" else name
        if plain in _SURE and can_ignore and len(classes) > 1 and "ignore" not in candidate.settings:
            text = f"{name} is by its name no defect, but what nobody decided: in no class, no loss and no metric"
            others = {other: each for other, each in classes.items() if other != value}
            candidate = replace(
                candidate,
                settings=candidate.settings | {"classes": others, "ignore": mark},
                doubts=(*candidate.doubts, Doubt(text, f"ignore: null, and {name} among classes")),
            )
        elif plain in _SURE | _UNSURE:
            text = f"{name} is read as a defect; by its name it may be pixels that nobody decided"
            key = f"ignore: {mark}, and {name} taken out of classes" if can_ignore else ""
            candidate = replace(candidate, doubts=(*candidate.doubts, Doubt(text, key)))
    return candidate
