"""What looks like a folder of images and a folder of masks."""

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import chain
from pathlib import PurePosixPath
from typing import Any, NamedTuple

from defectbench.data.discovery.folder import UNNAMED, Candidate, Doubt, Folder, common_folder, name_classes
from defectbench.data.discovery.ignored import LARGEST_NUMBER, doubt_void
from defectbench.data.discovery.pairs import MOST_VALUES, Look, Pair, find_pairs, look_at_masks
from defectbench.data.preview import preview_list
from defectbench.data.readers.mask_pixels import DRAWN, USUAL_THRESHOLD, VOID

INSTANCES = "SegmentationObject"
"""Name of Pascal VOC's folder of masks that tell things apart, not classes."""


def looks_like(folder: Folder) -> Iterator[Candidate]:
    """Yield pairs of folders whose files have the same names, of which one holds masks."""
    pairs = [pair for pair in find_pairs(folder) if PurePosixPath(pair.masks).name != INSTANCES]
    found = {pair: _Present.of_masks(look_at_masks(folder, pair)) for pair in pairs}
    yield from (_candidate(pair, present) for pair, present in found.items())
    yield from _beside(folder, pairs)
    # Folders of binary masks beside each other, of the same images: a class each.
    siblings: dict[tuple[str, str], list[Pair]] = {}
    for pair, present in found.items():
        if present.is_binary and len(pair.suffixes) == 1:
            siblings.setdefault((pair.images, PurePosixPath(pair.masks).parent.as_posix()), []).append(pair)
    by_class = [of_parent for of_parent in siblings.values() if len(of_parent) > 1]
    yield from map(_by_folder, [list(chain(*by_class))] if _are_lots(by_class) else by_class)


def _beside(folder: Folder, pairs: Sequence[Pair]) -> Iterator[Candidate]:
    """Yield folders of masks that are beside folders of images in several places, such as train and test, together."""
    places: dict[tuple[str, str, tuple[str, ...]], list[Pair]] = {}
    for pair in pairs:
        images, masks = PurePosixPath(pair.images), PurePosixPath(pair.masks)
        if images.parent == masks.parent and images != masks:
            places.setdefault((images.name, masks.name, pair.suffixes), []).append(pair)
    for (images_name, masks_name, suffixes), alike in places.items():
        if len(alike) > 1 and len(suffixes) == 1:
            top = common_folder(f"{PurePosixPath(pair.images).parent}/any" for pair in alike)
            files = tuple(file for pair in alike for file in pair.files)
            together = Pair(top, masks_name, suffixes, files, sum(pair.n_images for pair in alike))
            candidate = _candidate(together, _Present.of_masks(look_at_masks(folder, together)))
            yield replace(
                candidate,
                evidence=f"in {len(alike)} places, {candidate.evidence}",
                settings={"image_folders": images_name} | candidate.settings,
                instead_of=frozenset(pair.key for pair in alike),
            )


def _are_lots(by_class: Sequence[Sequence[Pair]]) -> bool:
    """Whether several folders of images have folders of masks for the same classes: parts of one dataset."""
    classes = [{PurePosixPath(pair.masks).name for pair in pairs} for pairs in by_class]
    return len(by_class) > 1 and all(names == classes[0] for names in classes)


def _candidate(pair: Pair, present: "_Present") -> Candidate:
    evidence = f"{pair.masks}: {len(pair.files):,} masks for {pair.n_images:,} images in {pair.images}; {present}"
    settings: dict[str, Any] = {"images_dir": pair.images, "masks_dir": pair.masks}
    if len(pair.suffixes) > 1:
        names, end = _class_names(pair.suffixes)
        settings |= {"mask_kind": "binary", "class_from": "file_name", "classes": names}
        settings |= _missing(len(pair.files) < pair.n_images * len(names))
        if end:
            settings["mask_suffix"] = end
        return Candidate("mask_folder", pair.masks, evidence, settings, _doubt_missing(settings))
    kind, doubts = present.describe()
    if pair.suffixes[0]:
        settings["mask_suffix"] = pair.suffixes[0]
    missing, missing_doubts = pair.leave_out()
    return Candidate("mask_folder", pair.masks, evidence, settings | missing | kind, (*doubts, *missing_doubts))


def _class_names(suffixes: Sequence[str]) -> tuple[dict[int, str], str]:
    """Names of the classes in the ends of the masks' names, and what comes after each."""
    ends = {match[1] if (match := re.search(r".([^A-Za-z0-9]\w*)$", suffix[1:])) else "" for suffix in suffixes}
    end = ends.pop() if len(ends) == 1 else ""
    return dict(enumerate((suffix[1:].removesuffix(end) for suffix in suffixes), start=1)), end


def _by_folder(pairs: Sequence[Pair]) -> Candidate:
    parent = common_folder(pair.masks for pair in pairs)
    names = sorted({PurePosixPath(pair.masks).name for pair in pairs})
    classes = name_classes(map(int, names)) if all(map(str.isdecimal, names)) else dict(enumerate(names, start=1))
    settings: dict[str, Any] = {
        "images_dir": common_folder(f"{pair.images}/any" for pair in pairs),
        "masks_dir": parent,
    }
    settings |= {"mask_kind": "binary", "class_from": "folder"}
    settings |= {"classes": classes, **_missing(any(len(pair.files) < pair.n_images for pair in pairs))}
    if pairs[0].suffixes[0]:
        settings["mask_suffix"] = pairs[0].suffixes[0]
    return Candidate(
        "mask_folder",
        parent,
        f"{parent}: folders of binary masks for {len(names)} classes, {', '.join(names)}",
        settings,
        _doubt_missing(settings),
        instead_of=frozenset(pair.key for pair in pairs),
    )


def _missing(some_are: bool) -> dict[str, str]:
    return {"missing_mask": "clean"} if some_are else {}


def _doubt_missing(settings: dict[str, Any]) -> tuple[Doubt, ...]:
    text = "not every image has a mask of each class: without one it counts as free of such defects"
    return (Doubt(text, "missing_mask: error"),) if "missing_mask" in settings else ()


class _Present(NamedTuple):
    """What the masks of a folder hold together."""

    values: Counter[int]
    """Value -> masks that have it."""
    colours: Counter[tuple[int, int, int]]
    n_lossy: int
    """Masks that are JPEG or the like."""
    n_mixed: int
    """Masks with more than one value beside 0."""

    @classmethod
    def of_masks(cls, looks: Sequence[Look]) -> "_Present":
        """Count over all masks."""
        values = Counter(value for look in looks for value in look.values)
        colours = Counter(colour for look in looks for colour in look.colours)
        mixed = sum(len({*look.values} - {0}) > 1 for look in looks)
        return cls(values, colours, sum(look.lossy for look in looks), mixed)

    def __str__(self) -> str:
        parts = [f"{self.n_lossy:,} as JPEG, near black and white"] if self.n_lossy else []
        parts += [f"the values {_preview(sorted(self.values))}"] if self.values else []
        parts += [f"the colours {preview_list(map(list, sorted(self.colours)))}"] if self.colours else []
        return ", ".join(parts) or "none of them can be read"

    @property
    def is_binary(self) -> bool:
        """Whether the masks hold two values each, or are lossy."""
        return not self.colours and (self.n_lossy > 0 or (not self.n_mixed and {*self.values} <= {0, *DRAWN}))

    def describe(self) -> tuple[dict[str, Any], list[Doubt]]:
        """Settings that fit what is there, and doubts about them."""
        defects = sorted(value for value in self.values if value)
        if self.colours:
            return self._describe_colours()
        one_class = {"mask_kind": "binary", "classes": {1: "defect"}}
        if self.is_binary:
            several = ", ".join(f"{value} in {self.values[value]:,}" for value in defects)
            text = f"the defect is drawn as {several} masks: all of them are taken for the same"
            return one_class, [UNNAMED, *([Doubt(text)] if len(defects) > 1 else [])]
        if len(defects) > MOST_VALUES:
            text = (
                f"masks have {len(defects)} grey values, as if drawn with soft edges or scaled: what is above"
                f" {USUAL_THRESHOLD} is taken for the defect"
            )
            return one_class | {"threshold": USUAL_THRESHOLD}, [UNNAMED, Doubt(text, f"threshold: {defects[0]}")]
        *others, largest = defects
        if largest != VOID:
            return {"mask_kind": "index", "classes": name_classes(defects)}, [UNNAMED]
        if others[-1] <= LARGEST_NUMBER:
            settings = {"mask_kind": "index", "classes": name_classes(others), "ignore": VOID}
            return settings, [UNNAMED, doubt_void(self.values[VOID], f"ignore: null, and {VOID} among classes")]
        text = f"{self.values[VOID]:,} masks have the value {VOID}, here a class; it may also mean 'to be ignored'"
        doubt = Doubt(text, f"ignore: {VOID}, and {VOID} taken out of classes")
        return {"mask_kind": "index", "classes": name_classes(defects)}, [UNNAMED, doubt]

    def _describe_colours(self) -> tuple[dict[str, Any], list[Doubt]]:
        colours = sorted(self.colours)
        classes = name_classes(range(1, len(colours) + 1))
        named = {classes[number]: list(colour) for number, colour in enumerate(colours, start=1)}
        text = (
            "each colour but black is read as a class: take those out that mean background or 'to be ignored'; the"
            " masks that have them are then named"
        )
        return {"mask_kind": "colour", "classes": classes, "colours": named}, [UNNAMED, Doubt(text)]


def _preview(values: Sequence[int]) -> str:
    return preview_list(values) if len(values) <= MOST_VALUES else f"{len(values)} between {values[0]} and {values[-1]}"
