"""Settings of the prediction of images without labels."""

from pathlib import Path
from typing import Literal

from pydantic import Field

from defectbench.config.base import Settings
from defectbench.walk import IMAGE_SUFFIXES, walk, with_suffix


class PredictImagesSettings(Settings):
    """Images for the target ``predict_images``."""

    images: Path | None = Field(None, description="Folder of the images, searched with its subfolders")
    experiment: str | None = Field(
        None,
        description="Name or id of the experiment that predicts them: any that needs nothing but the image, or an "
        "ensemble of such",
    )
    gate: bool = Field(
        True, description="Empty a class of an image whose defect score is low; needs a map per class (task: per_class)"
    )
    policy: Literal["chosen", "imposed"] = Field(
        "chosen",
        description="Masks by the thresholds and post-processing chosen on val, or by those of calibrate.imposed, "
        "without gate",
    )
    sample_submission: Path | None = Field(
        None, description="Kaggle's sample_submission.csv: the rows of submissions have its images and its order"
    )


def image_files(folder: Path) -> list[Path]:
    """All image files below ``folder``, sorted by their paths there."""
    return with_suffix(walk(Path(folder)).files, IMAGE_SUFFIXES)
