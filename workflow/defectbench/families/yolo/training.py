"""Training of a YOLO network by ultralytics, from packed images and converted labels to weights and record.

Ultralytics' checkpoints do not suffice to resume exactly: a killed training starts over, with the same result.
"""

import importlib.metadata
import json
import shutil
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd
import torch
from safetensors.torch import load_file

from defectbench.config.base import MERGED
from defectbench.config.families.yolo import YoloSettings
from defectbench.data.tables import csv_text
from defectbench.data.yolo_labels import write_dataset
from defectbench.files import write_text
from defectbench.inference.memory import peak_memory_bytes
from defectbench.inference.network import device_name
from defectbench.models.adapters import read_tensors
from defectbench.models.checkpoint_files import write_checkpoints
from defectbench.script import required
from defectbench.training.files import TrainingFiles, parse_training_files
from defectbench.training.job import Job
from defectbench.training.outcome import find_problems
from defectbench.training.run_record import file_facts, parameter_facts
from defectbench.training.trackers import Trackers
from defectbench.training.validation import Evaluation

if TYPE_CHECKING:
    from defectbench.families.yolo.ultralytics_training import Trained


def train_yolo(description: str, argv: Sequence[str] | None = None) -> None:
    """The command of the training script; ``description`` is the text of --help."""
    files = parse_training_files(description, argv)
    # Ultralytics is an extra: its absence becomes a message before anything is read.
    from defectbench.families.yolo import network  # noqa: F401

    YoloJob(files, YoloSettings.read(files.settings)).run()


class YoloJob(Job):
    """A training by ultralytics."""

    settings: YoloSettings

    def __init__(self, files: TrainingFiles, settings: YoloSettings) -> None:
        """Read the labels and, for ``weights: coco``, the published weights named in ``files``."""
        super().__init__(files, settings)
        self.labels_file = required(files.labels, "--labels")
        self.base = required(files.base, "--base") if settings.weights == "coco" else None

    def run(self) -> None:
        """Train from the first step, and write all results."""
        # Here, because ultralytics is an extra.
        from defectbench.families.yolo import ultralytics_training
        from defectbench.families.yolo.network import read_weights

        settings, classes = self.settings, self.classes
        precision = ultralytics_training.resolve_precision(settings.precision)
        coco = read_weights(self.base) if self.base else None
        inputs = [path.read_bytes() for path in (self.labels_file, self.base) if path]
        with self.open_state(*inputs) as (state, trackers):
            self._clear(state, ultralytics_training.FOLDER)
            data = self._write_images(state / "data")
            about = (self.name, settings, classes, len(self.train_ids))
            how = (precision, self.runtime, trackers.log_row, coco)
            result = ultralytics_training.train(*about, data, state, *how)
            self._finish(result, precision, trackers)

    def _clear(self, state: Path, folder: str) -> None:
        """Remove the files of an interrupted training from ``state``, with a message."""
        if not (state / "data").exists():
            return
        print(f"{self.name}: an interrupted training; YOLO starts over from step 0, with the same result")
        for leftover in ("data", folder):
            shutil.rmtree(state / leftover, ignore_errors=True)

    def _write_images(self, folder: Path) -> Path:
        """Write images and labels as ultralytics reads them; return the path of data.yaml."""
        started = time.perf_counter()
        labels = pd.read_parquet(self.labels_file).set_index("image_id")["label"].to_dict()
        ids = {"train": self.train_ids, "val": self.val_ids}
        data = write_dataset(folder, self.images, labels, ids, self.classes, self.settings.threads)
        print(f"{self.name}: images and labels written in {time.perf_counter() - started:.1f} s")
        return data

    def _origin(self) -> dict[str, Any]:
        """Origin of the initial weights, for the run record."""
        if self.base is None:
            return {"weights_source": "random"}
        _, header = read_tensors(self.base)
        return {"weights_source": "coco", "published_weights": json.loads(header["origin"])}

    def _finish(self, result: "Trained", precision: str, trackers: Trackers) -> None:
        """Write weights, history.csv and, last, run.json."""
        checkpoints = {name: load_file(path) for name, path in result.weights.items()}
        weights = write_checkpoints(self.files.folder, checkpoints)
        write_text(self.files.folder / "history.csv", csv_text(result.history))
        scores = {} if self.settings.is_detector else self._val_scores(next(iter(checkpoints.values())), result)
        facts = training_facts(self.settings, result, self.masks.has_ignored) | self._origin() | file_facts(weights)
        facts["notes"] = self.notes + facts["notes"]
        record = self.record(in_channels=3, precision=precision, val_scores=scores, **facts)
        trackers.finish(record)
        self.write_record(record)
        print(f"{self.name}: best at step {result.best_step} of {record['steps']}, {record['train_seconds']:.0f} s")

    def _val_scores(self, best: dict[str, torch.Tensor], result: "Trained") -> dict[str, float | None]:
        """Metrics of the maps of the ``best`` weights on val, as the other families have them in their history."""
        from defectbench.families.yolo.network import YoloPredictor, build_network, load_weights

        network = build_network(self.settings, self.classes)
        load_weights(network, best, "the best weights")
        device = next(result.network.parameters()).device
        predictor = YoloPredictor(network, self.settings, len(self.classes), device)
        evaluation = Evaluation(self.classes)
        for image_id in self.val_ids:
            truth = self.masks.read_marked(image_id, merged=self.settings.task == MERGED)
            evaluation.add(predictor.predict_maps(self.images[image_id]), truth)
        return evaluation.metrics()


def training_facts(settings: YoloSettings, result: "Trained", has_ignored: bool) -> dict[str, Any]:
    """Facts of the run record about a training by ultralytics."""
    from defectbench.families.yolo import ultralytics_training as ultralytics

    last = result.history.iloc[-1]
    return {
        "loss": ultralytics.LOSS,
        "monitor": ultralytics.FITNESS,
        "optimizer": "adamw",
        "gradient_clip": ultralytics.GRADIENT_CLIP,
        "ultralytics": {"version": importlib.metadata.version("ultralytics"), "options": result.options},
        "notes": ultralytics.describe_training(settings, result.batch_size, has_ignored),
        "problems": find_problems(result.history, "fitness", dict(settings)),
        "steps": int(last["step"]),
        "images_seen": int(last["images_seen"]),
        "best_step": result.best_step,
        "evaluations": len(result.history),
        "train_seconds": float(result.history["epoch_time"].sum()),
        "peak_memory_train_bytes": peak_memory_bytes(),
        "device": device_name(next(result.network.parameters()).device),
        **parameter_facts(result.network.model),
    }
