"""Augmentation of training samples: one definition for all families."""

from typing import Any, ClassVar, Self

from pydantic import Field, model_serializer, model_validator

from defectbench.config.base import Settings, suggestion


class AugmentSettings(Settings):
    """Steps of the augmentation, each with its probability. The defaults are the steel augmentation.

    Instead of a group of keys, ``steel`` and ``none`` are names of the two that are used most.
    """

    STRENGTHS: ClassVar[dict[str, str]] = {
        "degrees": "rotate",
        "brightness": "tone",
        "contrast": "tone",
        "noise_std": "noise",
        "blur_kernel": "blur",
    }
    """Key of a strength -> key of the probability without which it has no effect."""

    hflip: float = Field(0.5, ge=0, le=1, description="Probability of a horizontal flip")
    vflip: float = Field(0.0, ge=0, le=1, description="Probability of a vertical flip; steel strips have none")
    rotate: float = Field(0.3, ge=0, le=1, description="Probability of a rotation, edges repeated")
    degrees: float = Field(5.0, gt=0, le=180, description="Largest angle of a rotation, either way")
    tone: float = Field(0.5, ge=0, le=1, description="Probability of another brightness and contrast")
    brightness: float = Field(0.2, ge=0, le=1, description="Largest change of brightness, share of the range")
    contrast: float = Field(0.2, ge=0, le=1, description="Largest relative change of contrast")
    noise: float = Field(0.1, ge=0, le=1, description="Probability of Gaussian noise")
    noise_std: float = Field(
        0.04, gt=0, le=1, description="Largest standard deviation of the noise, share of the range; least: a quarter"
    )
    blur: float = Field(0.1, ge=0, le=1, description="Probability of a Gaussian blur; never together with noise")
    blur_kernel: int = Field(5, ge=3, le=31, description="Largest kernel of the blur, odd, in pixels")

    @property
    def is_none(self) -> bool:
        """Whether samples stay as they are."""
        return not any(getattr(self, key) for key in ("hflip", "vflip", "rotate", "tone", "noise", "blur"))

    @property
    def idle_keys(self) -> set[str]:
        """Strengths of steps that never happen."""
        return {key for key, step in self.STRENGTHS.items() if not getattr(self, step)}

    @model_validator(mode="before")
    @classmethod
    def _by_name(cls, values: Any) -> Any:
        if not isinstance(values, str):
            return values
        if values not in NAMED:
            raise ValueError(f"{values!r} is not allowed; {suggestion(values, [*NAMED, 'a group of steps'])}")
        return NAMED[values]

    @model_validator(mode="after")
    def _one_of_two(self) -> Self:
        if self.noise + self.blur > 1:
            raise ValueError(f"noise {self.noise:g} and blur {self.blur:g} exclude each other: together at most 1")
        if self.blur_kernel % 2 == 0:
            raise ValueError(f"blur_kernel {self.blur_kernel}: must be odd")
        return self

    @model_serializer
    def _short(self) -> str | dict[str, float]:
        """What differs from the steel augmentation, or a name."""
        if self.is_none:
            return "none"
        changed = {
            key: value
            for key, field in type(self).model_fields.items()
            if key not in self.idle_keys and (value := getattr(self, key)) != field.default
        }
        return changed or "steel"


NAMED: dict[str, dict[str, float]] = {
    "steel": {},
    "none": dict.fromkeys(("hflip", "vflip", "rotate", "tone", "noise", "blur"), 0.0),
}


class AugmentationsSettings(Settings):
    """The augmentations that a study's experiments train with: what the picture of them shows."""

    augmentations: list[AugmentSettings] = Field(min_length=1)
