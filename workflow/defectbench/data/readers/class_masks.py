"""Reader of binary masks with a file for each class and image, whose folder or name says the class."""

from collections import defaultdict
from pathlib import Path, PurePosixPath

import numpy as np

from defectbench.config.ingest import MaskFolder
from defectbench.data.names import Names
from defectbench.data.preview import preview_list
from defectbench.data.readers.base import (
    BadLabels,
    DrawnLabels,
    Note,
    Problem,
    image_ids,
    relative_path,
    rewritten,
    unlabelled_images,
)
from defectbench.data.readers.mask_pixels import MaskError, check_size, mask_size, read_binary


class ClassMaskLabels(DrawnLabels):
    """Labels of a folder of binary masks of several classes."""

    def __init__(self, settings: MaskFolder) -> None:
        """List the masks, and find the image and the class of each."""
        self.problems: list[Problem] = []
        self.notes: list[Note] = []
        self._settings = settings
        # Classes by name, and by value where that is not a name too.
        self._class_index = {str(value): index for index, value in enumerate(settings.class_values)}
        self._class_index |= {name: index for index, name in enumerate(settings.class_names)}
        self._class_names = Names(self._class_index)
        # image id -> index of the class -> its mask
        self._masks: dict[str, dict[int, Path]] = defaultdict(dict)
        ids = image_ids(settings)
        self._match(ids)
        self._check_missing(ids)

    def _match(self, ids: list[str]) -> None:
        settings = self._settings
        of_stem = defaultdict(list)
        for image_id in ids:
            of_stem[PurePosixPath(image_id).with_suffix("").as_posix()].append(image_id)
        stems = Names(of_stem)
        may_be_clean = settings.missing_mask == "clean" or bool(settings.clean_folders)
        for path in settings.mask_files():
            file, stem = relative_path(path, settings), settings.stem_of(path)
            found = [(image, index) for name, index in self._readings(stem) if (image := stems.find(name))]
            if len(found) != 1:
                problem = self._advice(stem, stems) if not found else f"mask may be of {sorted({i for i, _ in found})}"
                self.problems.append(Problem(stem, file, None, problem, always_stops=may_be_clean))
                continue
            (image, index), images = found[0], of_stem[found[0][0]]
            if len(images) > 1 or index in self._masks[images[0]]:
                names = (
                    f"{', '.join(images)} share its stem" if len(images) > 1 else "its image has another of its class"
                )
                self.problems += [Problem(one, file, None, f"whose mask it is is not known: {names}") for one in images]
                continue
            self._masks[images[0]][index] = path
        self.notes += [rewritten(of_stem[stem][0], name, stem) for name, stem in stems.rewritten.items()]

    def _readings(self, stem: str) -> list[tuple[str, int]]:
        """Stem of the image and index of the class that the ``stem`` of a mask may mean."""
        suffix = self._settings.mask_suffix
        if not stem.endswith(suffix):
            return []
        stem = stem.removesuffix(suffix)
        if self._settings.class_from == "file_name":
            ends = [name for name in self._class_index if stem.casefold().endswith(name.casefold())]
            cut = [(stem[: -len(name)], self._class_index[name]) for name in ends]
            return [(image[:-1], index) for image, index in cut if len(image) > 1 and not image[-1].isalnum()]
        *folders, name = PurePosixPath(stem).parts
        readings = []
        for number, folder in enumerate(folders):
            if (of_class := self._class_names.find(folder)) is not None:
                others = [*folders[:number], *folders[number + 1 :], name]
                readings += [("/".join(others), self._class_index[of_class]), (stem, self._class_index[of_class])]
        return readings

    def _advice(self, stem: str, stems: Names) -> str:
        settings, readings = self._settings, self._readings(stem)
        if readings:
            return f"mask has no image{next((hint for name, _ in readings if (hint := stems.hint(name))), '')}"
        if not stem.endswith(settings.mask_suffix):
            return f"name of the mask does not end with mask_suffix, {settings.mask_suffix!r}"
        folders = PurePosixPath(stem).parts[:-1]
        where = "name of the mask ends with" if settings.class_from == "file_name" else "folder of the mask is"
        hint = next((hint for folder in folders if (hint := self._class_names.hint(folder))), "")
        return f"no {where} a class: {', '.join(settings.class_names)}{hint}"

    def _check_missing(self, ids: list[str]) -> None:
        """Report the images that lack masks, or note that they are left out."""
        settings = self._settings
        if settings.missing_mask == "clean":
            self.problems += unlabelled_images(settings, ids, self._masks)
            return
        lacking = {image_id: names for image_id in ids if (names := self._lacking(image_id))}
        if settings.missing_mask == "leave_out" and lacking:
            detail = f"{len(lacking)} images, without a mask of each class: {preview_list(lacking)}"
            self.notes.append(Note(settings.images_dir, "passed over", detail))
            return
        advice = "if an image without a mask of a class has no such defect, set missing_mask: clean"
        for image_id, names in lacking.items():
            place = (PurePosixPath(settings.images_dir) / image_id).as_posix()
            self.problems.append(Problem(image_id, place, None, f"has no mask of {', '.join(names)}; {advice}"))

    def _lacking(self, image_id: str) -> list[str]:
        """Classes that an image needs a mask of, and has none."""
        settings, masks = self._settings, self._masks.get(image_id, {})
        if settings.missing_mask == "clean" or settings.is_in_clean_folder(image_id):
            return []
        return [name for index, name in enumerate(settings.class_names) if index not in masks]

    def size(self, image_id: str) -> tuple[int, int] | None:
        """See :meth:`defectbench.data.readers.base.Labels.size`."""
        for path in self._masks.get(image_id, {}).values():
            try:
                return mask_size(path)
            except MaskError as error:
                raise self._bad(image_id, path, error) from None
        return None

    def masks(self, image_id: str, height: int, width: int) -> np.ndarray:
        """See :meth:`defectbench.data.readers.base.DrawnLabels.masks`."""
        settings = self._settings
        if self._lacking(image_id):
            raise BadLabels([])  # reported or left out already
        masks = np.zeros((len(settings.classes), height, width), np.uint8)
        for index, path in self._masks.get(image_id, {}).items():
            try:
                check_size(path, height, width)
                masks[index] = read_binary(path, settings.threshold)
            except MaskError as error:
                raise self._bad(image_id, path, error) from None
        return masks

    def _bad(self, image_id: str, path: Path, error: MaskError) -> BadLabels:
        return BadLabels([Problem(image_id, relative_path(path, self._settings), None, str(error))])
