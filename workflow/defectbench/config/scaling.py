"""Settings of how values of deep images become the 0 ... 255 that models see."""

from typing import Self

from pydantic import Field, model_validator

from defectbench.config.base import Settings


class ScalingSettings(Settings):
    """Limits between which the values of each channel are scaled: percentiles of the training images, or fixed ones."""

    percentiles: tuple[float, float] = Field(
        (0.1, 99.9),
        description="Of the values of all pixels of the training images, channel by channel; a few dead or hot pixels "
        "do not matter. [0, 100]: from the lowest to the highest value",
    )
    limits: tuple[float, float] | None = Field(
        None, description="Lowest and highest value instead, the same for all channels, e.g. [0, 4095] of 12 bits"
    )

    @property
    def inactive_keys(self) -> set[str]:
        """Percentiles beside limits."""
        return {"percentiles"} if self.limits else {"limits"}

    @model_validator(mode="after")
    def _low_is_below_high(self) -> Self:
        low, high = self.percentiles
        if not 0 <= low < high <= 100:
            raise ValueError(f"percentiles must rise, from 0 to 100; got {[low, high]}")
        if self.limits is not None and not self.limits[0] < self.limits[1]:
            raise ValueError(f"limits must rise; got {list(self.limits)}")
        return self
