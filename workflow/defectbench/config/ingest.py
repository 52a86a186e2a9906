"""Which images and labels a dataset consists of, and how they are read."""

from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import Field, field_validator

from defectbench.config.base import ConfigError, Settings

NAME = r"^[A-Za-z0-9][A-Za-z0-9_-]*$"
IMAGE_SUFFIXES = {".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff"}


class DatasetSettings(Settings):
    """What every dataset has, whatever its label format."""

    name: str = Field(pattern=NAME, description="Folder name under runs/")
    format: str
    root: Path = Field(description="Folder that holds images and labels")
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
        if "merged" in classes.values():
            raise ValueError("'merged' names the union of all classes; call the class something else")
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

    def label_files(self) -> list[Path]:
        """All files that hold labels, sorted."""
        raise NotImplementedError

    def source_files(self) -> list[Path]:
        """Every file that ingest reads: Snakemake watches each of them."""
        return self.image_files() + self.label_files()

    def missing(self) -> list[str]:
        """What of the source is not there, one line per problem; empty if all is well."""
        if not self.root.is_dir():
            advice = "point it at your data, e.g. --config 'dataset={root: /path/to/data}'"
            return [f"dataset.root: no such folder: {self.root}; {advice}"]
        if not (self.root / self.images_dir).is_dir():
            return [f"dataset.images_dir: no such folder: {self.root / self.images_dir}"]
        if not self.image_files():
            return [f"dataset.images_dir: no images ({', '.join(sorted(IMAGE_SUFFIXES))}) in {self.images_dir}"]
        return []


class SyntheticSteel(Settings):
    """The embedded generator of steel strips, in Severstal's file layout."""

    n_images: int = Field(480, ge=1)
    height: int = Field(64, ge=32, description="pixels")
    width: int = Field(384, ge=32, description="pixels")
    seed: int = Field(42, ge=0)


class SeverstalCsv(DatasetSettings):
    """Kaggle's Severstal layout: ``ImageId,ClassId,EncodedPixels``, rows for defects only."""

    format: Literal["severstal_csv"]
    images_dir: str = "train_images"
    csv: str = Field("train.csv", description="Label table, inside root")
    synthetic: SyntheticSteel | None = Field(None, description="Generate the images instead of reading them")

    def image_files(self) -> list[Path]:
        """Image files on disk, or the names the generator is going to write."""
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

    ``index`` masks hold a label value per pixel; ``binary`` masks one class, drawn above ``threshold``.
    """

    format: Literal["mask_folder"]
    masks_dir: str = Field("masks", description="Folder of the masks, inside root")
    mask_kind: Literal["index", "binary"] = "index"
    threshold: int = Field(
        127, ge=0, le=254, description="binary masks: a pixel is defect if its grey value is above this"
    )

    @field_validator("mask_kind")
    @classmethod
    def _one_class_if_binary(cls, kind: str, info: Any) -> str:
        if kind == "binary" and len(info.data.get("classes", {0: ""})) != 1:
            raise ValueError("'binary' masks hold exactly one class; list one under dataset.classes")
        return kind

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


FORMATS: dict[str, type[DatasetSettings]] = {"severstal_csv": SeverstalCsv, "mask_folder": MaskFolder}


def read_dataset_settings(path: Path) -> DatasetSettings:
    """Read dataset settings of whichever format the file itself names.

    Raises:
        ConfigError: if the format is unknown or a key is wrong.
    """
    name = (yaml.safe_load(Path(path).read_text(encoding="utf-8")) or {}).get("format")
    if name not in FORMATS:
        raise ConfigError([f"{path}: format: {name!r} is not allowed; allowed: {', '.join(FORMATS)}"])
    return FORMATS[name].read(path)
