"""Reader of a folder of masks whose files have the same stems as the images."""

from collections import defaultdict
from pathlib import Path, PurePosixPath

import numpy as np

from defectbench.config.ingest import MaskFolder
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
from defectbench.data.readers.mask_pixels import (
    MaskError,
    mask_size,
    read_binary,
    read_colours,
    read_index,
    show_colours,
)


class MaskLabels(DrawnLabels):
    """Labels drawn as masks: an image, and its mask under the same relative path without suffix."""

    def __init__(self, settings: MaskFolder) -> None:
        """List the masks and match them with the images."""
        self.problems: list[Problem] = []
        self.notes: list[Note] = []
        self._settings = settings
        self._missing_is_clean = settings.missing_mask == "clean"
        self._masks = self._match()

    def _match(self) -> dict[str, Path]:
        """Image id -> its mask; images and masks without exactly one partner are problems."""
        settings = self._settings
        masks, images = defaultdict(list), defaultdict(list)
        folder = settings.root / settings.masks_dir
        for path in settings.label_files():
            masks[_stem(path.relative_to(folder).as_posix())].append(path)
        ids = image_ids(settings)
        stems = {image_id: _stem(image_id) + settings.mask_suffix for image_id in ids}
        pairs, orphans = pair_files(stems, masks, self.notes)
        for image_id, stem in pairs.items():
            images[stem].append(image_id)
        for image_id in ids:
            if image_id not in pairs and not self._missing_is_clean and not settings.is_in_clean_folder(image_id):
                problem = f"has no mask{self._advice(image_id, masks)}"
                self.problems.append(Problem(image_id, self._place(image_id), None, problem))
        matched = {}
        for stem, of_stem in images.items():
            if len(of_stem) == len(masks[stem]) == 1:
                matched[of_stem[0]] = masks[stem][0]
                continue
            problem = f"{len(of_stem)} images and {len(masks[stem])} masks share the stem {stem!r}"
            self.problems += [Problem(one, self._place(one), None, problem) for one in of_stem]
        may_be_clean = self._missing_is_clean or bool(settings.clean_folders)
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
        stem = _stem(image_id)
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
            masks = self._decode(self._masks[image_id])
            if masks.shape[1:] != (height, width):
                raise MaskError(f"mask is {masks.shape[1]} x {masks.shape[2]}, its image {height} x {width}")
            return masks
        except MaskError as error:
            raise self._bad(image_id, error) from None

    def _bad(self, image_id: str, error: MaskError) -> BadLabels:
        return BadLabels([Problem(image_id, relative_path(self._masks[image_id], self._settings), None, str(error))])

    def _decode(self, path: Path) -> np.ndarray:
        settings = self._settings
        if settings.mask_kind == "binary":
            return read_binary(path, settings.threshold).astype(np.uint8)[None]
        if settings.mask_kind == "index":
            values, present = read_index(path)
            unknown = [str(value) for value in present if value != 0 and value not in settings.classes]
            known = list(map(str, (0, *settings.class_values)))
            masks = np.stack([values == value for value in settings.class_values]).astype(np.uint8)
        else:
            masks, others = read_colours(path, settings.class_colours)
            unknown, known = show_colours(others), show_colours([(0, 0, 0), *settings.class_colours])
        if unknown:
            kind = "values" if settings.mask_kind == "index" else "colours"
            allowed = f"{known[0]} (background), {', '.join(known[1:])}"
            raise MaskError(f"mask has the {kind} {preview_list(unknown)}; allowed: {allowed}")
        return masks


def _stem(relative_path: str) -> str:
    return PurePosixPath(relative_path).with_suffix("").as_posix()


def read(settings: MaskFolder) -> MaskLabels:
    """Match the masks of ``settings`` with its images; see :class:`MaskLabels`."""
    return MaskLabels(settings)
