"""The model families and their settings; an experiment's family follows from its ``model``."""

from defectbench.config.families.cascade import CascadeSettings
from defectbench.config.families.ensemble import EnsembleSettings
from defectbench.config.families.reference import ReferenceSettings
from defectbench.config.families.sam2 import Sam2Settings
from defectbench.config.families.sam2_head import Sam2HeadSettings
from defectbench.config.families.sam3 import Sam3Settings
from defectbench.config.families.unet import UNetSettings
from defectbench.config.families.yolo import YoloSettings
from defectbench.config.family_settings import FamilySettings

FAMILIES: dict[str, type[FamilySettings]] = {
    "unet": UNetSettings,
    "yolo": YoloSettings,
    "sam2": Sam2Settings,
    "sam2_head": Sam2HeadSettings,
    "sam3": Sam3Settings,
    "ensemble": EnsembleSettings,
    "cascade": CascadeSettings,
    "reference": ReferenceSettings,
}


def model_names(family: str) -> tuple[str, ...]:
    """Values that ``model`` may have in a family's experiments."""
    annotation = FAMILIES[family].model_fields["model"].annotation
    return annotation.__args__ if annotation is not None else ()
