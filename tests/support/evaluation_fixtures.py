"""A tiny dataset with predictions, written as the real stages write them."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from defectbench.config.base import MERGED
from defectbench.data.manifest import Manifest, read_manifest, write_manifest
from defectbench.data.rle import encode_coco
from defectbench.evaluation.truth import HeldOutData, Truth, ValidationData, read_truth
from defectbench.files import write_json
from defectbench.inference.prediction_file import PredictionFile, PredictionHeader, write_predictions
from defectbench.metrics.codes import codes_from_logits

CLASSES = ("pits", "cracks")
SIZES = ((12, 16), (9, 20))


@dataclass
class Dataset:
    """Manifest and split on disk, with the masks (C, H, W) bool they were made of."""

    folder: Path
    truth: dict[str, dict[str, np.ndarray]]
    """role -> image id -> masks"""
    classes: tuple[str, ...] = CLASSES

    @property
    def manifest(self) -> Path:
        return self.folder / "manifest.parquet"

    @property
    def split(self) -> Path:
        return self.folder / "split.csv"

    def read(self) -> Truth:
        return read_truth(self.manifest, self.split)

    def predict(self, role: str, maps: dict[str, np.ndarray], classes=(MERGED,), has_scores=True, name=None) -> Path:
        """Write codes (C, H, W) per image as a prediction file."""
        path = self.folder / f"{name or role}.pred.parquet"
        with write_predictions(path, PredictionHeader(role, classes, has_scores)) as writer:
            for image_id, codes in maps.items():
                writer.add(image_id, codes)
        return path

    def predict_both(self, maps: dict[str, dict[str, np.ndarray]], **header) -> tuple[ValidationData, HeldOutData]:
        val, test = (self.predict(role, maps[role], **header) for role in ("val", "test"))
        truth = self.read()
        return ValidationData(PredictionFile(val), truth), HeldOutData(PredictionFile(test), truth)


def make_dataset(folder: Path, truth: dict[str, dict[str, np.ndarray]], classes=CLASSES) -> Dataset:
    """Write manifest.parquet and split.csv for the given masks."""
    folder.mkdir(parents=True, exist_ok=True)
    images = [(role, image_id, masks) for role, of_role in truth.items() for image_id, masks in of_role.items()]
    frame = pd.DataFrame(
        {
            "image_id": image_id,
            "path": f"images/{image_id}",
            "height": masks.shape[1],
            "width": masks.shape[2],
            "channels": 1,
            "stored_as": "grey 8-bit",
            "sha256": f"{index:064x}",
            "phash": pd.NA,
            "group": image_id,
            "rle": [encode_coco(mask) for mask in masks],
            "area": [int(mask.sum()) for mask in masks],
        }
        for index, (_, image_id, masks) in enumerate(images)
    ).astype({"phash": "UInt64"})
    values = tuple(range(1, len(classes) + 1))
    write_manifest(folder / "manifest.parquet", Manifest(frame, "tiny", tuple(classes), values, 0))
    split = pd.DataFrame([(i, role, f"g_{i}") for role, i, _ in images], columns=["image_id", "role", "group"])
    split.to_csv(folder / "split.csv", index=False)
    return Dataset(folder, truth, tuple(classes))


def ignore(dataset: Dataset, ignored: dict[str, np.ndarray]) -> Dataset:
    """Write ``ignored``, (H, W) bool by image id, into the manifest of ``dataset``."""
    manifest = read_manifest(dataset.manifest)
    frame = manifest.frame
    codes = [[*rle, encode_coco(ignored[i])] for i, rle in zip(frame["image_id"], frame["rle"], strict=True)]
    manifest = type(manifest)(frame.assign(rle=codes), "tiny", manifest.class_names, manifest.class_values, 0)
    write_manifest(dataset.manifest, manifest)
    return dataset


def random_truth(seed: int = 0, n: int = 7, classes: int = 2) -> dict[str, dict[str, np.ndarray]]:
    """Masks of n images per role; of every role one image in three is clean."""
    rng = np.random.default_rng(seed)
    truth = {}
    for role in ("train", "val", "test"):
        truth[role] = {}
        for index in range(n):
            masks = rng.random((classes, *SIZES[index % 2])) < (0.25 * (index % 3))
            truth[role][f"{role}_{index}.png"] = masks
    return truth


def noisy_codes(masks: np.ndarray, rng: np.random.Generator, shift: float = -1.0) -> np.ndarray:
    """Codes of logits that are higher on the masks; off the centre, so that 0.5 is not the best threshold."""
    return codes_from_logits(rng.normal(2.5 * masks + shift, 1.0))


def noisy_maps(truth: dict, merged: bool, seed: int = 1) -> dict[str, dict[str, np.ndarray]]:
    """Codes for the val and test images of :func:`random_truth`."""
    rng = np.random.default_rng(seed)
    return {
        role: {
            image_id: noisy_codes(masks.any(axis=0, keepdims=True) if merged else masks, rng)
            for image_id, masks in truth[role].items()
        }
        for role in ("val", "test")
    }


def constant_maps(truth: dict, code: int) -> dict[str, dict[str, np.ndarray]]:
    """The same code everywhere, as a map of any defect."""
    return {
        role: {image_id: np.full((1, *masks.shape[1:]), code, np.uint16) for image_id, masks in truth[role].items()}
        for role in ("val", "test")
    }


def write_run(folder: Path, **changes) -> None:
    """Write run.json and timing.json of a finished experiment; ``changes`` replace keys of ``experiment``."""
    experiment = {
        "exp_id": folder.name,
        "dataset": "tiny",
        "family": "unet",
        "model": "unet",
        "variant": "resnet18",
        "subset": "full",
        "prompt_type": "none",
        "img_size": "native",
        "seed": 42,
        "track": "automatic",
        "prompt_source": "none",
    }
    run = {
        "experiment": experiment | changes,
        "settings": {"batch_size": 8, "lr": 1e-4, "wd": 0.05, "steps": None},
        "steps": 120,
        "images_seen": 960,
        "n_labels_train": 7,
        "n_labels_val": 7,
        "params_total": 14_300_000,
        "params_trainable": 14_300_000,
        "weights_bytes": 57_000_000,
        "weights_path": f"runs/tiny/unet/{folder.name}/model/weights.safetensors",
        "weights_sha256": "ab" * 32,
        "train_seconds": 61.5,
        "device": "CPU",
        "finished_at": "2026-11-21T06:00:00+00:00",
        "code_digest": "c0de",
    }
    timing = {
        "avg_inference_time": 0.0125,
        "infer_seconds_total": 0.175,
        "infer_ms_p50": 12.0,
        "infer_ms_p95": 14.0,
        "peak_memory_infer_bytes": None,
        "batch_size": 1,
        "device": "CPU",
        "n_images": 14,
    }
    write_json(folder / "run.json", run)
    write_json(folder / "timing.json", timing)
