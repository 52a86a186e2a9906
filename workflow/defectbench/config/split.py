"""Settings of the split into train, val and test, and into folds."""

import re
from pathlib import Path
from typing import Literal, Self

from pydantic import Field, field_validator, model_validator

from defectbench.config.base import Settings

Role = Literal["train", "val", "test"]


class SplitFile(Settings):
    """A split made elsewhere: a CSV with one row per image."""

    path: Path = Field(description="CSV file; relative paths start at dataset.root")
    image_column: str = "image"
    role_column: str = "split"
    roles: dict[str, Role] = Field(
        {"train": "train", "val": "val", "test": "test"}, description="Name in the file -> role here"
    )


class SplitSettings(Settings):
    """Parts of a fresh split, or a split file from outside.

    A number below 1 is a share, a whole number a count of images, e.g. ``test: 2000``. Counts come off first; the
    shares divide the rest in proportion. With a file that has no val images, ``val`` is carved from its train
    images.
    """

    train: float = Field(0.8, gt=0, description="Share or count of images; ignored with a file")
    val: float = Field(0.1, gt=0, description="Share or count of images (with a file: of its train images)")
    test: float = Field(0.1, gt=0, description="Share or count of images; ignored with a file")
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
    on_leak: Literal["error", "drop_from_train"] = Field(
        "error", description="If a split file puts the same picture in two roles: stop, or drop it from train"
    )

    @field_validator("train", "val", "test")
    @classmethod
    def _share_or_count(cls, value: float) -> float:
        if value > 1 and value % 1:
            raise ValueError(f"must be a share below 1 or a whole number of images, got {value:g}")
        return value

    @field_validator("group_by")
    @classmethod
    def _is_pattern(cls, pattern: str | None) -> str | None:
        try:
            re.compile(pattern or "")
        except re.error as error:
            raise ValueError(f"not a regular expression: {pattern!r}: {error}") from None
        return pattern

    @model_validator(mode="after")
    def _shares_add_up(self) -> Self:
        shares = [value for value in (self.train, self.val, self.test) if value < 1]
        if not shares:
            raise ValueError("one of train, val, test must be a share: it takes the images that the counts leave")
        if len(shares) == 3 and abs(sum(shares) - 1) > 1e-6:
            raise ValueError(f"train + val + test must be 1, got {sum(shares):g}")
        return self
