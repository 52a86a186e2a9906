"""Settings of label formats that list shapes: polygons, boxes and run lengths with the name of their class."""

from pathlib import Path
from typing import Literal

from pydantic import Field

from defectbench.config.dataset import DatasetSettings, missing_file
from defectbench.walk import with_suffix

Boxes = Literal["error", "fill"]
BOXES = "Refuse boxes, or read each as a filled rectangle: far more than the defect inside it"


class AnnotationFiles(DatasetSettings):
    """Labels of many images in one file or a few."""

    annotations: str

    def label_files(self) -> list[Path]:
        """All annotation files, sorted: the file of this name, or all that fit the pattern."""
        path = self.root / self.annotations
        if path.is_file():
            return [path]
        return sorted(path for path in self.root.glob(self.annotations) if path.is_file())

    def files_of_roles(self) -> list[str]:
        """See :meth:`DatasetSettings.files_of_roles`."""
        return [path.name for path in self.label_files()]

    def missing_labels(self) -> list[str]:
        """See :meth:`DatasetSettings.missing_labels`."""
        return [] if self.label_files() else missing_file("annotations", self.root / self.annotations)


class CvatImages(AnnotationFiles):
    """CVAT for images 1.1: an XML file of polygons, masks, ellipses and boxes.

    ``classes`` gives each label name that is used a value of your choice.
    """

    ignored_by = "name"

    format: Literal["cvat_images"]
    annotations: str = Field(
        "annotations.xml",
        pattern=r"^[^/\\]",
        description="XML file inside root, or a pattern such as */annotations.xml",
    )
    boxes: Boxes = Field("error", description=BOXES)


class LabelStudio(AnnotationFiles):
    """An export of Label Studio as JSON: brush strokes, polygons, ellipses and boxes of each task.

    ``classes`` gives each label name that is used a value of your choice. Predictions are not read.
    """

    ignored_by = "name"

    format: Literal["label_studio"]
    annotations: str = Field(
        "*.json", pattern=r"^[^/\\]", description="JSON file inside root, or a pattern; not JSON-MIN, which lacks sizes"
    )
    boxes: Boxes = Field("error", description=BOXES)
    several: Literal["error", "newest"] = Field(
        "error",
        description="A task with several annotations, unless one of them is marked as ground truth: refuse it, or take "
        "the one that was changed last",
    )


class LabelMe(DatasetSettings):
    """LabelMe: a JSON file of polygons, rectangles, circles and masks for each image.

    ``classes`` gives each label name that is used a value of your choice.
    """

    ignored_by = "name"

    format: Literal["labelme"]
    labels_dir: str | None = Field(
        None, description="Folder of the JSON files, inside root, with the same names as the images; null: beside them"
    )
    missing_label: Literal["error", "clean"] = Field("error", description="What an image without a JSON file is")

    @property
    def labels_folder(self) -> str:
        """Folder of the JSON files, inside root."""
        return self.images_dir if self.labels_dir is None else self.labels_dir

    def folders(self) -> list[str]:
        """See :meth:`DatasetSettings.folders`."""
        return sorted({self.images_dir, self.labels_folder})

    def label_files(self) -> list[Path]:
        """All JSON files below the folder of labels, sorted."""
        return with_suffix(self.walk(self.labels_folder).files, {".json"})

    def missing_labels(self) -> list[str]:
        """See :meth:`DatasetSettings.missing_labels`."""
        return [] if self.label_files() else [f"labels_dir: no JSON files in {self.root / self.labels_folder}"]
