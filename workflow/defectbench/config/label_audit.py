"""Settings of the label audit."""

from typing import Literal

from pydantic import Field

from defectbench.config.base import Settings


class LabelAuditSettings(Settings):
    """The label audit of an experiment, target runs/{ds}/{fam}/{exp}/label_audit/label_audit.csv."""

    images: int = Field(50, ge=1, description="Images, the most suspicious first, that are drawn and exported")
    export: Literal["coco", "supervisely", "cvat_images", "labelme", "label_studio"] = Field(
        "coco", description="Format for re-annotation; only ``coco`` marks ignored pixels"
    )
