"""Budget of a training in one unit for all families: its length, its evaluations, early stopping, averaged weights."""

import math
from typing import Any, ClassVar, Self

from pydantic import Field, model_validator

from defectbench.config.family_settings import ImageSettings

BUDGETS = ("images_seen", "epochs", "steps")
"""Keys that state a budget, each in its own unit; a training has one of them."""


class BudgetSettings(ImageSettings):
    """The keys that say how long a network is trained, and which weights are kept.

    The budget is ``images_seen``, unless ``epochs`` or ``steps`` is given. Equal ``images_seen`` are equal budgets
    whatever the family, the batch size and the number of labels.
    """

    N_EVALUATIONS: ClassVar[int] = 20
    """Evaluations in a budget, if ``eval_every`` does not say otherwise."""

    batch_size: int = Field(8, ge=1)
    images_seen: int | None = Field(
        96_000, ge=1, description="Budget: training images seen, one counted as often as it is seen"
    )
    epochs: int | None = Field(None, ge=1, description="Budget in passes over the training images, not images_seen")
    steps: int | None = Field(None, ge=1, description="Budget in optimiser steps, not images_seen")
    eval_every: int | None = Field(
        None, ge=1, description="Steps between evaluations on val; null: 20 evaluations, evenly over the budget"
    )
    warmup: float = Field(0.05, ge=0, lt=1, description="Share of the steps in which lr rises")
    patience: int | None = Field(
        None,
        ge=1,
        description="Early stopping: evaluations without improvement, counted from the last peak of lr; null: none. "
        "Most of the gain comes while lr falls, so that a stop before its end costs more than it saves",
    )

    ema: float = Field(
        0.999,
        ge=0,
        lt=1,
        description="Decay per step of the exponential moving average of the weights, which is what is validated and "
        "saved; it rises as (1 + step) / (10 + step) up to this; 0: no average",
    )

    def images_per_step(self, n_images: int) -> int:
        """Images of one optimiser step if there are ``n_images``."""
        return min(self.batch_size, n_images)

    def count_steps(self, n_images: int) -> int:
        """Optimiser steps of the whole budget over ``n_images`` training images; the last step completes it."""
        if self.steps is not None:
            return self.steps
        images = self.images_seen or (self.epochs or 0) * n_images
        return math.ceil(images / self.images_per_step(n_images))

    def eval_interval(self, n_images: int) -> int:
        """Optimiser steps between evaluations; the last interval may be shorter."""
        return self.eval_every or math.ceil(self.count_steps(n_images) / self.N_EVALUATIONS)

    def warmup_steps(self, total: int) -> int:
        """Steps of the warm-up before a cosine over ``total`` steps."""
        return max(1, round(self.warmup * total))

    def last_peak(self, total: int) -> int:
        """The step, of ``total``, after which the learning rate only falls."""
        return self.warmup_steps(total)

    @property
    def inactive_keys(self) -> set[str]:
        """The units that the budget is not stated in."""
        return super().inactive_keys | {key for key in BUDGETS if getattr(self, key) is None}

    @model_validator(mode="before")
    @classmethod
    def _other_units_replace_the_default(cls, values: Any) -> Any:
        if isinstance(values, dict) and any(values.get(key) is not None for key in ("epochs", "steps")):
            return {"images_seen": None} | values
        return values

    @model_validator(mode="after")
    def _has_one_budget(self) -> Self:
        given = [key for key in BUDGETS if getattr(self, key) is not None]
        if len(given) != 1:
            stated = " and ".join(given) or "no unit"
            raise ValueError(f"the budget is stated in {stated}; give one of {', '.join(BUDGETS)}, null for the others")
        return self
