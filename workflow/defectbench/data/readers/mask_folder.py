"""Reader of a folder of masks whose files have the same stems as the images, and what readers of masks share."""

from collections import defaultdict
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path, PurePosixPath

import numpy as np

from defectbench.config.ingest import MaskFolder
from defectbench.config.mask_formats import MaskFiles
from defectbench.data.preview import preview_list
from defectbench.data.readers.base import (
    BadLabels,
    DrawnLabels,
    Note,
    Problem,
    image_ids,
    pair_files,
    relative_path,
    unlabelled_images,
)
from defectbench.data.readers.class_masks import ClassMaskLabels
from defectbench.data.readers.mask_pixels import (
    MaskError,
    check_size,
    mask_size,
    read_binary,
    read_colours,
    read_index,
    show_colours,
)


class MaskLabels(DrawnLabels):
    """Labels drawn as masks: an image, and its mask under the path that the settings give it."""

    def __init__(self, settings: MaskFiles, decode: Callable[[Path], np.ndarray]) -> None:
        """List the masks and match them with the images.

        ``decode`` reads a mask file as (C, H, W) uint8, values 0 and 1, or raises MaskError.
        """
        self.problems: list[Problem] = []
        self.notes: list[Note] = []
        self._settings = settings
        self._decode = decode
        self._missing_is_clean = settings.missing_mask == "clean"
        self._masks = self._match()

    def _match(self) -> dict[str, Path]:
        """Image id -> its mask; images and masks without exactly one partner are problems."""
        settings = self._settings
        masks, images = defaultdict(list), defaultdict(list)
        for path in settings.mask_files():
            masks[settings.stem_of(path)].append(path)
        ids = image_ids(settings)
        stems = {image_id: settings.mask_stem(image_id) for image_id in ids}
        pairs, orphans = pair_files(stems, masks, self.notes)
        for image_id, stem in pairs.items():
            images[stem].append(image_id)
        lacking = [image_id for image_id in ids if image_id not in pairs and not settings.is_in_clean_folder(image_id)]
        if settings.missing_mask == "error":
            for image_id in lacking:
                problem = f"has no mask{self._advice(image_id, masks)}"
                self.problems.append(Problem(image_id, self._place(image_id), None, problem))
        elif settings.missing_mask == "leave_out" and lacking:
            detail = f"{len(lacking)} images, without a mask: {preview_list(lacking)}"
            self.notes.append(Note(settings.images_dir, "passed over", detail))
        matched = {}
        for stem, of_stem in images.items():
            if len(of_stem) == len(masks[stem]) == 1:
                matched[of_stem[0]] = masks[stem][0]
                continue
            problem = f"{len(of_stem)} images and {len(masks[stem])} masks share the stem {stem!r}"
            self.problems += [Problem(one, self._place(one), None, problem) for one in of_stem]
        may_be_clean = self._missing_is_clean or any(map(settings.is_in_clean_folder, ids))
        for stem, hint in orphans.items():
            for path in masks[stem]:
                file = relative_path(path, settings)
                problem = f"mask has no image{hint}"
                self.problems.append(Problem(stem, file, None, problem, always_stops=may_be_clean))
        if self._missing_is_clean:
            self.problems += unlabelled_images(settings, ids, pairs)
        return matched

    def _place(self, image_id: str) -> str:
        return (PurePosixPath(self._settings.images_dir) / image_id).as_posix()

    def _advice(self, image_id: str, masks: dict[str, list[Path]]) -> str:
        """What to do about an image without a mask: the key by which a mask with a longer name would be its own."""
        if self._settings.mask_suffix:
            return f" with the suffix {self._settings.mask_suffix}"
        stem = self._settings.mask_stem(image_id)
        longer = [name for name in masks if name.startswith(stem) and not name[len(stem)].isalnum()]
        suffix = f": if {longer[0]} is its mask, set mask_suffix: {longer[0][len(stem) :]}" if longer else ""
        return suffix or "; if images without a mask are clean, set missing_mask: clean"

    def size(self, image_id: str) -> tuple[int, int] | None:
        """See :meth:`defectbench.data.readers.base.Labels.size`."""
        if image_id not in self._masks:
            return None
        try:
            return mask_size(self._masks[image_id])
        except MaskError as error:
            raise self._bad(image_id, error) from None

    def masks(self, image_id: str, height: int, width: int) -> np.ndarray:
        """See :meth:`defectbench.data.readers.base.DrawnLabels.masks`."""
        if image_id not in self._masks:
            if self._missing_is_clean or self._settings.is_in_clean_folder(image_id):
                return np.zeros((len(self._settings.classes), height, width), np.uint8)
            raise BadLabels([])  # reported already, in ``problems``
        try:
            check_size(self._masks[image_id], height, width)
            return self._decode(self._masks[image_id])
        except MaskError as error:
            raise self._bad(image_id, error) from None

    def _bad(self, image_id: str, error: MaskError) -> BadLabels:
        return BadLabels([Problem(image_id, relative_path(self._masks[image_id], self._settings), None, str(error))])


def decode_mask(settings: MaskFolder, path: Path) -> np.ndarray:
    """Masks of the classes in a mask file, (C, H, W) uint8, values 0 and 1.

    Raises:
        MaskError: if it cannot be read, or has values or colours of no class.
    """
    if settings.mask_kind == "binary":
        return read_binary(path, settings.threshold).astype(np.uint8)[None]
    if settings.mask_kind == "index":
        values, present = read_index(path)
        unknown = [str(value) for value in present if value != 0 and value not in settings.classes]
        known = list(map(str, (0, *settings.class_values)))
        masks = split_values(values, settings.class_values)
    else:
        masks, others = read_colours(path, settings.class_colours)
        unknown, known = show_colours(others), show_colours([(0, 0, 0), *settings.class_colours])
    if unknown:
        kind = "values" if settings.mask_kind == "index" else "colours"
        allowed = f"{known[0]} (background), {', '.join(known[1:])}"
        raise MaskError(f"mask has the {kind} {preview_list(unknown)}; allowed: {allowed}")
    return masks


def split_values(values: np.ndarray, of_classes: Sequence[int]) -> np.ndarray:
    """Where ``values``, (H, W), are each of ``of_classes``: (C, H, W) uint8."""
    masks = np.empty((len(of_classes), *values.shape), np.uint8)
    for mask, value in zip(masks, of_classes, strict=True):
        np.equal(values, value, out=mask.view(bool))
    return masks


def read(settings: MaskFolder) -> MaskLabels | ClassMaskLabels:
    """Match the masks of ``settings`` with its images."""
    if settings.class_from is not None:
        return ClassMaskLabels(settings)
    return MaskLabels(settings, partial(decode_mask, settings))
