"""Augmentation of training samples: one definition for all families."""

from typing import Any, ClassVar, Self

from pydantic import ConfigDict, Field, model_serializer, model_validator

from defectbench.config.base import Settings, suggest


def _allow_presets(schema: dict[str, Any]) -> None:
    """Change the JSON schema of the steps to that of the steps or the name of a preset."""
    steps = dict(schema)
    schema.clear()
    schema["anyOf"] = [{"enum": list(PRESETS)}, steps]


class AugmentSettings(Settings):
    """Steps of the augmentation, each with its probability. The defaults are the steel augmentation.

    Instead of a group of keys, ``steel`` and ``none`` name the two that are used most.
    """

    model_config = ConfigDict(json_schema_extra=_allow_presets)

    STEPS: ClassVar[tuple[str, ...]] = ("hflip", "vflip", "rotate90", "rotate", "elastic", "tone", "noise", "blur")
    """Keys of the probabilities."""
    STRENGTHS: ClassVar[dict[str, str]] = {
        "degrees": "rotate",
        "elastic_shift": "elastic",
        "elastic_scale": "elastic",
        "brightness": "tone",
        "contrast": "tone",
        "noise_std": "noise",
        "blur_kernel": "blur",
    }
    """Key of a strength -> key of the probability without which it has no effect."""

    hflip: float = Field(0.5, ge=0, le=1, description="Probability of a horizontal flip")
    vflip: float = Field(0.0, ge=0, le=1, description="Probability of a vertical flip; steel strips have none")
    rotate90: float = Field(
        0.0, ge=0, le=1, description="Probability of 1 to 3 quarter turns; of two if an image is not square"
    )
    rotate: float = Field(0.3, ge=0, le=1, description="Probability of a rotation, edges repeated")
    degrees: float = Field(5.0, gt=0, le=180, description="Largest angle of a rotation, either way")
    elastic: float = Field(0.0, ge=0, le=1, description="Probability of an elastic deformation, edges repeated")
    elastic_shift: float = Field(
        2.0, gt=0, le=64, description="Standard deviation of the deformation's shifts, in pixels, in x and in y"
    )
    elastic_scale: float = Field(
        16.0, ge=1, le=256, description="Standard deviation of the Gaussian by which shifts are smoothed, in pixels"
    )
    tone: float = Field(0.5, ge=0, le=1, description="Probability of another brightness and contrast")
    brightness: float = Field(0.2, ge=0, le=1, description="Largest change of brightness, share of the range")
    contrast: float = Field(0.2, ge=0, le=1, description="Largest relative change of contrast")
    noise: float = Field(0.1, ge=0, le=1, description="Probability of Gaussian noise, the same in all channels")
    noise_std: float = Field(
        0.04, gt=0, le=1, description="Largest standard deviation of the noise, share of the range; least: a quarter"
    )
    blur: float = Field(0.1, ge=0, le=1, description="Probability of a Gaussian blur; never together with noise")
    blur_kernel: int = Field(5, ge=3, le=31, description="Largest kernel of the blur, odd, in pixels")

    @property
    def is_none(self) -> bool:
        """Whether no step ever happens."""
        values = dict(self)
        return not any(values[key] for key in self.STEPS)

    @property
    def inactive_keys(self) -> set[str]:
        """Strengths of steps with probability 0."""
        values = dict(self)
        return {key for key, step in self.STRENGTHS.items() if not values[step]}

    @model_validator(mode="before")
    @classmethod
    def _by_name(cls, values: Any) -> Any:
        if not isinstance(values, str):
            return values
        if values not in PRESETS:
            raise ValueError(f"{values!r} is not allowed; {suggest(values, [*PRESETS, 'a group of steps'])}")
        return PRESETS[values]

    @model_validator(mode="after")
    def _one_of_two(self) -> Self:
        if self.noise + self.blur > 1:
            raise ValueError(f"noise {self.noise:g} and blur {self.blur:g} exclude each other: together at most 1")
        if self.blur_kernel % 2 == 0:
            raise ValueError(f"blur_kernel {self.blur_kernel}: must be odd")
        return self

    @model_serializer
    def _short(self) -> str | dict[str, float]:
        """The keys that differ from the steel augmentation, or the name of a preset."""
        if self.is_none:
            return "none"
        fields, inactive = type(self).model_fields, self.inactive_keys
        changed = {key: value for key, value in self if key not in inactive and value != fields[key].default}
        return changed or "steel"


PRESETS: dict[str, dict[str, float]] = {
    "steel": {},
    "none": dict.fromkeys(AugmentSettings.STEPS, 0.0),
}


class AugmentationsSettings(Settings):
    """Augmentations of a study's experiments, for the figure that shows them."""

    augmentations: list[AugmentSettings] = Field(min_length=1)
