"""Settings of a dataset, by the format of its labels."""

from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import Field, field_validator

from defectbench.config.base import ConfigError, Settings
from defectbench.config.dataset import DatasetSettings, missing_file, rename_folder
from defectbench.config.mask_formats import CvatMasks, MaskFiles, MvtecFolder, PascalVoc, YoloSemantic
from defectbench.config.shape_formats import AnnotationFiles, CvatImages, LabelMe, LabelStudio
from defectbench.walk import with_suffix


class SyntheticSteel(Settings):
    """The embedded generator of steel strips, in Severstal's file layout."""

    n_images: int = Field(480, ge=1)
    height: int = Field(64, ge=32, description="pixels")
    width: int = Field(384, ge=32, description="pixels")
    seed: int = Field(42, ge=0)


class SeverstalCsv(DatasetSettings):
    """Kaggle's Severstal layout: ``ImageId,ClassId,EncodedPixels``, or the older ``ImageId_ClassId,EncodedPixels``."""

    format: Literal["severstal_csv"]
    images_dir: str = "train_images"
    csv: str = Field("train.csv", description="Label table, inside root")
    synthetic: SyntheticSteel | None = Field(None, description="Generate the images instead of reading them")

    @property
    def generator(self) -> SyntheticSteel | None:
        """See :attr:`DatasetSettings.generator`."""
        return self.synthetic

    def image_files(self) -> list[Path]:
        """Image files on disk, or those that the generator is going to write."""
        if self.synthetic is None:
            return super().image_files()
        names = (f"steel_{index:05d}.jpg" for index in range(self.synthetic.n_images))
        return [self.root / self.images_dir / name for name in names]

    def label_files(self) -> list[Path]:
        """The label table."""
        return [self.root / self.csv]

    def missing(self) -> list[str]:
        """See :meth:`DatasetSettings.missing`; generated data are never missing."""
        return [] if self.synthetic is not None else super().missing()

    def missing_labels(self) -> list[str]:
        """See :meth:`DatasetSettings.missing_labels`."""
        return missing_file("csv", self.root / self.csv)


class MaskFolder(MaskFiles):
    """A folder of images and a folder of masks with the same stems.

    ``index`` masks hold a label value per pixel; ``binary`` masks one class, drawn in 1 or 255, or above ``threshold``;
    ``colour`` masks a colour per class, on black. Binary masks of several classes are a file for each class and
    image, see ``class_from``: the class, by its name or value, is their ``folder``, as in ``masks/dent/a.png`` for
    ``images/a.png`` or ``images/dent/a.png``, or the end of their ``file_name``, as in ``masks/a_dent.png``. Masks may
    lie among the images, if ``mask_suffix`` tells them: ``masks_dir`` is then ``images_dir``.
    """

    ignored_by = "value"

    format: Literal["mask_folder"]
    image_folders: str | None = Field(
        None,
        description="Name of the folders of images, if each has a folder of masks beside it, which masks_dir names, as "
        "in train/images and train/masks; images_dir then holds them all",
    )
    mask_kind: Literal["index", "binary", "colour"] = "index"
    class_from: Literal["folder", "file_name"] | None = Field(
        None,
        description="binary masks: what says the class of a mask; not needed for one class. Each image needs a mask "
        "of each class, unless missing_mask says that it is clean without",
    )
    threshold: int | None = Field(
        None,
        ge=0,
        le=254,
        description="binary masks: a pixel is defect if its grey value is above this. If it is not set, masks hold two "
        "values, 0 and 1 or 0 and 255; those saved as JPEG are cut at 127",
    )
    colours: dict[str, tuple[int, int, int]] = Field(
        {}, description="colour masks: class name -> [red, green, blue], each 0 ... 255"
    )

    @field_validator("image_folders")
    @classmethod
    def _masks_are_told(cls, name: str | None, info: Any) -> str | None:
        values = info.data
        if name is None and values.get("masks_dir") == values.get("images_dir") and not values.get("mask_suffix"):
            raise ValueError("masks_dir is images_dir: set mask_suffix, which tells masks from images")
        if name is not None and name == values.get("masks_dir"):
            raise ValueError(f"folders called {name!r} cannot hold images and masks; got the name of masks_dir")
        return name

    @field_validator("mask_kind")
    @classmethod
    def _fits_classes(cls, kind: str, info: Any) -> str:
        classes = info.data.get("classes", {1: ""})
        if kind == "index" and min(classes) < 1:
            raise ValueError(
                f"0 is the background of 'index' masks, and values are positive: leave {min(classes)} out of classes"
            )
        if kind != "index" and info.data.get("ignore") is not None:
            raise ValueError(f"'{kind}' masks have no value for ignored pixels; ignore is only for mask_kind: index")
        return kind

    @field_validator("class_from")
    @classmethod
    def _class_of_binary(cls, class_from: str | None, info: Any) -> str | None:
        kind, classes = info.data.get("mask_kind"), info.data.get("classes", {1: ""})
        if class_from and (info.data.get("image_folders") or info.data.get("masks_dir") == info.data.get("images_dir")):
            raise ValueError("masks of several files for each image are read from a folder of their own alone")
        if class_from and kind in ("index", "colour"):
            raise ValueError(f"'{kind}' masks say the class of each pixel; only for mask_kind: binary")
        if kind == "binary" and class_from is None and len(classes) != 1:
            raise ValueError(
                "'binary' masks hold one class: list one under dataset.classes, or say where the class of a mask is "
                "with class_from: folder or file_name"
            )
        return class_from

    @field_validator("colours")
    @classmethod
    def _one_colour_per_class(cls, colours: dict[str, Any], info: Any) -> dict[str, Any]:
        if not {"classes", "mask_kind"} <= set(info.data):
            return colours  # one of them is wrong and already reported, so the wanted names are not known
        names = set(info.data["classes"].values()) if info.data["mask_kind"] == "colour" else set()
        if set(colours) != names:
            wanted = "needed for " + ", ".join(sorted(names)) if names else "only for mask_kind: colour"
            raise ValueError(f"colours are {wanted}; got {', '.join(colours) or 'none'}")
        if not all(0 <= part <= 255 for colour in colours.values() for part in colour):
            raise ValueError(f"red, green and blue are from 0 to 255; got {colours}")
        if len({(0, 0, 0), *colours.values()}) <= len(colours):
            raise ValueError(f"colours must differ from each other and from black, the background; got {colours}")
        return colours

    def image_files(self) -> list[Path]:
        """All images that are no masks, sorted."""
        files = super().image_files()
        if self.image_folders:
            return [path for path in files if self.image_folders in path.relative_to(self.root).parent.parts]
        if self.masks_dir == self.images_dir:
            return [path for path in files if not path.stem.endswith(self.mask_suffix)]
        return files

    def mask_files(self) -> list[Path]:
        """All masks, sorted."""
        if self.image_folders:
            files = super().image_files()
            return [path for path in files if self.masks_dir in path.relative_to(self.root).parent.parts]
        if self.masks_dir == self.images_dir:
            return [path for path in super().mask_files() if path.stem.endswith(self.mask_suffix)]
        return super().mask_files()

    def mask_stem(self, image_id: str) -> str:
        """See :meth:`MaskFiles.mask_stem`; below root, if masks are beside their images."""
        if not self.image_folders:
            return super().mask_stem(image_id)
        path = Path(self.images_dir, image_id).with_suffix("")
        return rename_folder(path, self.image_folders, self.masks_dir).as_posix() + self.mask_suffix

    def stem_of(self, mask: Path) -> str:
        """See :meth:`MaskFiles.stem_of`; below root, if masks are beside their images."""
        return mask.relative_to(self.root).with_suffix("").as_posix() if self.image_folders else super().stem_of(mask)

    def folders(self) -> list[str]:
        """See :meth:`DatasetSettings.folders`."""
        return [self.images_dir] if self.image_folders else super().folders()

    def missing_labels(self) -> list[str]:
        """See :meth:`DatasetSettings.missing_labels`."""
        if not self.image_folders:
            return super().missing_labels()
        return [] if self.mask_files() else [f"masks_dir: no images in folders called {self.masks_dir}"]

    @property
    def class_colours(self) -> tuple[tuple[int, int, int], ...]:
        """Red, green and blue of each class of colour masks, in the order of :attr:`class_names`."""
        return tuple(self.colours[name] for name in self.class_names)


class SuperviselyProject(DatasetSettings):
    """A Supervisely project: ``meta.json``, and in it or in dataset folders ``img/NAME`` and ``ann/NAME.json``.

    ``classes`` gives each class title that is used a value of your choice.
    """

    ignored_by = "name"

    format: Literal["supervisely"]
    images_dir: str = Field(".", description="Folder of the datasets, inside root; images are in its img folders")

    def image_files(self) -> list[Path]:
        """All image files in folders called img, sorted."""
        return [path for path in super().image_files() if "img" in path.relative_to(self.root).parent.parts]

    def annotation_file(self, image: Path) -> Path:
        """Path of the annotations of an image file."""
        return self.root / rename_folder(image.relative_to(self.root), "img", "ann").with_name(f"{image.name}.json")

    def annotation_files(self) -> list[Path]:
        """All JSON files in folders called ann, sorted."""
        files = with_suffix(self.walk(self.images_dir).files, {".json"})
        return [path for path in files if "ann" in path.relative_to(self.root).parent.parts]

    def label_files(self) -> list[Path]:
        """The file of classes and all annotation files."""
        return [self.root / "meta.json", *self.annotation_files()]

    def missing_labels(self) -> list[str]:
        """See :meth:`DatasetSettings.missing_labels`."""
        return [] if (self.root / "meta.json").is_file() else [f"root: no meta.json in {self.root}"]


class YoloFolder(DatasetSettings):
    """YOLO labels: for each image a text file, where the path has ``labels`` for the last ``images``.

    ``classes`` repeats the names of ``data_yaml``. For a Roboflow export, train/images and so on: ``images_dir: .``
    """

    format: Literal["yolo"]
    data_yaml: str = Field("data.yaml", description="File of the class names, inside root")
    boxes: Literal["error", "fill"] = Field(
        "error", description="Refuse boxes, or read each as a filled rectangle: far more than the defect inside it"
    )

    def label_file(self, image: Path) -> Path:
        """Path of the labels of an image file, if it has any; beside it if no folder is called images."""
        return self.root / rename_folder(image.relative_to(self.root), "images", "labels").with_suffix(".txt")

    def folders(self) -> list[str]:
        """See :meth:`DatasetSettings.folders`."""
        beside = rename_folder(Path(self.images_dir) / "any", "images", "labels").parent.as_posix()
        return sorted({self.images_dir, beside})

    def text_files(self) -> list[Path]:
        """All text files in folders of labels, sorted, except the list of classes that some tools leave there.

        These are the folders called labels and, beside images, those with images.
        """
        images = self.image_files()
        folders = {self.label_file(image).parent for image in images} | {image.parent for image in images}
        files = [path for folder in self.folders() for path in self.walk(folder).files]
        texts = [path for path in with_suffix(files, {".txt"}) if path.name.lower() != "classes.txt"]
        return [
            path for path in texts if path.parent in folders or "labels" in path.relative_to(self.root).parent.parts
        ]

    def label_files(self) -> list[Path]:
        """The file of class names and all text files with labels."""
        return [self.root / self.data_yaml, *self.text_files()]

    def missing_labels(self) -> list[str]:
        """See :meth:`DatasetSettings.missing_labels`."""
        problems = missing_file("data_yaml", self.root / self.data_yaml)
        if not problems and not self.text_files():
            expected = self.label_file(self.image_files()[0])
            problems.append(f"images_dir: no label files; the first is expected at {expected}")
        return problems


class CocoFiles(AnnotationFiles):
    """COCO files; their images are below ``images_dir`` or beside the file.

    ``classes`` gives each category name that is used a value of your choice. For a Roboflow export:
    ``images_dir: .`` and ``annotations: "*/_annotations.coco.json"``.
    """

    ignored_by = "name"

    format: Literal["coco"]
    annotations: str = Field(
        "annotations.json", pattern=r"^[^/\\]", description="COCO file inside root, or a pattern such as ann/*.json"
    )


class AreaTable(DatasetSettings):
    """A table of defect areas without images or masks, to plan splits, folds and subsets.

    Columns: ``ImageId``, and ``area_{value}`` for each class, in pixels.
    """

    has_images = False

    format: Literal["area_table"]
    csv: str = Field("areas.csv", description="The table, inside root")
    height: int = Field(ge=1, description="Of every image, pixels")
    width: int = Field(ge=1, description="Of every image, pixels")

    def image_files(self) -> list[Path]:
        """None."""
        return []

    def label_files(self) -> list[Path]:
        """The table."""
        return [self.root / self.csv]

    def missing(self) -> list[str]:
        """See :meth:`DatasetSettings.missing`."""
        return [f"dataset.{line}" for line in self.missing_labels()]

    def missing_labels(self) -> list[str]:
        """See :meth:`DatasetSettings.missing_labels`."""
        return missing_file("csv", self.root / self.csv)


FORMATS: dict[str, type[DatasetSettings]] = {
    "severstal_csv": SeverstalCsv,
    "mask_folder": MaskFolder,
    "supervisely": SuperviselyProject,
    "yolo": YoloFolder,
    "coco": CocoFiles,
    "cvat_images": CvatImages,
    "cvat_masks": CvatMasks,
    "labelme": LabelMe,
    "label_studio": LabelStudio,
    "pascal_voc": PascalVoc,
    "yolo_semantic": YoloSemantic,
    "mvtec": MvtecFolder,
    "area_table": AreaTable,
}


def read_dataset_settings(path: Path) -> DatasetSettings:
    """Read dataset settings of whichever format the file itself names.

    Raises:
        ConfigError: if the format is unknown or a key is wrong.
    """
    name = (yaml.safe_load(Path(path).read_text(encoding="utf-8")) or {}).get("format")
    if name not in FORMATS:
        raise ConfigError([f"{path}: format: {name!r} is not allowed; allowed: {', '.join(FORMATS)}"])
    return FORMATS[name].read(path)
