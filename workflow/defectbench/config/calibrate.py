"""Settings of the choice of thresholds and post-processing on the validation images."""

import importlib.util
from typing import Annotated, Any, Literal

from pydantic import Field, field_validator

from defectbench.config.base import Settings

Radius = Annotated[int, Field(ge=1)]
Area = Annotated[float, Field(gt=0)]


class CrfSettings(Settings):
    """A dense CRF. The authors' values for photographs, 3, 3, 10, 80 and 13, wipe out small defects."""

    smoothness_weight: float = Field(0.0, ge=0, description="Weight of the kernel over the distance of two pixels")
    smoothness_std: float = Field(3.0, gt=0, description="Its standard deviation in pixels")
    appearance_weight: float = Field(
        3.0, ge=0, description="Weight of the kernel over distance and difference in colour"
    )
    appearance_std: float = Field(10.0, gt=0, description="Its standard deviation over the distance, in pixels")
    appearance_levels: float = Field(
        13.0, gt=0, description="Its standard deviation over colours, in levels of 0 ... 255 in RGB"
    )
    iterations: int = Field(5, ge=1, description="Steps of mean-field inference")

    def __str__(self) -> str:
        """'CRF', and the values that differ from the defaults."""
        changed = [f"{key} {value:g}" for key, value in self.model_dump().items() if value != self.defaults[key]]
        return " ".join(["CRF", *changed])


class PostProcessingSettings(Settings):
    """Candidate steps of post-processing.

    Every combination is tried for each class, and so is leaving a step out: by default 2 × 2 × 2 × 6 = 48 candidates.
    A dense CRF doubles them.
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
    crf: tuple[CrfSettings, ...] = Field(
        (), description="Dense CRFs before all other steps: [{}] is one with the defaults. Needs the extra 'crf'"
    )

    @field_validator("crf")
    @classmethod
    def _installed(cls, crfs: tuple[CrfSettings, ...]) -> tuple[CrfSettings, ...]:
        if crfs and importlib.util.find_spec("pydensecrf") is None:
            raise ValueError("pydensecrf2 is not installed; pip install 'defectbench[crf]', or leave it out")
        return crfs


class ImposedSettings(Settings):
    """A threshold and a smallest area that nobody chose on the val images."""

    threshold: float = Field(0.5, gt=0, lt=1, description="Probability from which a pixel counts, rounded to k/256")
    min_area: float = Field(
        0, ge=0, description="Smallest area that a component may have: from 1 up pixels, below 1 a share of the image"
    )


class CalibrateSettings(Settings):
    """The threshold policy. Candidates are the codes of p = k/256, k = 1 ... 255."""

    objective: Literal["dice_all", "f1", "youden", "recall_at_least"] = Field(
        "dice_all",
        description="Metric to maximise over all val images, clean ones included; recall_at_least: the highest "
        "threshold whose recall of all defective pixels is at least recall, or that of the highest recall if none is",
    )
    recall: float = Field(0.95, gt=0, le=1, description="The least recall of the objective recall_at_least")
    post_processing: PostProcessingSettings | None = Field(
        PostProcessingSettings(), description="Candidates for the metrics named _pp; none: no post-processing"
    )
    imposed: ImposedSettings | None = Field(
        None,
        description="A policy given beforehand, as in {threshold: 0.5, min_area: 3500}: its metrics, named _imposed, "
        "stand beside those of the chosen ones, and nothing is selected by them",
    )

    @property
    def inactive_keys(self) -> set[str]:
        """The recall, which the other objectives do not have."""
        return set() if self.objective == "recall_at_least" else {"recall"}

    @property
    def active_recall(self) -> float | None:
        """The recall that the objective asks for, if it does."""
        return self.recall if self.objective == "recall_at_least" else None

    @property
    def needs_images(self) -> bool:
        """Whether post-processing may depend on the images, not on the maps alone."""
        return self.post_processing is not None and bool(self.post_processing.crf)

    @field_validator(
        "post_processing", mode="before", json_schema_input_type=PostProcessingSettings | Literal["none"] | None
    )
    @classmethod
    def _none_in_words(cls, value: Any) -> Any:
        return None if value == "none" else value
