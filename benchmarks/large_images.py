"""Peak memory and time of each stage on line scans of 12,000 x 16,400 pixels, by the command lines of the rules.

Four grey images with run-length labels, and four in colour with mask files. The network, which predicts by tiles, is
the fastest of the CNNs and has random weights: memory does not depend on them. Thresholds are calibrated, and scores
counted, on maps of a plausible network, which are written beside the predicted ones. A stage's own memory is told apart
from the pages of packs that are mapped into memory, which the system takes back when it needs them.
"""

import argparse
import csv
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import cv2
import numpy as np
import yaml
from safetensors.torch import save_file

from defectbench.config.base import MERGED
from defectbench.config.families.unet import UNetSettings
from defectbench.data.rle import encode_severstal
from defectbench.evaluation.truth import read_truth
from defectbench.families.unet.network import UNet
from defectbench.inference.prediction_file import PredictionHeader, write_predictions
from defectbench.metrics.codes import codes_from_logits

SCRIPTS = Path(__file__).parents[1] / "workflow" / "scripts"
CLASSES = {1: "pits", 2: "scratches"}
SETTINGS = {"model": "pspnet", "encoder": "tu-test_resnet", "prediction": "tiles", "mode": "crops", "crop": "512x512"}
ROLES = ("train", "train", "val", "test")

STAGES = {
    "ingest": "ingest.py --settings ingest.yaml --threads 4 --manifest manifest.parquet --issues issues.csv "
    "--notes notes.csv",
    "card": "card.py --settings ingest.yaml --manifest manifest.parquet --issues issues.csv --notes notes.csv "
    "--audit audit.csv --card card.md",
    "pack": "pack.py --dataset ingest.yaml --manifest manifest.parquet --out-dir packed --threads 4",
    "pack tiles": "pack_tiles.py --pack packed --tile 512x512 --stride 512 --out-dir packed/tiles",
    "predict by tiles": "predict_unet.py --run run.json --pack packed --split split.csv --weights model.safetensors "
    "--val val.pred.parquet --test test.pred.parquet --timing timing.json",
    "calibrate": "calibrate.py --settings defaults.yaml --predictions val.made.parquet --manifest manifest.parquet "
    "--split split.csv --out calibration.json",
    "score": "score.py --settings defaults.yaml --val val.made.parquet --test test.made.parquet --run run.json "
    "--calibration calibration.json --manifest manifest.parquet --split split.csv --per-image per_image.parquet "
    "--hist hist.parquet --pooled pooled.parquet --components components.parquet --froc froc.parquet "
    "--metrics metrics.json",
}
"""Command line of each stage, in order, in the folder of the data."""


def main() -> None:
    """Make the data, run the stages and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--height", type=int, default=12_000)
    parser.add_argument("--width", type=int, default=16_400)
    parser.add_argument("--folder", type=Path, help="for the data, some 10 GB (default: a temporary one)")
    parser.add_argument("--until", default="score", help="last stage to run (default: %(default)s)")
    parser.add_argument("--task", choices=["merged", "per_class"], default="merged")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=args.folder) as name:
        folder = Path(name)
        print(f"four images of {args.height:,} x {args.width:,}, {args.task}")
        print("| images | stage | own memory | with mapped files | seconds |\n|---|---|---|---|---|")
        for kind in ("grey", "colour"):
            make_images(folder / kind, kind, args.height, args.width)
            make_model(folder / kind, args.task)
            for stage, command in STAGES.items():
                if stage == "calibrate":
                    write_plausible_maps(folder / kind, args.task)
                own, total, seconds = measure(folder / kind, command)
                print(f"| {kind} | {stage} | {own:,} MB | {total:,} MB | {seconds:.0f} |", flush=True)
                if stage == args.until or (kind == "colour" and stage == "pack tiles"):
                    break


def make_images(root: Path, kind: str, height: int, width: int) -> None:
    """Write four noisy images, their labels, and the settings of a dataset of ``kind``."""
    channels = () if kind == "grey" else (3,)
    for folder in ("train_images", "masks"):
        (root / folder).mkdir(parents=True)
    rng = np.random.default_rng(0)
    labels = [("ImageId", "ClassId", "EncodedPixels")]
    for number in range(len(ROLES)):
        image = rng.integers(100, 116, (height, width, *channels), np.uint8)
        mask = np.zeros((height, width), np.uint8)
        for x, y in rng.integers(0, (width, height), (300, 2)).tolist():
            value = int(rng.integers(1, 3))
            radius = int(rng.integers(20, max(21, min(height, width) // 100)))
            cv2.circle(mask, (x, y), radius, value, -1)
            cv2.circle(image, (x, y), radius, (60,) * max(1, len(channels) * 3), -1)
        cv2.imwrite(str(root / "train_images" / f"{number}.png"), image, [cv2.IMWRITE_PNG_COMPRESSION, 1])
        if kind == "grey":
            labels += [(f"{number}.png", str(value), encode_severstal(mask == value)) for value in CLASSES]
        else:
            cv2.imwrite(str(root / "masks" / f"{number}.png"), mask)
    settings = {"name": kind, "root": str(root), "classes": CLASSES}
    if kind == "grey":
        settings |= {"format": "severstal_csv"}
        with (root / "train.csv").open("w", newline="", encoding="utf-8") as file:
            csv.writer(file).writerows(labels)
    else:
        settings |= {"format": "mask_folder", "images_dir": "train_images", "masks_dir": "masks", "mask_kind": "index"}
    (root / "ingest.yaml").write_text(yaml.safe_dump(settings), encoding="utf-8")
    rows = [f"{number}.png,{role},{number}.png" for number, role in enumerate(ROLES)]
    (root / "split.csv").write_text("\n".join(["image_id,role,group", *rows]) + "\n", encoding="utf-8")


def make_model(folder: Path, task: str) -> None:
    """Write a run record, weights, and settings that are all defaults."""
    settings = UNetSettings.model_validate({**SETTINGS, "task": task, "threads": 1})
    classes = ["merged"] if task == "merged" else [*CLASSES.values()]
    record = {"settings": settings.model_dump(mode="json"), "in_channels": 1, "classes": classes}
    record["experiment"] = {"exp_id": "large", "track": "auto"}
    (folder / "run.json").write_text(json.dumps(record), encoding="utf-8")
    (folder / "defaults.yaml").write_text("{}\n", encoding="utf-8")
    save_file(UNet(settings, 1, len(classes)).state_dict(), folder / "model.safetensors")


def write_plausible_maps(folder: Path, task: str) -> None:
    """Write maps of val and test: logits of 5 in defects, -5 elsewhere, blurred, with noise that makes false alarms."""
    truth = read_truth(folder / "manifest.parquet", folder / "split.csv")
    classes = (MERGED,) if task == "merged" else truth.class_names
    rng = np.random.default_rng(1)
    for role in ("val", "test"):
        with write_predictions(folder / f"{role}.made.parquet", PredictionHeader(role, classes, True)) as writer:
            for image_id in truth.ids(role):
                masks = truth.masks(image_id, classes)
                codes = np.empty(masks.shape, np.uint16)
                for plane, mask in zip(codes, masks, strict=True):
                    logits = cv2.blur(np.where(mask, np.float32(5), np.float32(-5)), (21, 21))
                    noise = rng.normal(scale=2, size=[side // 8 for side in mask.shape]).astype(np.float32)
                    logits += cv2.resize(noise, mask.shape[::-1])
                    for rows in range(0, len(mask), 1000):
                        plane[rows : rows + 1000] = codes_from_logits(logits[rows : rows + 1000])
                writer.add(image_id, codes)


def measure(folder: Path, command: str) -> tuple[int, int, float]:
    """Run a script's ``command`` in ``folder``; largest anonymous and whole resident memory, MB, and seconds."""
    script, *options = command.split()
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(SCRIPTS.parent)}
    call = [sys.executable, str(SCRIPTS / script), *options]
    started = time.monotonic()
    with subprocess.Popen(call, cwd=folder, stdout=subprocess.DEVNULL, env=environment) as process:
        status = Path(f"/proc/{process.pid}/status")
        own = total = 0
        while process.poll() is None:
            fields = dict(line.split(":", 1) for line in status.read_text(encoding="ascii").splitlines())
            if "RssAnon" in fields:  # not while it ends
                own = max(own, int(fields["RssAnon"].split()[0]))
                total = max(total, int(fields["VmHWM"].split()[0]))
            time.sleep(0.02)
    if process.returncode:
        raise SystemExit(f"{command}: exit status {process.returncode}")
    return own // 1000, total // 1000, time.monotonic() - started


if __name__ == "__main__":
    main()
