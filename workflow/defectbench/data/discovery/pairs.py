"""Folders of images and the folders of their masks, distinguished by names and pixels."""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from functools import cache
from itertools import permutations
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

import numpy as np

from defectbench.data.decoders import ImageError, load_pixels, open_image
from defectbench.data.discovery.folder import Doubt, Folder
from defectbench.data.images import stream
from defectbench.data.names import normal_form
from defectbench.data.preview import count_nouns
from defectbench.data.readers.mask_pixels import USUAL_THRESHOLD, MaskError, read_binary, read_colours, read_index

MOST_FOLDERS = 100
"""Folders that are compared with each other; in data with more, the topmost."""
MOST_VALUES = 32
"""Values, or colours, of a mask; an image has more."""
MOST_SUFFIXES = 20
"""Different ends that names of masks may have, one for each class."""
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
    suffixes: tuple[str, ...]
    """What the stems of the masks have more."""
    files: tuple[str, ...]
    """Masks that have an image."""
    n_images: int

    @property
    def key(self) -> str:
        """The key of the candidate that reads it as a plain folder of masks."""
        return f"mask_folder:{self.masks}"

    def leave_out(self) -> tuple[dict[str, Any], list[Doubt]]:
        """The setting for images without a mask, and the doubt about it; none if there are no such images."""
        if not (n_missing := self.n_images - len(self.files)):
            return {}, []
        text = f"{count_nouns(n_missing, 'image')} without a mask: left out, since nothing says that they are clean; or"
        return {"missing_mask": "leave_out"}, [Doubt(text, "missing_mask: clean")]


class Look(NamedTuple):
    """What a mask file holds."""

    values: tuple[int, ...] = ()
    """Values of a file without colours."""
    colours: tuple[tuple[int, int, int], ...] = ()
    """Colours of another one, without black."""
    lossy: bool = False
    """Whether it is a JPEG or the like, near black and white."""

    @property
    def is_mask(self) -> bool:
        """Whether it is a mask and no image."""
        return self.lossy or 0 < len(self.values) + len(self.colours) <= MOST_VALUES


@cache
def find_pairs(folder: Folder) -> tuple[Pair, ...]:
    """Folders of images with their folders of masks; of folders in each other, the topmost."""
    stems = _stems_by_folder(folder.images)
    shallow = sorted(stems, key=lambda name: (len(PurePosixPath(name).parts), name))[:MOST_FOLDERS]
    pairs: list[Pair] = []
    for images, masks in permutations(shallow, 2):
        if _is_above(images, masks) or _is_above(masks, images):
            continue
        if any(_is_above(pair.images, images) and _is_above(pair.masks, masks) for pair in pairs):
            continue
        suffixes, files = _match(stems[images], stems[masks])
        if not files or 2 * len(files) < len(stems[masks]):
            continue
        if _are_masks(folder, files) and not _are_masks(folder, list(stems[images].values())):
            pairs.append(Pair(images, masks, suffixes, tuple(files), len(stems[images])))
    return (*pairs, *_pairs_within(folder, shallow, stems))


def _pairs_within(folder: Folder, folders: Sequence[str], stems: Mapping[str, Mapping[str, str]]) -> list[Pair]:
    """Topmost folders in which masks are among the images, recognised by the end of their names."""
    pairs: list[Pair] = []
    for place in folders:
        of_place = stems[place]
        if any(_is_above(pair.images, place) for pair in pairs):
            continue
        suffix_of = {stem: suffix for stem in of_place if (suffix := _end(stem, of_place))}
        if not suffix_of:
            continue
        suffix = Counter(suffix_of.values()).most_common(1)[0][0]
        files = [of_place[stem] for stem, end in suffix_of.items() if end == suffix]
        images = [file for stem, file in of_place.items() if not stem.endswith(suffix)]
        if _are_masks(folder, files) and not _are_masks(folder, images):
            pairs.append(Pair(place, place, (suffix,), tuple(files), len(images)))
    return pairs


def look_at_masks(folder: Folder, pair: Pair) -> list[Look]:
    """Look at all masks of a pair."""
    return list(stream(look, [folder.path / name for name in pair.files], THREADS))


def _is_above(folder: str, other: str) -> bool:
    return folder in (".", other) or other.startswith(f"{folder}/")


def _stems_by_folder(images: Sequence[str]) -> dict[str, dict[str, str]]:
    """Folder -> normal form of the name below it, without suffix -> file, of all images below it."""
    stems: dict[str, dict[str, str]] = defaultdict(dict)
    for name in images:
        path = PurePosixPath(name)
        for parent in path.parents:
            stem = path.relative_to(parent).with_suffix("").as_posix()
            stems[parent.as_posix()][normal_form(stem)] = name
    return stems


def _match(images: dict[str, str], masks: dict[str, str]) -> tuple[tuple[str, ...], list[str]]:
    """What the stems of masks have more than those of their images, and the masks that have an image by it.

    There are several ends, a class each, if none is rare.
    """
    suffix_of = {stem: suffix for stem in masks if (suffix := _suffix(stem, images)) is not None}
    counts = Counter(suffix_of.values())
    if not counts:
        return (), []
    usual, count = counts.most_common(1)[0]
    several = "" not in counts and 1 < len(counts) <= MOST_SUFFIXES and min(counts.values()) >= count / MOST_SUFFIXES
    suffixes = tuple(sorted(counts)) if several else (usual,)
    return suffixes, [masks[stem] for stem, suffix in suffix_of.items() if suffix in suffixes]


def _suffix(stem: str, images: dict[str, str]) -> str | None:
    """The end of ``stem`` without which it is the stem of an image; it begins with a sign such as '_'."""
    return "" if stem in images else _end(stem, images)


def _end(stem: str, images: Mapping[str, str]) -> str | None:
    """The same, though ``stem`` may be among the ``images``."""
    ends = (i for i in range(len(stem) - 1, 0, -1) if not stem[i].isalnum() and stem[:i] in images)
    return next((stem[i:] for i in ends), None)


def _are_masks(folder: Folder, names: Sequence[str]) -> bool:
    """Whether files are masks and no images, as far as a few of them show."""
    step = max(1, len(names) // SAMPLED)
    sample = [look(folder.path / name) for name in names[::step][:SAMPLED]]
    return sum(one.is_mask for one in sample) > len(sample) / 2


def look(path: Path) -> Look:
    """Look at a mask file, by the code that reads masks."""
    try:
        return Look(values=tuple(read_index(path)[1]))
    except MaskError:
        pass
    try:
        return Look(colours=tuple(read_colours(path, [])[1]))
    except MaskError:
        pass
    try:
        read_binary(path, USUAL_THRESHOLD)
        grey = np.asarray(load_pixels(open_image(path)).convert("L"))
    except (ImageError, MaskError):
        return Look()
    return Look(lossy=bool(((grey <= NEAR) | (grey >= 255 - NEAR)).mean() >= FLAT_SHARE))
