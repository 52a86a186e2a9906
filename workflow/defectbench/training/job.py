"""Training of an experiment by any means: its inputs, its resumable state, and its record.

Without torch, since jobs of reference methods need none.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any

from defectbench.config.base import MERGED
from defectbench.config.family_settings import ImageSettings
from defectbench.config.identity import ExperimentIdentity
from defectbench.config.prompts import track_of
from defectbench.config.runtime import RuntimeSettings
from defectbench.data.packing import ImagePack, MaskPack
from defectbench.data.scaling import Scaling
from defectbench.data.tables import read_names
from defectbench.files import write_json
from defectbench.training.files import TrainingFiles
from defectbench.training.run_record import Track, images_seen, run_record
from defectbench.training.state import fingerprint, training_state
from defectbench.training.trackers import Trackers, open_trackers


class Job:
    """Inputs of one call of a training script, and the folder of its results."""

    def __init__(self, files: TrainingFiles, settings: ImageSettings) -> None:
        """Read the split and the subset named in ``files``."""
        self.files, self.settings = files, settings
        self.identity = ExperimentIdentity.read(files.identity)
        self.runtime = RuntimeSettings.read(files.runtime) if files.runtime else RuntimeSettings()
        self.scaling = Scaling.read(files.scaling) if files.scaling else None
        self.images = ImagePack(files.pack, self.scaling, settings.input_channels)
        self.split = read_names(files.split)
        self.train_ids = read_names(files.subset)["image_id"].tolist()
        self.val_ids = sorted(self.split.loc[self.split["role"] == "val", "image_id"])
        self.notes: list[str] = describe_pixels(self.images)
        """Notes for readers of the results."""

    @property
    def name(self) -> str:
        """The experiment's id."""
        return self.identity.exp_id

    @cached_property
    def masks(self) -> MaskPack:
        """The packed masks of all images."""
        return MaskPack(self.files.pack)

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the maps that the model predicts."""
        return (MERGED,) if self.settings.traits.task == MERGED else self.masks.class_names

    @property
    def labelled_ids(self) -> set[str]:
        """Images whose labels the weights were trained on."""
        return set(self.train_ids)

    @property
    def early_stopping_ids(self) -> set[str]:
        """Images by which the checkpoint was selected."""
        return set(self.val_ids)

    @contextmanager
    def open_state(self, *parts: str | bytes) -> Iterator[tuple[Path, Trackers]]:
        """The folder of this training's state, and its experiment trackers.

        A state is resumed only with the same settings, images, split, code and ``parts``.
        """
        files = self.files
        inputs = (path.read_bytes() for path in (files.settings, files.subset, files.split))
        pixels = [files.scaling.read_bytes()] if files.scaling else []
        key = fingerprint(*inputs, self.images.digest, files.code_digest, *pixels, *parts)
        with training_state(files.folder / "state", key) as folder:
            yield folder, open_trackers(files.trackers, self.identity, self.settings, folder)

    def record(self, track: Track | None = None, **facts: Any) -> dict[str, Any]:
        """The run record; by default ``track`` follows from the prompts' source. ``facts`` replace defaults."""
        source = self.settings.traits.prompt_source
        labels: dict[str, Any] = {"n_labels_train": 0, "n_labels_val": 0}
        if self.settings.traits.uses_labels:
            labels = {
                "n_labels_train": len(self.labelled_ids),
                "n_labels_val": len(self.early_stopping_ids - self.labelled_ids),
                **images_seen(self.labelled_ids, self.early_stopping_ids),
            }
        defaults = {
            "classes": self.classes,
            "notes": self.notes,
            "runtime": self.runtime.model_dump(mode="json"),
            "code_digest": self.files.code_digest,
            "data_digest": self.images.digest,
        } | ({"scaling": self.scaling.to_record()} if self.scaling else {})
        return run_record(
            self.identity, self.settings, track or track_of(source), source, **(defaults | labels | facts)
        )

    def write_record(self, record: dict[str, Any]) -> None:
        """Write run.json; it comes after all other files of the training."""
        write_json(self.files.folder / "run.json", record)


def describe_pixels(images: ImagePack) -> list[str]:
    """Notes on how a model sees ``images``; none of grey and RGB images with 8 bits."""
    notes = []
    if images.scaling is not None and (text := images.scaling.describe()):
        notes.append(text)
    if images.selected is not None:
        which = ", ".join(map(str, images.selected))
        notes.append(f"sees channels {which} of {images.stored_channels}, counted from 0")
    return notes
