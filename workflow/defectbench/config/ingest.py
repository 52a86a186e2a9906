"""Settings of a dataset: its images, its labels, and their format."""

from abc import abstractmethod
from pathlib import Path
from typing import Any, ClassVar, Literal

import yaml
from pydantic import Field, field_validator

from defectbench.config.base import MERGED, ConfigError, Settings
from defectbench.config.fetch import FetchSettings

NAME = r"^[A-Za-z0-9][A-Za-z0-9_-]*$"
IMAGE_SUFFIXES = {".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff"}


class DatasetSettings(Settings):
    """Settings that every dataset has, whatever its label format."""

    has_images: ClassVar[bool] = True
    """Whether there are images and masks, or only a table of the defects' areas."""

    name: str = Field(pattern=NAME, description="Folder name under runs/")
    format: str
    root: Path = Field(description="Folder that holds images and labels")
    # Not in ingest.yaml: the content of the files does not depend on where they were downloaded.
    fetch: FetchSettings | None = Field(None, exclude=True, description="Where rules/fetch.smk downloads root from")
    images_dir: str = Field("images", description="Folder of the images, inside root")
    classes: dict[int, str] = Field(min_length=1, description="Value in the label files -> class name")
    images: Literal["all", "defective"] = Field("all", description="'defective' leaves out clean images")
    on_bad_sample: Literal["error", "quarantine"] = Field(
        "error", description="Stop at samples that cannot be used, or go on without them and say so"
    )

    @field_validator("classes")
    @classmethod
    def _distinct_names(cls, classes: dict[int, str]) -> dict[int, str]:
        if len(set(classes.values())) < len(classes):
            raise ValueError(f"class names must differ, got {list(classes.values())}")
        if MERGED in classes.values():
            raise ValueError(f"{MERGED!r} names the union of all classes; call the class something else")
        return classes

    @property
    def class_names(self) -> tuple[str, ...]:
        """Names in the order of the label values: the order of every per-class list in the project."""
        return tuple(self.classes[value] for value in sorted(self.classes))

    @property
    def class_values(self) -> tuple[int, ...]:
        """Label values in the same order as :attr:`class_names`."""
        return tuple(sorted(self.classes))

    def image_files(self) -> list[Path]:
        """All image files below ``images_dir``, sorted."""
        folder = self.root / self.images_dir
        return sorted(path for path in folder.rglob("*") if path.suffix.lower() in IMAGE_SUFFIXES)

    @property
    def generator(self) -> "SyntheticSteel | None":
        """Settings of the generator that makes the images; None if they are given."""
        return None

    @abstractmethod
    def label_files(self) -> list[Path]:
        """All files that hold labels, sorted."""

    def source_files(self) -> list[Path]:
        """Every file that ingest reads: Snakemake watches each of them."""
        return self.image_files() + self.label_files()

    def missing(self) -> list[str]:
        """Problems of files that are not there, one line each."""
        if not self.root.is_dir():
            advice = "point it at your data, e.g. --config 'dataset={root: /path/to/data}'"
            return [f"dataset.root: no such folder: {self.root}; {advice}"]
        if not (self.root / self.images_dir).is_dir():
            return [f"dataset.images_dir: no such folder: {self.root / self.images_dir}"]
        if not self.image_files():
            return [f"dataset.images_dir: no images ({', '.join(sorted(IMAGE_SUFFIXES))}) in {self.images_dir}"]
        return []


def _renamed(path: Path, folder: str, other: str) -> Path:
    """``path`` with its last folder called ``folder``, if any, called ``other`` instead."""
    *folders, name = path.parts
    if folder in folders:
        folders[-1 - folders[::-1].index(folder)] = other
    return Path(*folders, name)


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
        if self.synthetic is not None:
            return []
        problems = super().missing()
        if not problems and not (self.root / self.csv).is_file():
            problems.append(f"dataset.csv: no such file: {self.root / self.csv}")
        return problems


class MaskFolder(DatasetSettings):
    """A folder of images and a folder of masks with the same stems.

    ``index`` masks hold a label value per pixel; ``binary`` masks one class, drawn above ``threshold``; ``colour``
    masks a colour per class, on black.
    """

    format: Literal["mask_folder"]
    masks_dir: str = Field("masks", description="Folder of the masks, inside root")
    mask_kind: Literal["index", "binary", "colour"] = "index"
    threshold: int = Field(
        127, ge=0, le=254, description="binary masks: a pixel is defect if its grey value is above this"
    )
    colours: dict[str, tuple[int, int, int]] = Field(
        {}, description="colour masks: class name -> [red, green, blue], each 0 ... 255"
    )

    @field_validator("mask_kind")
    @classmethod
    def _one_class_if_binary(cls, kind: str, info: Any) -> str:
        if kind == "binary" and len(info.data.get("classes", {0: ""})) != 1:
            raise ValueError("'binary' masks hold exactly one class; list one under dataset.classes")
        return kind

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

    @property
    def class_colours(self) -> tuple[tuple[int, int, int], ...]:
        """Red, green and blue of each class of colour masks, in the order of :attr:`class_names`."""
        return tuple(self.colours[name] for name in self.class_names)

    def label_files(self) -> list[Path]:
        """All mask files below ``masks_dir``, sorted."""
        folder = self.root / self.masks_dir
        return sorted(path for path in folder.rglob("*") if path.suffix.lower() in IMAGE_SUFFIXES)

    def missing(self) -> list[str]:
        """See :meth:`DatasetSettings.missing`."""
        problems = super().missing()
        if not problems and not (self.root / self.masks_dir).is_dir():
            problems.append(f"dataset.masks_dir: no such folder: {self.root / self.masks_dir}")
        return problems


class SuperviselyProject(DatasetSettings):
    """A Supervisely project: ``meta.json``, and in it or in dataset folders ``img/NAME`` and ``ann/NAME.json``.

    ``classes`` gives each class title that is used a value of your choice.
    """

    format: Literal["supervisely"]
    images_dir: str = Field(".", description="Folder of the datasets, inside root; images are in its img folders")

    def image_files(self) -> list[Path]:
        """All image files in folders called img, sorted."""
        return [path for path in super().image_files() if "img" in path.relative_to(self.root).parent.parts]

    def annotation_file(self, image: Path) -> Path:
        """Path of the annotations of an image file."""
        return self.root / _renamed(image.relative_to(self.root), "img", "ann").with_name(f"{image.name}.json")

    def annotation_files(self) -> list[Path]:
        """All JSON files in the folders of annotations, sorted."""
        folders = {self.annotation_file(image).parent for image in self.image_files()}
        return sorted(path for folder in folders for path in folder.glob("*.json"))

    def label_files(self) -> list[Path]:
        """The file of classes and all annotation files."""
        return [self.root / "meta.json", *self.annotation_files()]

    def missing(self) -> list[str]:
        """See :meth:`DatasetSettings.missing`."""
        problems = super().missing()
        if not problems and not (self.root / "meta.json").is_file():
            problems.append(f"dataset.root: no meta.json in {self.root}")
        return problems


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
        return self.root / _renamed(image.relative_to(self.root), "images", "labels").with_suffix(".txt")

    def text_files(self) -> list[Path]:
        """All text files in the folders of labels, sorted, except the list of classes that some tools leave there."""
        folders = {self.label_file(image).parent for image in self.image_files()}
        return sorted(path for folder in folders for path in folder.glob("*.txt") if path.name != "classes.txt")

    def label_files(self) -> list[Path]:
        """The file of class names and all text files with labels."""
        return [self.root / self.data_yaml, *self.text_files()]

    def missing(self) -> list[str]:
        """See :meth:`DatasetSettings.missing`."""
        problems = super().missing()
        if not problems and not (self.root / self.data_yaml).is_file():
            problems.append(f"dataset.data_yaml: no such file: {self.root / self.data_yaml}")
        if not problems and not self.text_files():
            expected = self.label_file(self.image_files()[0])
            problems.append(f"dataset.images_dir: no label files; the first is expected at {expected}")
        return problems


class CocoFiles(DatasetSettings):
    """COCO files; their images are below ``images_dir`` or beside the file.

    ``classes`` gives each category name that is used a value of your choice. For a Roboflow export:
    ``images_dir: .`` and ``annotations: "*/_annotations.coco.json"``.
    """

    format: Literal["coco"]
    annotations: str = Field(
        "annotations.json", pattern=r"^[^/\\]", description="COCO file inside root, or a pattern such as ann/*.json"
    )

    def label_files(self) -> list[Path]:
        """All COCO files, sorted."""
        return sorted(self.root.glob(self.annotations))

    def missing(self) -> list[str]:
        """See :meth:`DatasetSettings.missing`."""
        problems = super().missing()
        if not problems and not self.label_files():
            problems.append(f"dataset.annotations: no such file: {self.root / self.annotations}")
        return problems


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
        path = self.root / self.csv
        return [] if path.is_file() else [f"dataset.csv: no such file: {path}"]


FORMATS: dict[str, type[DatasetSettings]] = {
    "severstal_csv": SeverstalCsv,
    "mask_folder": MaskFolder,
    "supervisely": SuperviselyProject,
    "yolo": YoloFolder,
    "coco": CocoFiles,
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
