"""Which images without labels are predicted, and by which experiment."""

from collections.abc import Sequence
from pathlib import Path

from pydantic import Field

from defectbench.config.base import Settings, suggestion
from defectbench.config.experiment import Experiment

SUFFIXES = (".bmp", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp")


class PredictImagesSettings(Settings):
    """Images for the target ``predict_images``."""

    images: Path | None = Field(None, description="Folder of the images, searched with its subfolders")
    experiment: str | None = Field(
        None,
        description="Id of the experiment that predicts them: any that needs nothing but the image, or an ensemble "
        "of such",
    )
    gate: bool = Field(
        True, description="Empty a class of an image whose defect score is low; needs a map per class (task: per_class)"
    )

    def problems(self, experiments: Sequence[Experiment]) -> list[str]:
        """What is wrong with these settings in a study of these experiments."""
        if self.images is None and self.experiment is None:
            return []
        if self.images is None or self.experiment is None:
            return ["predict_images: give both images and experiment"]
        found = []
        if not image_files(self.images):
            found.append(f"predict_images.images: no image below {self.images}; names end with {', '.join(SUFFIXES)}")
        known = {experiment.exp_id: experiment for experiment in experiments}
        key = "predict_images.experiment"
        if self.experiment not in known:
            return [*found, f"{key}: no experiment {self.experiment!r}; {suggestion(self.experiment, list(known))}"]
        members = known[self.experiment].traits.members or (self.experiment,)
        unable = [name for name in members if name in known and not known[name].traits.sees_image_alone]
        if unable:
            able = [exp_id for exp_id, experiment in known.items() if experiment.traits.sees_image_alone]
            found.append(
                f"{key}: {', '.join(unable)} cannot predict images outside the dataset: it needs prompts or predicts "
                f"boxes alone; those that can: {', '.join(able) or 'none of this study'}"
            )
        return found


def image_files(folder: Path) -> list[Path]:
    """All image files below ``folder``, sorted by their paths there."""
    found = (path for path in Path(folder).rglob("*") if path.suffix.lower() in SUFFIXES and path.is_file())
    return sorted(found, key=lambda path: path.relative_to(folder).as_posix())
