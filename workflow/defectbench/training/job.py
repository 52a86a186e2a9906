"""What the training scripts of all families of networks but YOLO share: options, images, state and record."""

import argparse
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import lightning as L
import pandas as pd
import torch
from lightning.pytorch.loggers import Logger
from torch import nn

from defectbench.config.base import MERGED
from defectbench.config.identity import ExperimentIdentity
from defectbench.config.prompts import Track
from defectbench.config.train import TrainSettings
from defectbench.files import write_json, write_text
from defectbench.inference.network import device_name
from defectbench.training.arguments import common_parser
from defectbench.training.augmentation import make_augmentation
from defectbench.training.dataset import make_samples
from defectbench.training.fit import Fit, fit_facts
from defectbench.training.origin import UNKNOWN, Seen, inherited, picture_digests
from defectbench.training.run_record import file_facts, images_seen, parameter_facts, run_record
from defectbench.training.samples import write_pictures
from defectbench.training.state import fingerprint, training_state
from defectbench.training.trackers import close_trackers, open_trackers


def training_parser(description: str) -> argparse.ArgumentParser:
    """The options of every script that runs a :class:`TrainingJob`."""
    parser = common_parser(description)
    parser.add_argument("--trackers", type=Path, help="trackers.yaml: who else is told how the training goes")
    parser.add_argument("--tiles", type=Path, help="folder of the packed tiles, for mode pre_crops")
    return parser


class TrainingJob:
    """One call of a training script: what it was asked for, and the images to learn from and to stop by."""

    def __init__(self, args: argparse.Namespace, settings: TrainSettings) -> None:
        """Read the files named in ``args``, of :func:`training_parser`; from here on, chance follows the seed."""
        self.args, self.settings = args, settings
        self.identity = ExperimentIdentity.read(args.identity)
        torch.set_num_threads(settings.threads)
        L.seed_everything(settings.seed, verbose=False)
        self.split = split = pd.read_csv(args.split, dtype=str)
        self.train_ids = pd.read_csv(args.subset, dtype=str)["image_id"].tolist()
        self.val_ids = sorted(split.loc[split["role"] == "val", "image_id"])
        self.augmentation = make_augmentation(settings.augment)
        self.train, self.val = make_samples(
            settings, args.pack, args.tiles, self.train_ids, self.val_ids, self.augmentation
        )
        self.in_channels = self.val.images.channels
        self.classes = (MERGED,) if settings.task == MERGED else self.val.masks.class_names
        # With what the weights that it starts from have seen.
        self.labelled, self.stopped_by = set(self.train_ids), set(self.val_ids)
        self.origin, self.notes = Seen(), list[str]()

    @property
    def name(self) -> str:
        """The experiment's id."""
        return self.identity.exp_id

    def start_from(self, weights: Path) -> None:
        """Count what the file ``weights`` has seen as seen by this training, and its labels in this dataset as used.

        Raises:
            OriginError: if they have seen images that this training must not see.
        """
        images = self.val.images
        pictures = picture_digests(images, images.image_ids)
        self.origin = Seen.read(weights)
        labelled, stopped_by = inherited(weights, self.origin, pictures, self.split)
        self.labelled |= labelled
        self.stopped_by |= stopped_by
        if not self.origin.is_all:
            self.notes.append(UNKNOWN)
        if others := self.origin.learned.difference(pictures.values()):
            self.notes.append(f"starts from weights that learned from {len(others)} images of other data")

    def seen(self) -> Seen:
        """What the weights have seen at the end, for their file."""
        train, val = (picture_digests(self.val.images, ids).values() for ids in (self.train_ids, self.val_ids))
        return self.origin | Seen(frozenset(train), frozenset(val))

    @contextmanager
    def state(self, *parts: str | bytes) -> Iterator[tuple[Path, Sequence[Logger]]]:
        """The folder of this training's state, and the trackers that are told of it.

        The state is taken up again only by a call with the same settings, images, code and ``parts``.
        """
        args = self.args
        files = (path.read_bytes() for path in (args.settings, args.subset, args.split))
        key = fingerprint(*files, self.val.images.digest, args.code_digest, *parts)
        with training_state(args.folder / "state", key) as state:
            yield state, open_trackers(args.trackers, self.identity, self.settings, state)

    def finish(
        self,
        network: nn.Module,
        result: Fit,
        weights: Path,
        loggers: Sequence[Logger],
        track: Track = "automatic",
        prompt_source: str = "none",
        **facts: Any,
    ) -> None:
        """Write pictures, history.csv and, last, run.json; ``weights`` is the file of the best ones."""
        folder = self.args.folder
        pictures = write_pictures(result.extremes, self.val, folder / "samples")
        write_text(folder / "history.csv", result.history.to_csv(index=False))
        facts |= {"n_labels_train": len(self.labelled), "n_labels_val": len(self.stopped_by - self.labelled)}
        facts |= {"labels_of_init_from": sorted(self.labelled.difference(self.train_ids)), "notes": self.notes}
        facts |= images_seen(self.labelled, self.stopped_by) | fit_facts(result, self.settings) | file_facts(weights)
        record = self._record(network, track, prompt_source, facts)
        close_trackers(loggers, record, pictures)
        write_json(folder / "run.json", record)
        print(f"{self.name}: best at step {result.best_step} of {result.steps}, {result.train_seconds:.0f} s")

    def finish_untrained(
        self, network: nn.Module, weights: Path, track: Track, prompt_source: str, **facts: Any
    ) -> None:
        """Record that the ``weights`` are used as they are: zero-shot."""
        folder = self.args.folder
        write_text(folder / "history.csv", "epoch,step\n")
        facts |= {"n_labels_train": 0, "n_labels_val": 0, "steps": 0, "train_seconds": 0.0}
        record = self._record(network, track, prompt_source, facts | file_facts(weights))
        write_json(folder / "run.json", record)
        print(f"{self.name}: nothing to train")

    def _record(self, network: nn.Module, track: Track, prompt_source: str, facts: dict[str, Any]) -> dict[str, Any]:
        return run_record(
            self.identity,
            self.settings,
            track,
            prompt_source,
            classes=self.classes,
            in_channels=self.in_channels,
            device=device_name(torch.device("cuda" if torch.cuda.is_available() else "cpu")),
            code_digest=self.args.code_digest,
            data_digest=self.val.images.digest,
            **parameter_facts(network),
            **facts,
        )
