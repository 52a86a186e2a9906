"""How thresholds and post-processing are chosen on the validation images."""

from typing import Annotated, Any, Literal

from pydantic import Field, field_validator

from defectbench.config.base import Settings

Radius = Annotated[int, Field(ge=1)]
Area = Annotated[float, Field(gt=0)]


class PostProcessingSettings(Settings):
    """Candidate steps of post-processing.

    Every combination is tried for each class, and so is leaving a step out: by default 2 × 2 × 2 × 6 = 48 candidates.
    """

    opening_radii: tuple[Radius, ...] = Field((1,), description="Opening by a disc: radii in pixels")
    closing_radii: tuple[Radius, ...] = Field((2,), description="Closing by a disc: radii in pixels")
    fill_holes: bool = Field(True, description="Try the filling of holes")
    min_areas: tuple[Area, ...] = Field(
        (0.0001, 0.0003, 0.001, 0.003, 0.01),
        description="Smallest areas that a component may have: from 1 up pixels, below 1 a share of the image",
    )
    thresholds: tuple[Annotated[float, Field(gt=0, lt=1)], ...] = Field(
        (), description="Probabilities that are tried beside the calibrated one, rounded to k/256"
    )


class CalibrateSettings(Settings):
    """The threshold policy. Candidates are the codes of p = k/256, k = 1 ... 255."""

    objective: Literal["dice_all", "f1", "youden"] = Field(
        "dice_all", description="What the choice maximises over all val images, clean ones included"
    )
    post_processing: PostProcessingSettings | None = Field(
        PostProcessingSettings(), description="Candidates for the metrics named _pp; none: no post-processing"
    )

    @field_validator("post_processing", mode="before")
    @classmethod
    def _none_in_words(cls, value: Any) -> Any:
        return None if value == "none" else value
