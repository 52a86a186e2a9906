"""A study of made-up experiments with the files of real ones: for reports of 1, 3 and 60 experiments.

Every model sees the same blobs through noise of its own; weaker models are shifted and noisier. The counts are those of
the maps that are written; boundaries, components and calibration are left at what they need to be read.
"""

import argparse
import hashlib
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet
from evaluation_fixtures import write_run

from defectbench.config.report import OperatingPointsSettings, PairwiseSettings, ResultsSettings
from defectbench.data.manifest import Manifest, write_manifest
from defectbench.data.rle import encode_coco
from defectbench.data.tables import csv_text
from defectbench.data.write_packs import pack_images, pack_masks
from defectbench.evaluation.by_size import by_size
from defectbench.evaluation.operating_points import operating_points
from defectbench.evaluation.pairwise import pairwise_tables
from defectbench.evaluation.results import consolidate, write_results
from defectbench.evaluation.scoring import HISTOGRAMS, PER_IMAGE, POOLED
from defectbench.files import read_json, write_json, write_text
from defectbench.inference.prediction_file import PredictionHeader, write_predictions
from defectbench.metrics.codes import HALF, THRESHOLD_CODES, codes_from_logits
from defectbench.metrics.definitions import METRICS
from defectbench.metrics.histograms import average_precision, coarsen, full_histogram
from defectbench.metrics.image_counts import ImageCounts
from defectbench.metrics.names import all_names, full_name
from defectbench.metrics.shape_metrics import SHAPE_METRICS
from defectbench.metrics.version import METRIC_VERSION

HEIGHT, WIDTH = 32, 96
MODELS = (("unet", "resnet18"), ("unetpp", "resnet34"), ("yolo", "n"), ("sam2", "tiny"), ("sam2_head", "tiny"))
LABELS = (100, 200, 400, 800)
CLASSES = ("pits", "cracks")


@dataclass(frozen=True)
class Study:
    """Where the files are."""

    folder: Path
    experiments: list[Path]

    @property
    def points(self) -> str:
        """Path of the operating points."""
        return str(self.folder / "operating_points.csv")

    @property
    def page_arguments(self) -> list[str]:
        """Arguments of page.py but for plots, captions and the page itself."""
        files = ("results.parquet", "ranks.csv", "pairwise.csv", "issues.csv", "leaks.csv", "split.csv")
        named = [text for file in files for text in (f"--{Path(file).stem}", str(self.folder / file))]
        settings = [
            "--experiments",
            str(self.folder / "results.yaml"),
            "--points",
            self.points,
            "--pack",
            str(self.folder / "packed"),
        ]
        return ["--study", "made_up", *named, *settings]


@dataclass(frozen=True)
class Made:
    """One made-up experiment."""

    family: str
    model: str
    variant: str
    track: str
    labels: int | None
    seed: int
    skill: float


def write_study(
    folder: Path,
    n_experiments: int,
    n_images: int,
    *,
    bare: bool = False,
    classes: tuple[str, str] = CLASSES,
    image_name: str = "strip_{:05d}.png",
) -> Study:
    """Write the data, the experiments and all tables; ``bare`` leaves out what a record may leave out (nulls)."""
    truth = _write_data(folder, n_images, classes, image_name)
    made = _experiments(n_experiments)
    folders = []
    for index, experiment in enumerate(made):
        exp_id = f"{experiment.model}-{experiment.variant}".rstrip("-")
        prompt = "box" if experiment.track == "oracle" else "none"
        exp_id += f"_{experiment.labels or 'full'}_{prompt}_native_s{experiment.seed}"
        folders.append(folder / "experiments" / exp_id)
        _write_experiment(folders[-1], experiment, truth, prompt, index, bare)
    by_seed = [path.name.rpartition("_s") for path in folders]
    seeds = {name: [seed for other, _, seed in by_seed if other == name] for name, _, _ in by_seed}
    names = {f"{name}_s{seed}": f"{name}_s{'+'.join(seeds[name])}" for name, _, seed in by_seed}
    settings = ResultsSettings(experiments=folders, experiment_of=names, bootstrap_draws=200)
    settings.write(folder / "results.yaml")
    results = consolidate(settings)
    write_results(results, folder / "results.csv", folder / "results.parquet")
    tables = pairwise_tables(results, PairwiseSettings(experiments=folders, bootstrap_draws=200))
    for name in ("pairwise", "ranks", "seeds"):
        write_text(folder / f"{name}.csv", getattr(tables, name).to_csv(index=False))
    points = operating_points(OperatingPointsSettings(experiments=folders, bootstrap_draws=200))
    write_text(folder / "operating_points.csv", points.to_csv(index=False))
    return Study(folder, folders)


def _experiments(n: int) -> list[Made]:
    made = []
    n_reference, n_oracle = (0, 0) if n < 4 else (3, max(1, n // 10))
    for index in range(n - n_reference - n_oracle):
        kind, round_ = index % len(MODELS), index // len(MODELS)
        model, variant = MODELS[kind]
        labels, seed = LABELS[::-1][round_ % len(LABELS)], 1 + round_ // len(LABELS)
        skill = 1.4 - 0.25 * kind - 80 / labels
        made.append(Made(model, model, variant, "automatic", labels, seed, skill))
    for index in range(n_oracle):
        made.append(Made("sam2", "sam2", "large", "oracle", LABELS[index % 4], 1 + index // 4, 1.6))
    for index, name in enumerate(("all_empty", "all_full", "tophat_otsu")[:n_reference]):
        made.append(Made("reference", name, "", "reference", None, 42, -0.5 - index))
    return made


def _write_data(folder: Path, n: int, classes: tuple[str, str], image_name: str) -> dict[str, tuple[np.ndarray, str]]:
    """Images, manifest, split and packs; returns masks (C, H, W) bool and group of the test images."""
    rng = np.random.default_rng(0)
    (folder / "images").mkdir(parents=True)
    rows, split, truth = [], [], {}
    for index in range(n):
        image_id, group = image_name.format(index), f"g{index // 3}"
        masks = np.zeros((2, HEIGHT, WIDTH), bool)
        if rng.random() < 0.6:
            centre, axes = (rng.integers(8, WIDTH - 8), rng.integers(6, HEIGHT - 6)), rng.integers(2, 12, 2)
            drawn = cv2.ellipse(
                np.zeros((HEIGHT, WIDTH), np.uint8), [int(v) for v in centre], [int(v) for v in axes], 0, 0, 360, 1, -1
            )
            masks[rng.integers(2)] = drawn > 0
        picture = rng.normal(150 - 50 * masks.any(axis=0), 12).clip(0, 255).astype(np.uint8)
        cv2.imwrite(str(folder / "images" / image_id), picture)
        sha256 = hashlib.sha256((folder / "images" / image_id).read_bytes()).hexdigest()
        common = {"image_id": image_id, "path": f"images/{image_id}", "height": HEIGHT, "width": WIDTH, "group": group}
        labels = {"rle": [encode_coco(mask) for mask in masks], "area": [int(mask.sum()) for mask in masks]}
        rows.append({**common, "channels": 1, "stored_as": "grey 8-bit", "sha256": sha256, "phash": pd.NA, **labels})
        split.append((image_id, "test", group))
        truth[image_id] = (masks, group)
    manifest = Manifest(pd.DataFrame(rows).astype({"phash": "UInt64"}), "made_up", classes, (1, 2), 0)
    write_manifest(folder / "manifest.parquet", manifest)
    pack_images(manifest, folder, folder / "packed")
    pack_masks(manifest, folder / "packed")
    write_text(folder / "split.csv", csv_text(pd.DataFrame(split, columns=["image_id", "role", "group"])))
    write_text(folder / "issues.csv", "file,row,problem\n")
    write_text(folder / "leaks.csv", "dropped_image_id,dropped_role,kept_image_id,kept_role\n")
    return truth


def _write_experiment(folder: Path, made: Made, truth: dict, prompt: str, index: int, bare: bool) -> None:
    rng = np.random.default_rng(index)
    has_scores = made.model not in ("all_empty", "all_full")
    defective_only = made.track == "oracle"
    per_image, histograms, pooled = [], [], np.zeros((2, 65536), np.int64)
    header = PredictionHeader("test", ("merged",), has_scores, defective_only)
    with write_predictions(folder / "test.pred.parquet", header) as writer:
        for image_id, (masks, group) in truth.items():
            mask = masks.any(axis=0)
            if defective_only and not mask.any():
                continue
            codes = _codes(mask, made, rng)
            writer.add(image_id, codes[None])
            full = full_histogram(codes, mask)
            pooled += full
            histograms.append(("test", image_id, "merged", *coarsen(full)[::-1]))
            for policy, cut in (("calibrated", HALF), ("at_0.5", HALF), ("post_processed", HALF + 300)):
                keys = {"image_id": image_id, "group": group, "policy": policy, "max_code": int(codes.max())}
                per_image.append(keys | _counts(mask, codes >= cut))
    rows = pd.DataFrame(per_image).assign(**{"class": "merged"})
    counted = pd.concat([rows.assign(role=role) for role in ("test", "val")])
    pa.parquet.write_table(pa.Table.from_pandas(counted, PER_IMAGE, preserve_index=False), folder / "per_image.parquet")
    table = pa.table([list(column) for column in zip(*histograms, strict=True)], schema=HISTOGRAMS)
    pa.parquet.write_table(table, folder / "hist.parquet")
    seen = np.flatnonzero(pooled.any(axis=0))
    columns = [["test"] * len(seen), ["merged"] * len(seen), seen.astype(np.uint16), *pooled[::-1][:, seen]]
    pa.parquet.write_table(pa.table(columns, schema=POOLED), folder / "pooled_hist.parquet")
    write_json(folder / "metrics.json", _metrics(counted, pooled, has_scores, list(truth)))
    write_json(folder / "calibration.json", _calibration(has_scores))
    _write_record(folder, made, prompt, rng, bare)


def _codes(mask: np.ndarray, made: Made, rng: np.random.Generator) -> np.ndarray:
    if made.model in ("all_empty", "all_full"):
        return np.full(mask.shape, 65535 if made.model == "all_full" else 0, np.uint16)
    seen = np.roll(mask, rng.integers(-2, 3, 2), axis=(0, 1)) if rng.random() > 0.15 + 0.1 * made.skill else mask
    noise = cv2.GaussianBlur(rng.normal(size=mask.shape), (0, 0), 3) * 6
    missed = rng.random() > 0.75 + 0.15 * made.skill
    return codes_from_logits((6 if not missed else 1) * seen - 4 + (1.8 - made.skill) * noise)


def _counts(truth: np.ndarray, prediction: np.ndarray) -> dict[str, int]:
    tp = int((truth & prediction).sum())
    zeros = dict.fromkeys((column for metric in SHAPE_METRICS.values() for column in metric.columns), 0)
    n_truth, n_predicted = int(truth.sum()), int(prediction.sum())
    return {"n_pixels": truth.size, "n_truth": n_truth, "tp": tp, "fp": n_predicted - tp, "fn": n_truth - tp} | zeros


def _metrics(counted: pd.DataFrame, pooled: np.ndarray, has_scores: bool, ids: list[str]) -> dict:
    metrics = dict.fromkeys([*all_names("test"), *all_names("val")])
    for policy, suffix in (("calibrated", ""), ("at_0.5", "_at_0.5"), ("post_processed", "_pp")):
        for role in ("test", "val"):
            rows = counted[(counted["role"] == role) & (counted["policy"] == policy)]
            images = ImageCounts(*(rows[name].to_numpy(np.int64) for name in ("tp", "fp", "fn", "n_pixels")))
            metrics |= {full_name(name, role, suffix): function(images) for name, function in METRICS.items()}
            if (role, suffix) == ("test", ""):
                headline = images
    if headline.defective.all():
        metrics |= dict.fromkeys([name for name in metrics if "dice_all" in name or "clean" in name])
    return metrics | {
        "metric_version": METRIC_VERSION,
        "data_digest": "da7a",
        "test_ids_sha256": hashlib.sha256("".join(ids).encode()).hexdigest() if not headline.defective.all() else "0",
        "n_test": len(headline.tp),
        "n_test_defective": int(headline.defective.sum()),
        "n_val": len(headline.tp),
        "has_scores": has_scores,
        "zero_shot": False,
        "policy": "calibrated",
        "used_val_labels": has_scores,
        "threshold": 0.5,
        "thresholds": {"merged": 0.5},
        "thresholds_calibrated": {"merged": 0.5},
        "post_processing": {"merged": "open 1"} if has_scores else {},
        "AUPRC": average_precision(pooled) if has_scores else None,
        "by_size": by_size(headline),
        "per_class": {},
    }


def _calibration(has_scores: bool) -> dict:
    merged = {"k": 128, "opening": 1, "closing": 0, "fill_holes": False, "min_area": 0, "value": 0.81}
    return {
        "role": "val",
        "objective": "dice_all",
        "has_scores": has_scores,
        "used_val_labels": has_scores,
        "n_images": 10,
        "val_ids_sha256": "0",
        "thresholds": {"merged": 128},
        "threshold": {"merged": 0.5},
        "value": {"merged": 0.8},
        "value_at_half": {"merged": 0.8},
        "curve": {"merged": [0.8] * len(THRESHOLD_CODES)},
        "recall": None,
        "noise_draws": 200,
        "threshold_range": {"merged": [0.4, 0.6] if has_scores else None},
        "value_range": {"merged": [0.7, 0.9] if has_scores else None},
        "post_processed": {"merged": merged} if has_scores else {},
        "candidates": {"merged": {"none": 0.8, "opening 1": 0.81}} if has_scores else {},
    }


def _write_record(folder: Path, made: Made, prompt: str, rng: np.random.Generator, bare: bool) -> None:
    identity = {"dataset": "made_up", "family": made.family, "model": made.model, "variant": made.variant}
    write_run(folder, **identity, seed=made.seed, track=made.track, prompt_type=prompt, subset=made.labels or "full")
    run, timing = read_json(folder / "run.json"), read_json(folder / "timing.json")
    if made.track == "reference":
        run |= {"params_total": 0, "params_trainable": 0, "n_labels_train": 0, "weights_source": None}
    else:
        size = 1 + MODELS.index((made.model, made.variant)) if made.track == "automatic" else 6
        run |= {"params_total": 4_000_000 * size**2, "n_labels_train": made.labels}
        run |= {"weights_source": "random", "versions": {"python": "3.11.7", "torch": "2.15.0"}}
        median = 0.008 * size * rng.uniform(0.9, 1.1)
        timing |= {
            "infer_ms_p50": 1000 * median,
            # A few images waited for other work.
            "avg_inference_time": (1 + 4 * (size == 2)) * median,
            "load": 0.5 + size / 4,
            "peak_memory_infer_bytes": 2 * 10**8 * size,
        }
        steps = np.arange(1, 11) * 100
        values = (0.3 + 0.2 * made.skill) * (1 - np.exp(-steps / 300)) + rng.normal(0, 0.02, 10)
        history = {"epoch": np.arange(10), "step": steps, "train_loss": 1 - values, "val_loss": 1.1 - values}
        history |= {"val_iou_fixed": values, "val_dice_fixed": values + 0.05, "learning_rate": 1e-4}
        pd.DataFrame(history).to_csv(folder / "history.csv", index=False)
    if bare:
        run = {key: run[key] for key in ("experiment", "finished_at")}
        timing = {}
        (folder / "history.csv").unlink(missing_ok=True)
    write_json(folder / "run.json", run)
    write_json(folder / "timing.json", timing)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--experiments", type=int, default=60)
    parser.add_argument("--images", type=int, default=2000)
    parser.add_argument("--bare", action="store_true", help="without what a record may leave out")
    args = parser.parse_args()
    write_study(args.folder, args.experiments, args.images, bare=args.bare)
