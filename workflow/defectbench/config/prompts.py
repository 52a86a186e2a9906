"""Prompts of promptable models: their kinds, their sources, and how their fixed files are drawn."""

from typing import Literal, Self

from pydantic import Field, model_validator

from defectbench.config.base import Settings

Track = Literal["automatic", "oracle"]

ORACLE, FIXED = "oracle", "fixed"

# Where the prompts of each kind come from unless another experiment makes them: the true masks, or nothing that the
# image shows (its size, a phrase). The phrases of 'text' are settings of the experiments that use them.
SOURCES: dict[str, str] = {
    **dict.fromkeys(("box", "points", "box_points", "mask"), ORACLE),
    **dict.fromkeys(("full_box", "text"), FIXED),
}
# Kinds whose true boxes may be moved at random, as a careless annotator would draw them.
NOISY_KINDS = ("box", "box_points")


def track_of(source: str) -> Track:
    """Track of results whose prompts come from ``source``: 'oracle' only if that is the true masks.

    Any other source is fixed, or another trained model. This is the only place where a prompt's source decides a track.
    """
    return "oracle" if source == ORACLE else "automatic"


def is_oracle(source: str) -> bool:
    """Whether prompts from ``source`` are derived from the true masks."""
    return track_of(source) == "oracle"


def prompts_path(source: str, kind: str, noise: float = 0.0) -> str:
    """Path of a file of prompts below the dataset's ``prompts/``, with the noise of boxes that were moved at random."""
    return f"{source}/{kind}" + (f"_noise-{noise:g}" if noise else "") + ".parquet"


class PromptSettings(Settings):
    """How prompts are drawn from masks, once for all promptable models."""

    seed: int = Field(42, ge=0)
    merge_distance: int = Field(
        10, ge=0, description="Components with at most this many pixels between them share a prompt"
    )
    points_per: Literal["object", "image"] = Field(
        "object",
        description="What the points of prompt: points are drawn for: each object has its own, or one prompt has "
        "points of all defects of an image. Trainings and cascades prompt each object",
    )
    min_points: int = Field(3, ge=1, description="Least number of positive, and of negative, points of a prompt")
    max_points: int = Field(5, ge=1, description="Largest number of each")
    near: int = Field(20, ge=1, description="Negative points lie at most this many pixels from their object")

    @model_validator(mode="after")
    def _points_are_in_order(self) -> Self:
        if self.min_points > self.max_points:
            raise ValueError(f"min_points {self.min_points} is greater than max_points {self.max_points}")
        return self
