"""What looks like a folder of images and a folder of masks."""

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from itertools import permutations
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

import numpy as np

from defectbench.data.decoders import ImageError, load_pixels, open_image
from defectbench.data.discovery.folder import UNNAMED, Candidate, Doubt, Folder, name_classes
from defectbench.data.images import stream
from defectbench.data.preview import preview_list
from defectbench.data.readers.mask_pixels import (
    DRAWN,
    USUAL_THRESHOLD,
    MaskError,
    read_binary,
    read_colours,
    read_index,
)

MOST_FOLDERS = 100
"""Folders that are compared with each other; in data with more, the topmost."""
MOST_VALUES = 32
"""Values, or colours, of a mask; an image has more."""
SAMPLED = 8
"""Files of a folder that are looked at to tell masks from images."""
FLAT_SHARE = 0.98
"""Share of the pixels of a lossy mask that are near black or white."""
NEAR = 16
"""Grey values from black or white that a lossy mask's pixels may be."""
THREADS = 2


class Pair(NamedTuple):
    """A folder of images and the folder of their masks."""

    images: str
    masks: str
    suffix: str
    """What the stems of the masks have more."""
    files: tuple[str, ...]
    """Masks that have an image."""
    n_images: int


def looks_like(folder: Folder) -> Iterator[Candidate]:
    """Yield pairs of folders whose files have the same names, of which one holds masks."""
    for pair in find_pairs(folder):
        present = _Present.of_masks(list(stream(_look, [folder.path / name for name in pair.files], THREADS)))
        kind, doubts = present.describe()
        evidence = f"{pair.masks}: masks of {len(pair.files):,} of {pair.n_images:,} images in {pair.images}"
        settings: dict[str, Any] = {"images_dir": pair.images, "masks_dir": pair.masks, **kind}
        if pair.suffix:
            settings["mask_suffix"] = pair.suffix
        yield Candidate("mask_folder", pair.masks, f"{evidence}; {present}", settings, tuple(doubts))


def find_pairs(folder: Folder) -> list[Pair]:
    """Folders of images with their folders of masks; of folders in each other, the topmost."""
    stems = _stems_by_folder(folder.images)
    shallow = sorted(stems, key=lambda name: (len(PurePosixPath(name).parts), name))[:MOST_FOLDERS]
    pairs: list[Pair] = []
    for images, masks in permutations(shallow, 2):
        if _is_above(images, masks) or _is_above(masks, images):
            continue
        if any(_is_above(pair.images, images) and _is_above(pair.masks, masks) for pair in pairs):
            continue
        suffix, files = _match(stems[images], stems[masks])
        if not files or 2 * len(files) < len(stems[masks]):
            continue
        if _are_masks(folder, files) and not _are_masks(folder, list(stems[images].values())):
            pairs.append(Pair(images, masks, suffix, tuple(files), len(stems[images])))
    return pairs


def _is_above(folder: str, other: str) -> bool:
    return folder in (".", other) or other.startswith(f"{folder}/")


def _stems_by_folder(images: Sequence[str]) -> dict[str, dict[str, str]]:
    """Folder -> name below it, without suffix -> file, of all images below it."""
    stems: dict[str, dict[str, str]] = defaultdict(dict)
    for name in images:
        path = PurePosixPath(name)
        for parent in path.parents:
            stems[parent.as_posix()][path.relative_to(parent).with_suffix("").as_posix()] = name
    return stems


def _match(images: dict[str, str], masks: dict[str, str]) -> tuple[str, list[str]]:
    """What the stems of masks have more than those of their images, and the masks that have an image by it."""
    suffixes = Counter(_suffix(stem, images) for stem in masks)
    for suffix, _ in suffixes.most_common():
        if suffix is not None:
            return suffix, [
                file for stem, file in masks.items() if stem.endswith(suffix) and stem.removesuffix(suffix) in images
            ]
    return "", []


def _suffix(stem: str, images: dict[str, str]) -> str | None:
    """The end of ``stem`` without which it is the stem of an image; it begins with a sign such as '_'."""
    if stem in images:
        return ""
    ends = (i for i in range(len(stem) - 1, 0, -1) if not stem[i].isalnum() and stem[:i] in images)
    return next((stem[i:] for i in ends), None)


def _are_masks(folder: Folder, names: Sequence[str]) -> bool:
    """Whether files are masks and no images, as far as a few of them show."""
    step = max(1, len(names) // SAMPLED)
    sample = [_look(folder.path / name) for name in names[::step][:SAMPLED]]
    return sum(look.is_mask for look in sample) > len(sample) / 2


class _Look(NamedTuple):
    """What a mask file holds."""

    values: tuple[int, ...] = ()
    """Values of a file without colours."""
    colours: tuple[tuple[int, int, int], ...] = ()
    """Colours of another one, without black."""
    lossy: bool = False
    """Whether it is a JPEG or the like, near black and white."""

    @property
    def is_mask(self) -> bool:
        return self.lossy or 0 < len(self.values) + len(self.colours) <= MOST_VALUES


def _look(path: Path) -> _Look:
    try:
        return _Look(values=tuple(read_index(path)[1]))
    except MaskError:
        pass
    try:
        return _Look(colours=tuple(read_colours(path, [])[1]))
    except MaskError:
        pass
    try:
        read_binary(path, USUAL_THRESHOLD)
        grey = np.asarray(load_pixels(open_image(path)).convert("L"))
    except (ImageError, MaskError):
        return _Look()
    return _Look(lossy=bool(((grey <= NEAR) | (grey >= 255 - NEAR)).mean() >= FLAT_SHARE))


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
    def of_masks(cls, looks: Sequence[_Look]) -> "_Present":
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

    def describe(self) -> tuple[dict[str, Any], list[Doubt]]:
        """Settings that fit what is there, and doubts about them."""
        defects = sorted(value for value in self.values if value)
        if self.colours:
            return self._describe_colours()
        one_class = {"mask_kind": "binary", "classes": {1: "defect"}}
        if self.n_lossy or (not self.n_mixed and set(defects) <= {*DRAWN}):
            several = ", ".join(f"{value} in {self.values[value]:,}" for value in defects)
            text = f"the defect is drawn as {several} masks: all of them are taken for the same"
            return one_class, [UNNAMED, *([Doubt(text)] if len(defects) > 1 else [])]
        if len(defects) > MOST_VALUES:
            text = (
                f"masks have {len(defects)} grey values, as if drawn with soft edges or scaled: what is above"
                f" {USUAL_THRESHOLD} is taken for the defect"
            )
            return one_class | {"threshold": USUAL_THRESHOLD}, [UNNAMED, Doubt(text, f"threshold: {defects[0]}")]
        doubts = [UNNAMED]
        if 255 in defects:
            text = (
                f"{self.values[255]:,} masks have the value 255, which often means 'to be ignored': here it is a class"
            )
            doubts.append(Doubt(text))
        return {"mask_kind": "index", "classes": name_classes(defects)}, doubts

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
