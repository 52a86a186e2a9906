"""Settings of the scoring of components."""

from typing import Literal

from pydantic import Field

from defectbench.config.base import Settings


class ScoreSettings(Settings):
    """Matching of predicted with true components (``component_recall``, ``false_components``, ``recall_at_fp_*``)."""

    match_iou: float = Field(0.5, gt=0, le=1, description="Least IoU at which a predicted component matches a true one")
    component_recall: Literal["auto", "always", "never"] = Field(
        "auto",
        description="Whether these metrics are given; auto: null for classes with fragmented truth, as cracks are",
    )
    fragmented_from: float = Field(
        0.18,
        gt=0,
        le=1,
        description="auto: a class is fragmented if at least this share of its true components disappears into "
        "others when all grow by 2 px",
    )
