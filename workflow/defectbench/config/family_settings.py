"""Base class of every family's settings, and the traits that everything outside a family may read."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

from pydantic import Field, field_validator

from defectbench.config.augment import AugmentSettings
from defectbench.config.base import Settings


@dataclass(frozen=True)
class Traits:
    """Properties of an experiment that rules, checks, searches and reports read without knowing its family."""

    variant: str = ""
    """Version of the model, e.g. its encoder; part of the experiment's id. Empty if there is only one."""
    prompt: str = "none"
    """Prompt type; 'none' for models that see the image alone."""
    prompt_source: str = "none"
    """Where the prompts come from: 'none', 'fixed', 'oracle', or the id of the experiment that predicts them."""
    prompt_file: str | None = None
    """Path of the file of prompts below the dataset's ``prompts/``; None if prompts need no file."""
    train_prompt_source: str = ""
    """Id of the experiment whose out-of-fold predictions prompt the training; empty if none does."""
    img_size: str = "native"
    """Size at which the network sees the image."""
    task: str = "merged"
    """'merged' (one map of any defect) or 'per_class' (one map per class)."""
    is_detector: bool = False
    """Whether the model predicts boxes and no masks: metrics and a table of their own."""
    has_scores: bool = True
    """Whether maps are scores; a constant yes/no has no mean that is a probability."""
    sees_image_alone: bool = True
    """Whether a new image is all that a prediction needs: no prompts from labels or from another experiment."""
    uses_labels: bool = True
    """Whether the subset of training images matters; not to a zero-shot model."""
    unsearchable: str = "no network is trained"
    """Why a search cannot rank the training by history.csv; empty if it can."""
    base_name: str | None = None
    """Name of the file of base weights, without folder and suffix; None: weights start at random."""
    adapts_base: bool = True
    """Whether trained weights are loaded on top of the base weights; else they are complete without these."""
    init_from: Path | None = None
    """Weights of an earlier training to start from."""
    label_table: str | None = None
    """Name of the table of converted labels that the family's own trainer reads; None: the packed masks."""
    tile_pack: str | None = None
    """Name of the pack of tiles that is trained on; None: whole images or random crops."""
    caches_features: bool = False
    """Whether features of a frozen encoder are cached on disk."""
    threads: int = 1
    """CPU threads of a job."""
    devices: int = 1
    """GPUs that a training takes."""
    any_channels: bool = False
    """Whether the model takes images of any number of channels; else one, which is repeated, or three."""
    augment: AugmentSettings | None = None
    """Augmentation of training images; None if there are no training images."""
    members: tuple[str, ...] = ()
    """Ids of the experiments whose predictions are averaged."""
    values_by_class: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """Keys whose values are given by class name, with these values."""

    @property
    def predicts_with_base(self) -> bool:
        """Whether predictions need the file of base weights."""
        return self.base_name is not None and self.adapts_base


@dataclass(frozen=True)
class JobNeeds:
    """Resources of a family's training and prediction jobs."""

    gpu: bool = True
    """Whether they run on a GPU where there is one."""
    train_mb: int = 8000
    """Memory of a training, for each device."""
    train_minutes: int = 1440
    predict_mb: int = 8000
    predict_minutes: int = 60
    """Time limit of a prediction; an hour for each GB of input is added."""
    weights_mb: int = 8000
    """Memory of fetching and converting base weights."""


class FamilySettings(Settings):
    """Settings of one experiment: the keys of its family, and its traits.

    A family overrides :attr:`traits` for what differs from the defaults of :class:`Traits`.
    """

    jobs: ClassVar[JobNeeds | None] = JobNeeds()
    """None for families that train and predict nothing themselves but combine other experiments."""
    weights_file: ClassVar[str] = "weights.safetensors"
    """Name of the trained model's file in ``model/``."""
    weights_rule: ClassVar[str | None] = None
    """Rule and script that fetch or make the family's base weights; None: it has none, or another family's."""
    weights_listed: ClassVar[bool] = True
    """Whether the addresses of published base weights are listed in resources/weights.yaml."""
    base_pattern: ClassVar[str] = ""
    """Regular expression of the names of base weights that ``weights_rule`` makes."""

    if TYPE_CHECKING:
        # Every family declares them, each with its own default and allowed values.
        model: str
        seed: int

    @cached_property
    def traits(self) -> Traits:
        """Traits that everything outside the family may read."""
        return Traits()

    def warnings(self, class_names: Sequence[str]) -> list[str]:
        """What is allowed but hardly meant, with classes of these names: for the doctor, and notes of the results."""
        return []

    def id_values(self, combined: Sequence[str]) -> dict[str, Any]:
        """Key -> value, as JSON, of everything that may appear in the experiment's id.

        ``combined`` are the unabridged ids of the experiments that it combines.
        """
        return self.model_dump(mode="json")


class ImageSettings(FamilySettings):
    """Settings of a model that sees images itself."""

    input_channels: tuple[Annotated[int, Field(ge=0)], ...] | None = Field(
        None,
        min_length=1,
        max_length=8,
        exclude_if=lambda channels: channels is None,
        description="Channels of the images that the model sees, counted from 0, e.g. [0, 1, 2]; null: all. Needed for "
        "families of grey or RGB images where images have other channels; a list of such lists is a grid",
    )

    @field_validator("input_channels")
    @classmethod
    def _each_once(cls, channels: tuple[int, ...] | None) -> tuple[int, ...] | None:
        if channels is not None and len(set(channels)) < len(channels):
            raise ValueError(f"each channel once; got {list(channels)}")
        return channels
