"""Training of a family's network by the common loop: writes weights, history, pictures and record."""

import shutil
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import lightning as L
import torch
from torch import nn

from defectbench.config.train import TrainSettings
from defectbench.data.tables import csv_text
from defectbench.files import atomic_folder, write_text
from defectbench.inference.network import device_name, resolve_device
from defectbench.models.checkpoint_files import trained_tensors, write_checkpoints
from defectbench.script import required
from defectbench.training.augmentation import make_augmentation
from defectbench.training.dataset import make_samples
from defectbench.training.extremes import write_pictures
from defectbench.training.files import TrainingFiles, parse_training_files
from defectbench.training.fit import Fit, TrainingData, fit, fit_facts, resolve_precision
from defectbench.training.job import Job
from defectbench.training.losses import Loss
from defectbench.training.outcome import find_problems
from defectbench.training.provenance import UNKNOWN, Provenance, find_inherited_ids, picture_digests
from defectbench.training.run_record import file_facts, parameter_facts
from defectbench.training.state import note_device
from defectbench.training.task import SegmentationTask
from defectbench.training.trackers import Trackers

RESULTS = """
Writes into --folder: model/weights.safetensors (the best by the settings' monitor; on base weights, only the trained
tensors), run.json and history.csv; in checkpoints/, the best three, the best by each other metric and the last; in
samples/, pictures of the val images that the best weights segment best and worst. A killed training resumes from its
last checkpoint, which is in --folder/state until all results are written.
"""
"""The end of every training script's --help."""


@dataclass(frozen=True)
class Training:
    """A family's network and loss, for the common training loop."""

    network: nn.Module
    """From uint8 images (B, C, H, W) to logits (B, n_maps, H, W), unless ``make_task`` calls it in another way."""
    loss: Loss | Any | None
    """None: zero-shot, nothing is trained."""
    origin: Mapping[str, Any]
    """Origin of the initial weights: facts of the run record, and part of the state's fingerprint."""
    compiled: Sequence[nn.Module] = ()
    """Parts whose forward passes are compiled if the runtime settings say so; none: the network's."""
    make_task: Callable[..., SegmentationTask] = SegmentationTask
    """Called like :class:`SegmentationTask`; for families whose training steps need more than the image."""
    base_sha256: str | None = None
    """Digest of the base weights if only trained tensors are saved, to be loaded on top; None: all are saved."""
    facts: Mapping[str, Any] = field(default_factory=dict)
    """Further facts of the run record."""
    notes: Sequence[str] = ()
    """Notes for readers of the results."""
    fingerprint: Sequence[str | bytes] = ()
    """Further inputs of the training: a state is resumed only if they are the same."""
    folders: Sequence[str] = ()
    """Folders that the task writes below the state's folder, to be copied to the results."""


class NetworkJob(Job):
    """A training of a network by :func:`fit`."""

    settings: TrainSettings

    def __init__(self, files: TrainingFiles, settings: TrainSettings) -> None:
        """Set the seed, and open images and masks."""
        super().__init__(files, settings)
        torch.set_num_threads(settings.threads)
        L.seed_everything(settings.seed, verbose=False)
        self.augmentation = make_augmentation(settings.traits.augment)
        self.train, self.val = make_samples(
            settings, files.pack, files.tiles, self.train_ids, self.val_ids, self.augmentation, self.scaling
        )
        self.in_channels = self.images.channels
        self._provenance = Provenance()
        self._inherited_labels, self._inherited_stopping = set[str](), set[str]()

    @property
    def labelled_ids(self) -> set[str]:
        """Images whose labels the weights were trained on, those of the initial weights included."""
        return super().labelled_ids | self._inherited_labels

    @property
    def early_stopping_ids(self) -> set[str]:
        """Images by which a checkpoint was selected, those of the initial weights included."""
        return super().early_stopping_ids | self._inherited_stopping

    @property
    def trains_on_plain_images(self) -> bool:
        """Whether training images are the same in every pass, so that their features can be cached."""
        return self.augmentation is None and self.settings.mode != "crops"

    def inherit_provenance(self, weights: Path) -> None:
        """Add the data provenance of the initial ``weights`` to that of this training.

        Raises:
            ProvenanceError: if the weights were trained on images that this training must not see.
        """
        pictures = picture_digests(self.images, self.images.image_ids)
        self._provenance = Provenance.read(weights)
        self._inherited_labels, self._inherited_stopping = find_inherited_ids(
            weights, self._provenance, pictures, self.split
        )
        if not self._provenance.is_complete:
            self.notes.append(UNKNOWN)
        if others := self._provenance.trained_on.difference(pictures.values()):
            self.notes.append(f"starts from weights that were trained on {len(others)} images of other data")

    def count_labels(self, image_ids: Iterable[str]) -> None:
        """Count the labels of ``image_ids`` as seen in training: a model that prepared its inputs has learned them."""
        self._inherited_labels.update(image_ids)

    def provenance(self) -> Provenance:
        """Data provenance of the trained weights, for the header of their file."""
        train, val = (picture_digests(self.images, ids).values() for ids in (self.train_ids, self.val_ids))
        return self._provenance | Provenance(frozenset(train), frozenset(val))

    def run(self, training: Training) -> None:
        """Train ``training``, or record that it is used zero-shot, and write all results."""
        self.notes += training.notes
        if training.loss is None:
            self._finish_zero_shot(training)
            return
        origin = str(sorted(training.origin.items()))
        device = resolve_device()
        # Steps in one arithmetic are not continued in another, as on a GPU without bf16.
        arithmetic = f"{resolve_precision(self.settings.precision)} {device.type}"
        with self.open_state(origin, arithmetic, *training.fingerprint) as (state, trackers):
            devices = note_device(state, device_name(device))
            data = TrainingData(self.name, self.train, self.val, self.classes)
            result = fit(training, data, self.settings, state, trackers.log_row, self.runtime)
            for name in training.folders:
                replace_folder(state / name, self.files.folder / name)
            self._finish(training, result, devices, trackers)

    def _finish(self, training: Training, result: Fit, devices: list[str], trackers: Trackers) -> None:
        """Write weights, pictures, history.csv and, last, run.json."""
        folder = self.files.folder
        weights = self._write_weights(training, result.weights)
        pictures = write_pictures(result.extremes, self.val, folder / "samples")
        write_text(folder / "history.csv", csv_text(result.history))
        facts = fit_facts(result, self.settings) | {
            "labels_of_init_from": sorted(self.labelled_ids.difference(self.train_ids)),
            "devices": devices,
            "problems": find_problems(result.history, self.settings.monitor, dict(self.settings)),
        }
        record = self._network_record(training, weights, facts)
        trackers.finish(record, pictures)
        self.write_record(record)
        print(f"{self.name}: best at step {result.best_step} of {result.steps}, {result.train_seconds:.0f} s")

    def _finish_zero_shot(self, training: Training) -> None:
        self._write_weights(training, {})
        write_text(self.files.folder / "history.csv", "epoch,step\n")
        facts = {"steps": 0, "train_seconds": 0.0, "zero_shot": True}
        # The base weights are those of the model: none were trained.
        base = required(self.files.base, "--base")
        self.write_record(self._network_record(training, base, facts))
        print(f"{self.name}: nothing to train")

    def _write_weights(self, training: Training, checkpoints: Mapping[str, Mapping[str, torch.Tensor]]) -> Path:
        if training.base_sha256 is None:
            return write_checkpoints(self.files.folder, checkpoints, self.provenance().metadata())
        names = trained_tensors(training.network).keys()
        return write_checkpoints(self.files.folder, checkpoints, {"base_sha256": training.base_sha256}, names)

    def _network_record(self, training: Training, weights: Path, facts: Mapping[str, Any]) -> dict[str, Any]:
        return self.record(
            in_channels=self.in_channels,
            device=device_name(resolve_device()),
            **parameter_facts(training.network),
            **file_facts(weights),
            **(dict(training.origin) | dict(training.facts) | dict(facts)),
        )


def train_network(
    settings_class: type[TrainSettings],
    build_training: Callable[[Any, NetworkJob], Training],
    description: str,
    argv: Sequence[str] | None = None,
) -> None:
    """The command of a family's training script: parse, build, train, write.

    ``build_training`` is the family's :class:`defectbench.families.contract.BuildTraining`; ``description`` begins the
    text of --help.
    """
    files = parse_training_files(f"{description.rstrip()}\n{RESULTS}", argv)
    settings = settings_class.read(files.settings)
    if files.init_from:
        settings = settings.model_copy(update={"init_from": files.init_from})
    job = NetworkJob(files, settings)
    job.run(build_training(settings, job))


def replace_folder(source: Path, target: Path) -> None:
    """Replace the folder ``target`` by a copy of ``source``, which appears only when it is complete."""
    with atomic_folder(target) as beside:
        shutil.copytree(source, beside, dirs_exist_ok=True)
        shutil.rmtree(target, ignore_errors=True)
