"""How images are divided into train, val and test."""

from pathlib import Path
from typing import Literal, Self

from pydantic import Field, model_validator

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
    """Fractions of a fresh split, or a split file from outside.

    With a file that has no val images, ``val`` is carved from its train images.
    """

    train: float = Field(0.8, gt=0, lt=1, description="Share of images; ignored with a file")
    val: float = Field(0.1, gt=0, lt=1, description="Share of images (with a file: of its train images)")
    test: float = Field(0.1, gt=0, lt=1, description="Share of images; ignored with a file")
    seed: int = Field(42, ge=0)
    file: SplitFile | None = None
    on_leak: Literal["error", "drop_from_train"] = Field(
        "error", description="If a split file puts the same picture in two roles: stop, or drop it from train"
    )

    @model_validator(mode="after")
    def _shares_add_up(self) -> Self:
        if abs(self.train + self.val + self.test - 1) > 1e-6:
            raise ValueError(f"train + val + test must be 1, got {self.train + self.val + self.test:g}")
        return self
