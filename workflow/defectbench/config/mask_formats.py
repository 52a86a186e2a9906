"""Settings of label formats whose labels are mask files."""

from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from typing import Literal

from pydantic import Field, field_validator

from defectbench.config.dataset import DatasetSettings, missing_file, rename_folder
from defectbench.walk import IMAGE_SUFFIXES, with_suffix

_ROLES = ("train", "validation", "test")
"""Folders of MVTec AD that hold those of good images and of each kind of defect."""


class MaskFiles(DatasetSettings):
    """Labels that are mask files, one for each image."""

    masks_dir: str = Field("masks", description="Folder of the masks, inside root")
    mask_suffix: str = Field("", description="What the stem of a mask has more than its image's, e.g. _mask")
    missing_mask: Literal["error", "clean", "leave_out"] = Field(
        "error", description="What an image without a mask is; those left out are counted in the notes of ingest"
    )

    def mask_stem(self, image_id: str) -> str:
        """Path of an image's mask below ``masks_dir``, without the suffix of the file."""
        return PurePosixPath(image_id).with_suffix("").as_posix() + self.mask_suffix

    def stem_of(self, mask: Path) -> str:
        """Path of a mask file as :meth:`mask_stem` gives it for an image."""
        return mask.relative_to(self.root / self.masks_dir).with_suffix("").as_posix()

    def folders(self) -> list[str]:
        """See :meth:`DatasetSettings.folders`."""
        return sorted({self.images_dir, self.masks_dir})

    def label_files(self) -> list[Path]:
        """All mask files below ``masks_dir``, sorted."""
        return self.mask_files()

    def mask_files(self) -> list[Path]:
        """All mask files below ``masks_dir``, sorted."""
        return with_suffix(self.walk(self.masks_dir).files, IMAGE_SUFFIXES)

    def missing_labels(self) -> list[str]:
        """See :meth:`DatasetSettings.missing_labels`."""
        folder = self.root / self.masks_dir
        return [] if folder.is_dir() else [f"masks_dir: no such folder: {folder}"]


class VocLayout(MaskFiles):
    """The folders of Pascal VOC: JPEGImages, SegmentationClass, and lists of images in ImageSets/Segmentation."""

    images_dir: str = "JPEGImages"
    masks_dir: str = "SegmentationClass"

    def list_files(self) -> list[Path]:
        """Files with the names of images, which may be named after roles, sorted."""
        return sorted(path for path in self.root.glob("ImageSets/Segmentation/*.txt") if path.is_file())

    def files_of_roles(self) -> list[str]:
        """See :meth:`DatasetSettings.files_of_roles`."""
        return [path.name for path in self.list_files()]

    def label_files(self) -> list[Path]:
        """The lists of images and all masks."""
        return self.list_files() + self.mask_files()


class PascalVoc(VocLayout):
    """Pascal VOC: masks in the colours of its palette, or with the classes' numbers as grey values.

    ``classes`` gives the number of each class in the palette, 1 ... 254. 255, the pale borders between things, is void.
    """

    ignored_by = "value"

    format: Literal["pascal_voc"]

    @field_validator("classes")
    @classmethod
    def _in_palette(cls, classes: dict[int, str]) -> dict[int, str]:
        if unfit := [value for value in classes if not 0 < value < 255]:
            raise ValueError(f"numbers of classes are from 1 to 254, got {unfit}; 0 is the background and 255 void")
        return classes


class CvatMasks(VocLayout):
    """CVAT's Segmentation mask 1.1: masks in the colours that ``labelmap.txt`` gives the labels.

    ``classes`` gives each label name that is used a value of your choice.
    """

    ignored_by = "name"

    format: Literal["cvat_masks"]
    label_map: str = Field("labelmap.txt", description="File of the labels and their colours, inside root")

    def label_files(self) -> list[Path]:
        """The file of colours, the lists of images and all masks."""
        return [self.root / self.label_map, *super().label_files()]

    def missing_labels(self) -> list[str]:
        """See :meth:`DatasetSettings.missing_labels`."""
        return missing_file("label_map", self.root / self.label_map) or super().missing_labels()


class YoloSemantic(MaskFiles):
    """Masks for semantic segmentation with ultralytics: class ids as grey values, 255 for pixels to ignore.

    ``classes`` repeats the names of ``data_yaml``, without its background. If there is one name, 0 is the background
    and 1 the class.
    """

    ignored_by = "value"

    format: Literal["yolo_semantic"]
    data_yaml: str = Field("data.yaml", description="File of the class names, inside root")

    def label_files(self) -> list[Path]:
        """The file of class names and all masks."""
        return [self.root / self.data_yaml, *self.mask_files()]

    def missing_labels(self) -> list[str]:
        """See :meth:`DatasetSettings.missing_labels`."""
        return missing_file("data_yaml", self.root / self.data_yaml) or super().missing_labels()


class MvtecFolder(MaskFiles):
    """Folders as in MVTec AD: ``train/good``, ``test/good``, ``test/DEFECT`` and ``ground_truth/DEFECT/NAME_mask.png``.

    ``root`` is one product, or holds several. ``classes`` gives the name of each folder of defects a value of your
    choice.
    """

    format: Literal["mvtec"]
    images_dir: str = Field(".", description="Folder of the products, inside root")
    masks_dir: str = Field("ground_truth", description="Name of the folders of masks, beside test")
    mask_suffix: str = Field("_mask", description="What the stem of a mask has more than its image's")
    missing_mask: Literal["error"] = Field(
        "error", description="Images without a mask are clean in folders of good alone"
    )
    good: str = Field("good", description="Name of the folders of clean images")
    class_from: Literal["folder"] | None = Field(
        "folder", description="The folder of defects is the class; null: all defects are of the one class"
    )

    @field_validator("class_from")
    @classmethod
    def _one_class(cls, class_from: str | None, info: object) -> str | None:
        classes = getattr(info, "data", {}).get("classes", {1: ""})
        if class_from is None and len(classes) != 1:
            raise ValueError("without the classes of folders there is one; list one under dataset.classes")
        return class_from

    def mask_stem(self, image_id: str) -> str:
        """Path of an image's mask below root, without the suffix of the file."""
        path = rename_folder(Path(self.images_dir, image_id).with_suffix(""), "test", self.masks_dir)
        return path.as_posix() + self.mask_suffix

    def stem_of(self, mask: Path) -> str:
        """Path of a mask file as :meth:`mask_stem` gives it for an image."""
        return mask.relative_to(self.root).with_suffix("").as_posix()

    def folders(self) -> list[str]:
        """See :meth:`DatasetSettings.folders`."""
        return [self.images_dir]

    def image_files(self) -> list[Path]:
        """All images that are not in a folder of masks, sorted."""
        return [path for path in super().image_files() if not self._is_mask(path)]

    def mask_files(self) -> list[Path]:
        """All images in folders of masks, sorted."""
        return [path for path in super().image_files() if self._is_mask(path)]

    def _is_mask(self, path: Path) -> bool:
        return self.masks_dir in path.relative_to(self.root).parent.parts

    def is_in_clean_folder(self, image_id: str) -> bool:
        """Whether an image is in a folder of good ones, or in one of ``clean_folders``."""
        return _folder_below(_ROLES, PurePosixPath(image_id)) == self.good or super().is_in_clean_folder(image_id)

    def defect_of(self, mask: Path) -> str:
        """The folder of defects that a mask file is in."""
        return _folder_below((self.masks_dir,), PurePosixPath(mask.relative_to(self.root)))

    def missing_labels(self) -> list[str]:
        """See :meth:`DatasetSettings.missing_labels`."""
        return [] if self.mask_files() else [f"masks_dir: no masks in folders called {self.masks_dir}"]


def _folder_below(names: Sequence[str], path: PurePosixPath) -> str:
    """The folder of ``path`` below its last folder with one of ``names``, else the one that the file is in."""
    folders = path.parts[:-1]
    last = max((number for number, folder in enumerate(folders[:-1]) if folder in names), default=len(folders) - 2)
    return folders[last + 1] if folders else ""
