"""Settings that every dataset has, whatever the format of its labels."""

import re
from abc import abstractmethod
from pathlib import Path, PurePosixPath
from typing import Any, ClassVar, Literal, Self

from pydantic import Field, StrictInt, StrictStr, field_serializer, field_validator, model_validator

from defectbench.config.base import MERGED, Settings
from defectbench.config.fetch import FetchSettings
from defectbench.config.scaling import ScalingSettings
from defectbench.printable import is_printable
from defectbench.walk import IMAGE_SUFFIXES, Walk, WalkError, walk, with_suffix

MOST_CLASSES = 1_000
"""Each has a mask of its own while an image's labels are read."""
NAME = r"^[A-Za-z0-9][A-Za-z0-9_-]*$"


class DatasetSettings(Settings):
    """Settings that every dataset has, whatever its label format."""

    has_images: ClassVar[bool] = True
    """Whether there are images and masks, or only a table of the defects' areas."""
    ignored_by: ClassVar[Literal["value", "name"] | None] = None
    """How labels of the format mark pixels that nobody decided; None if they cannot."""

    name: str = Field(pattern=NAME, description="Folder name under runs/")
    format: str
    root: Path = Field(description="Folder that holds images and labels")
    # Not in ingest.yaml: the content of the files does not depend on where they were downloaded.
    fetch: FetchSettings | None = Field(None, exclude=True, description="Where rules/fetch.smk downloads root from")
    images_dir: str = Field("images", description="Folder of the images, inside root")
    classes: dict[int, str] = Field(min_length=1, description="Value in the label files -> class name")
    # Not in ingest.yaml unless it is set: other datasets are what they were.
    ignore: StrictInt | StrictStr | None = Field(
        None,
        exclude_if=lambda ignore: ignore is None,
        description="Pixels that nobody can decide, neither defect nor background: their value in masks, such as 255, "
        "or the class that shapes of them have, or an attribute (CVAT) or flag (LabelMe) that is set; 'crowd' also for "
        "COCO's crowds. They win over classes",
    )
    images: Literal["all", "defective"] = Field("all", description="'defective' leaves out clean images")
    on_bad_sample: Literal["error", "quarantine"] = Field(
        "error",
        description="Stop at samples that cannot be used, or go on without them and say so. Labels that find no image "
        "always stop where an image without a label counts as clean",
    )
    clean_folders: list[str] = Field(
        [],
        description="Folders of clean images, below images_dir: elsewhere, a folder without any label is unlabelled "
        "and an error where an image without a label counts as clean. '.' is all of them",
    )
    exif: Literal["stored", "upright"] | None = Field(
        None,
        description="Pictures that viewers turn by their EXIF data: whether the labels are of the stored or of the "
        "upright picture. Needed only where the labels' sizes do not tell",
    )

    scaling: ScalingSettings | None = Field(
        None,
        exclude_if=lambda scaling: scaling is None,
        description="Needed for images of 16 bits or floats: how their values become the 0 ... 255 that models see. "
        "{} scales each channel between percentiles 0.1 and 99.9 of the training images",
    )
    channels: int | None = Field(
        None,
        ge=2,
        le=8,
        exclude_if=lambda channels: channels is None,
        description="Channels of every image, alpha included, where they are neither grey nor RGB: 2 to 8",
    )
    pages: Literal["channels"] | None = Field(
        None,
        exclude_if=lambda pages: pages is None,
        description="channels: the pages of each TIFF file are the channels of one image; otherwise they are refused",
    )

    @field_serializer("scaling")
    def _only_whether(self, scaling: ScalingSettings | None) -> dict[str, Any] | None:
        """In ingest.yaml only that values are scaled; how is in scaling.yaml: other limits decode no image again."""
        return None if scaling is None else {}

    @field_validator("pages")
    @classmethod
    def _pages_are_counted(cls, pages: str | None, info: Any) -> str | None:
        if pages is not None and "channels" in info.data and info.data["channels"] is None:
            raise ValueError("say how many pages each file has, with dataset.channels")
        return pages

    @field_validator("classes", mode="before")
    @classmethod
    def _names_are_text(cls, classes: Any) -> Any:
        names = [*classes, *classes.values()] if isinstance(classes, dict) else []
        if any(isinstance(name, bool) or name is None for name in names):
            raise ValueError(
                f"YAML reads no, off, yes, on, null without quotes as values: put names in quotes; got {classes}"
            )
        return classes

    @field_validator("classes")
    @classmethod
    def _usable_names(cls, classes: dict[int, str]) -> dict[int, str]:
        names = list(classes.values())
        if len(names) > MOST_CLASSES:
            raise ValueError(f"{len(names):,} classes; {MOST_CLASSES:,} are the most that can be read")
        if len(set(names)) < len(names):
            raise ValueError(f"class names must differ, got {names}")
        if MERGED in names:
            raise ValueError(f"{MERGED!r} names the union of all classes; call the class something else")
        if unusable := [name for name in names if not _is_usable(name)]:
            raise ValueError(f"class names must not be empty, have outer blanks or control characters, got {unusable}")
        if background := [name for name in names if name.strip("_").lower() == "background"]:
            raise ValueError(
                f"{background[0]!r} would be a defect: pixels of no class are the background; leave it out"
            )
        return classes

    @field_validator("ignore")
    @classmethod
    def _marks_no_class(cls, ignore: int | str | None, info: Any) -> int | str | None:
        if ignore is None:
            return ignore
        if cls.ignored_by is None:
            raise ValueError("labels of this format have no mark for pixels that nobody decided")
        classes = info.data.get("classes", {})
        if isinstance(ignore, int) != (cls.ignored_by == "value"):
            wanted = "the value of such pixels" if cls.ignored_by == "value" else "the name of a class"
            raise ValueError(f"labels of this format need {wanted}, got {ignore!r}")
        if isinstance(ignore, str) and not _is_usable(ignore):
            raise ValueError(f"{ignore!r} is empty, has outer blanks or control characters")
        if ignore in (0, "", MERGED, *classes, *classes.values()):
            raise ValueError(f"{ignore!r} is the background, a class or no name: ignored pixels are none of these")
        return ignore

    @model_validator(mode="after")
    def _can_be_written(self) -> Self:
        made = [self.root] if self.fetch else []
        if self.generator is not None:
            made += [*self.image_files()[:1], *self.label_files()]
        if braced := [str(path) for path in made if re.search("[{}]", str(path))]:
            raise ValueError(f"Snakemake cannot write generated or downloaded data to a path with braces: {braced[0]}")
        return self

    def with_ignored_class(self) -> Self:
        """These settings with the ignored pixels as one more class: what the readers of labels read."""
        if self.ignore is None:
            return self
        value = self.ignore if isinstance(self.ignore, int) else max(self.classes) + 1
        return self.model_copy(update={"classes": self.classes | {value: str(self.ignore)}})

    @property
    def measures_pixels(self) -> bool:
        """Whether the training images are measured, before models can see any: deep images, and those of channels."""
        return self.scaling is not None or self.channels is not None

    @property
    def class_names(self) -> tuple[str, ...]:
        """Names in the order of the label values: the order of every per-class list in the project."""
        return tuple(self.classes[value] for value in sorted(self.classes))

    @property
    def class_values(self) -> tuple[int, ...]:
        """Label values in the same order as :attr:`class_names`."""
        return tuple(sorted(self.classes))

    def folders(self) -> list[str]:
        """Folders of the root that images and labels are looked for in, each with all that is below it."""
        return [self.images_dir]

    def walk(self, folder: str) -> Walk:
        """What is below a ``folder`` of the root."""
        return walk(self.root / folder, self.root)

    def image_files(self) -> list[Path]:
        """All image files below ``images_dir``, sorted."""
        return with_suffix(self.walk(self.images_dir).files, IMAGE_SUFFIXES)

    def is_in_clean_folder(self, image_id: str) -> bool:
        """Whether an image is in one of ``clean_folders``."""
        return not {*map(PurePosixPath, self.clean_folders)}.isdisjoint(PurePosixPath(image_id).parents)

    @property
    def generator(self) -> Settings | None:
        """Settings of the generator that makes the images; None if they are given."""
        return None

    @abstractmethod
    def label_files(self) -> list[Path]:
        """All files that hold labels, sorted."""

    def files_of_roles(self) -> list[str]:
        """Names of the label files that each hold many images, and so may be named after roles."""
        return []

    def source_files(self) -> list[Path]:
        """Every file that ingest reads: Snakemake watches each of them."""
        return self.image_files() + self.label_files()

    def missing(self) -> list[str]:
        """Problems of files that are not there, or cannot be named, one line each."""
        if not self.root.is_dir():
            advice = "point it at your data, e.g. --config 'dataset={root: /path/to/data}'"
            return [f"dataset.root: no such folder: {self.root}; {advice}"]
        folder = self.root / self.images_dir
        lacking = [f"images_dir: no such folder: {folder}"] if not folder.is_dir() else []
        lacking += [
            f"clean_folders: no such folder: {folder / name}"
            for name in self.clean_folders
            if not (folder / name).is_dir()
        ]
        try:
            if not lacking and not self.image_files():
                lacking = [f"images_dir: no images ({', '.join(sorted(IMAGE_SUFFIXES))}) in {self.images_dir}"]
            lacking += self.missing_labels() if not lacking else []
        except WalkError as error:
            return [f"dataset.root: {error}"]
        return [f"dataset.{line}" for line in lacking]

    @abstractmethod
    def missing_labels(self) -> list[str]:
        """Problems of label files that are not there, one line each, which begin with the key."""


def _is_usable(name: str) -> bool:
    """Whether ``name`` can be that of a class: it is shown in tables and pictures as it is."""
    return bool(name) and name == name.strip() and is_printable(name)


def missing_file(key: str, path: Path) -> list[str]:
    """The problem that a file is not there, if so."""
    return [] if path.is_file() else [f"{key}: no such file: {path}"]


def rename_folder(path: Path, folder: str, other: str) -> Path:
    """``path`` with its last folder called ``folder``, if any, called ``other`` instead."""
    *folders, name = path.parts
    if folder in folders:
        folders[-1 - folders[::-1].index(folder)] = other
    return Path(*folders, name)
