"""Settings of the split into train, val and test, and into folds."""

import re
from collections import Counter
from collections.abc import Iterable
from pathlib import Path, PurePosixPath
from typing import Literal, Self

from pydantic import Field, field_validator, model_validator

from defectbench.config.base import Settings

Role = Literal["train", "val", "test"]
ROLE_FOLDERS: dict[str, Role] = {
    "train": "train",
    "training": "train",
    "val": "val",
    "valid": "val",
    "validation": "val",
    "dev": "val",
    "test": "test",
    "testing": "test",
}
"""Names, in lower case, of folders by which published data have roles; a year may follow, as in train2017."""


class SplitFile(Settings):
    """A split made elsewhere: a CSV with one row per image."""

    path: Path = Field(description="CSV file; relative paths start at dataset.root")
    image_column: str = "image"
    role_column: str = "split"
    roles: dict[str, Role] = Field(
        {"train": "train", "val": "val", "test": "test"}, description="Name in the file -> role here"
    )


def check_pattern(pattern: str) -> str:
    """``pattern``, if it is a regular expression.

    Raises:
        ValueError: if it is none.
    """
    try:
        re.compile(pattern)
    except re.error as error:
        raise ValueError(f"not a regular expression: {pattern!r}: {error}") from None
    return pattern


def folder_role(image_id: str) -> Role | None:
    """The role that the first folder called as one of ROLE_FOLDERS gives to an image; None if there is none."""
    return next((role for folder in PurePosixPath(image_id).parts[:-1] if (role := _word_role(folder))), None)


def file_role(name: str) -> Role | None:
    """The role that a label file's name tells, such as instances_train2017.json; None if it tells none, or several."""
    roles = {role for word in re.split(r"[-_. ]", PurePosixPath(name).stem) if (role := _word_role(word))}
    return roles.pop() if len(roles) == 1 else None


def _word_role(word: str) -> Role | None:
    return ROLE_FOLDERS.get(re.sub(r"[-_ ]?\d{4}$", "", word.lower()))


def undecided_roles(
    image_ids: Iterable[str], label_files: Iterable[str], settings: "SplitSettings", listed: Iterable[str | None] = ()
) -> str | None:
    """The problem that images or labels are in folders or files named after roles, and no setting says what they mean.

    Only some formats have ``label_files`` that tell roles, each of many images; ``listed`` are the roles of images
    that a file of the labels says.
    """
    if settings.is_decided:
        return None
    folders, files = map(folder_role, image_ids), map(file_role, label_files)
    places = (
        ("images are in folders", folders),
        ("labels are in files", files),
        ("labels list images in places", listed),
    )
    for what, roles in places:
        counts = Counter(role for role in roles if role)
        if len(counts) > 1:
            found = ", ".join(f"{role}: {counts[role]:,}" for role in ("train", "val", "test") if role in counts)
            return (
                f"split.from_folders: {what} named after roles ({found}); set it to true to keep these roles, or to"
                " false for a new split of all images"
            )
    return None


class SplitNames(Settings):
    """A split made elsewhere, encoded in the names of the images."""

    pattern: str = Field(
        description="Regular expression searched in the image id: what it matches, its first group if it has one, is"
        " the name of the role, e.g. ^(train|test)_"
    )
    roles: dict[str, Role] = Field(
        {"train": "train", "val": "val", "test": "test"}, description="Name in the image id -> role here"
    )

    @field_validator("pattern")
    @classmethod
    def _is_pattern(cls, pattern: str) -> str:
        return check_pattern(pattern)


class SplitSettings(Settings):
    """Parts of a fresh split, or roles given by whoever made the data: by a file, by folders or by names.

    A number below 1 is a share, a whole number a count of images, e.g. ``test: 2000``. Counts come off first; the
    shares divide the rest in proportion. If roles are given without val images, ``val`` is carved from the train
    images.
    """

    train: float = Field(0.8, gt=0, description="Share or count of images; ignored where roles are given")
    val: float = Field(0.1, gt=0, description="Share or count of images (where roles are given: of the train images)")
    test: float = Field(0.1, gt=0, description="Share or count of images; ignored where roles are given")
    seed: int = Field(42, ge=0)
    group_by: str | None = Field(
        None,
        description="Regular expression searched in the image id: images with the same match (its first group, if it "
        "has one) are never divided, e.g. CRACK500_\\d+_\\d+ for the parts of one photo. If it is not set, images of "
        "a Roboflow export (name.rf.hash.jpg) are grouped by name",
    )
    # Left out of split.yaml: another number of folds must not make the split stale.
    n_folds: int = Field(5, ge=2, exclude=True, description="Folds of train and val for cross-validation")
    inner_val: float = Field(
        0.1,
        gt=0,
        lt=1,
        exclude=True,
        description="Cross-validation: share of the other folds for early stopping, never of the fold itself",
    )
    file: SplitFile | None = None
    from_folders: bool | None = Field(
        None,
        description="Roles by the folders train, val (valid, validation, dev) and test that images are in, or by label"
        " files (COCO, CVAT, Label Studio) or lists (Pascal VOC) of that name, or by YOLO's data.yaml: keep them, or"
        " make a new split of all images. Required where there are such",
    )
    from_names: SplitNames | None = None
    on_leak: Literal["error", "drop_from_train"] = Field(
        "error", description="If given roles put the same picture in two of them: stop, or drop it from train"
    )

    @field_validator("train", "val", "test")
    @classmethod
    def _share_or_count(cls, value: float) -> float:
        if value > 1 and value % 1:
            raise ValueError(f"must be a share below 1 or a whole number of images, got {value:g}")
        return value

    @property
    def is_decided(self) -> bool:
        """Whether the settings say where roles are from, or that folders tell none."""
        return bool(self.file or self.from_names) or self.from_folders is not None

    @field_validator("group_by")
    @classmethod
    def _is_pattern(cls, pattern: str | None) -> str | None:
        return pattern if pattern is None else check_pattern(pattern)

    @model_validator(mode="after")
    def _given_once(self) -> Self:
        if sum(map(bool, (self.file, self.from_folders, self.from_names))) > 1:
            raise ValueError("roles are given by one of file, from_folders and from_names; leave the others out")
        return self

    @model_validator(mode="after")
    def _shares_add_up(self) -> Self:
        shares = [value for value in (self.train, self.val, self.test) if value < 1]
        if not shares:
            raise ValueError("one of train, val, test must be a share: it takes the images that the counts leave")
        if len(shares) == 3 and abs(sum(shares) - 1) > 1e-6:
            raise ValueError(f"train + val + test must be 1, got {sum(shares):g}")
        return self
