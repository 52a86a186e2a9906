"""Which images without labels are predicted, and by which experiment."""

from pathlib import Path

from pydantic import Field

from defectbench.config.base import Settings, suggestion

SUFFIXES = (".bmp", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp")


class PredictImagesSettings(Settings):
    """Images for the target ``predict_images``."""

    images: Path | None = Field(None, description="Folder of the images, searched with its subfolders")
    experiment: str | None = Field(None, description="Id of the experiment that predicts them")
    gate: bool = Field(
        True, description="Empty a class of an image whose defect score is low; needs a map per class (task: per_class)"
    )

    def problems(self, experiments: list[str]) -> list[str]:
        """What is wrong with these settings in a study that has these experiment ids."""
        if self.images is None and self.experiment is None:
            return []
        if self.images is None or self.experiment is None:
            return ["predict_images: give both images and experiment"]
        found = []
        if not image_files(self.images):
            found.append(f"predict_images.images: no image below {self.images}; names end with {', '.join(SUFFIXES)}")
        if self.experiment not in experiments:
            found.append(
                f"predict_images.experiment: no experiment {self.experiment!r}; "
                f"{suggestion(self.experiment, experiments)}"
            )
        return found


def image_files(folder: Path) -> list[Path]:
    """All image files below ``folder``, sorted by their paths there."""
    found = (path for path in Path(folder).rglob("*") if path.suffix.lower() in SUFFIXES and path.is_file())
    return sorted(found, key=lambda path: path.relative_to(folder).as_posix())
