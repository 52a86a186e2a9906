"""How many planted label errors does the label audit find?

Paints a synthetic set, falsifies the labels of a tenth of its images (missed, phantom, misnamed and shifted labels in
equal numbers), trains a cross-validated network on the falsified labels, and reads where the audit ranks them. With
--experiment no network is trained: the val and test labels of a finished experiment are falsified instead.

    python benchmarks/label_audit.py --folder FOLDER [--images 1000]
    python benchmarks/label_audit.py --folder FOLDER --experiment runs/steel_demo/unet/EXP_ID

Prints the precision of the first 20 images, the recall of the first tenth (chance: 0.1), and the recall by kind.
"""

import argparse
import subprocess
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import yaml

from defectbench.config.base import MERGED
from defectbench.config.calibrate import CalibrateSettings
from defectbench.config.study import load_study
from defectbench.data.manifest import Manifest, read_manifest
from defectbench.data.rle import decode_severstal, encode_coco, encode_severstal
from defectbench.data.synthetic import CLASSES, load_prior, write_steel
from defectbench.evaluation.calibration import calibrate
from defectbench.evaluation.label_audit import find_regions, judge, rank_images
from defectbench.evaluation.truth import Truth, ValidationData
from defectbench.inference.prediction_file import PredictionFile, write_predictions

ROOT = Path(__file__).resolve().parents[1]
SIZE = (64, 384)
KINDS = ("missed label", "phantom label", "wrong class", "shifted outline")
SHARE = 0.1
NAMES = {1: "pits", 2: "cracks", 3: "scratches", 4: "patches"}


def read_masks(path: Path, names: list[str]) -> dict[str, np.ndarray]:
    """Masks (C, H, W) uint8 of each image, from Severstal's table."""
    masks = {name: np.zeros((len(CLASSES), *SIZE), np.uint8) for name in names}
    for row in pd.read_csv(path).itertuples():
        masks[row.ImageId][CLASSES.index(row.ClassId)] = decode_severstal(row.EncodedPixels, *SIZE)
    return masks


def falsify(masks: dict[str, np.ndarray], seed: int, kinds: Sequence[str] = KINDS) -> dict[str, str]:
    """Falsify the labels of SHARE of the images in place; returns the kind of error of each."""
    rng = np.random.default_rng(seed)
    names = rng.permutation(sorted(masks))
    defective = [name for name in names if masks[name].any()]
    per_kind = round(SHARE * len(masks) / len(kinds))
    planted: dict[str, str] = {}
    for kind in kinds:
        for name in names:
            if sum(k == kind for k in planted.values()) == per_kind:
                break
            if name not in planted and _falsify(masks, name, kind, defective, rng):
                planted[name] = kind
    return planted


def _falsify(
    masks: dict[str, np.ndarray], name: str, kind: str, defective: list[str], rng: np.random.Generator
) -> bool:
    """Plant one error of ``kind`` in an image; False if it has no label to falsify."""
    own = masks[name]
    present = np.flatnonzero(own.any(axis=(1, 2)))
    if kind == "phantom label":
        # The label of another image, where this one has nothing.
        foreign = masks[rng.choice(defective)]
        if own.any() or not foreign.any():
            return False
        own[:] = foreign
        return True
    if not len(present):
        return False
    c = rng.choice(present)
    if kind == "missed label":
        own[c] = 0
    elif kind == "wrong class":
        other = rng.choice([k for k in range(len(own)) if k != c])
        own[other] |= own[c]
        own[c] = 0
    else:
        # By most of its own size: half of the defect, or more, is outside the label.
        rows, columns = (np.flatnonzero(own[c].any(axis=axis)) for axis in (1, 0))
        extent = np.array([columns[-1] - columns[0] + 1, rows[-1] - rows[0] + 1])
        shift = np.clip(0.6 * extent, 4, 40) * rng.choice([-1, 1], 2)
        matrix = np.float64([[1, 0, shift[0]], [0, 1, shift[1]]])
        moved = cv2.warpAffine(own[c], matrix, own[c].shape[::-1], flags=cv2.INTER_NEAREST)
        if not moved.any():
            return False
        own[c] = moved
    return True


def network_table(args: argparse.Namespace, source: Path) -> pd.DataFrame:
    """label_audit.csv of a cross-validated network, by the workflow itself."""
    experiment = {"model": "unet", "encoder": "resnet18", "task": "per_class", "cv": args.folds, "lr": 0.001}
    experiment |= {"loss": "dice_bce", "augment": "steel", "steps": args.steps, "eval_every": max(1, args.steps // 4)}
    experiment |= {"threads": 1}
    config = {
        "study": "audit",
        "dataset": {"name": "falsified", "format": "severstal_csv", "root": str(source.resolve()), "classes": NAMES},
        "split": {"train": 0.85, "val": 0.1, "test": 0.05, "n_folds": args.folds},
        "experiments": [experiment],
    }
    path = args.folder / "audit.yaml"
    path.write_text(yaml.safe_dump(config))
    exp_id = load_study(config).experiments[0].exp_id
    target = f"runs/falsified/unet/{exp_id}/label_audit/label_audit.csv"
    command = ["snakemake", "--snakefile", ROOT / "Snakefile", "--directory", args.folder, "--configfile", path]
    subprocess.run([*command, "--cores", "2", "--resources", "gpu=2", "--quiet", "all", "--", target], check=True)
    return pd.read_csv(args.folder / target)


def held_out_table(manifest: Manifest, path: Path) -> pd.DataFrame:
    """label_audit.csv of given predictions, beside the labels of ``manifest``."""
    split = manifest.frame[["image_id", "group"]].assign(role="val")
    data = ValidationData(PredictionFile(path), Truth(manifest, split))
    calibration = calibrate(data, CalibrateSettings(objective="f1"))
    return rank_images(judge(find_regions(data, calibration)), data.ids)


def held_out(args: argparse.Namespace) -> None:
    """Falsify the val and test labels of a finished experiment, which its network never saw, several times."""
    manifest = read_manifest(args.experiment.parents[1] / "manifest.parquet")
    files = [PredictionFile(args.experiment / f"{role}.pred.parquet") for role in ("val", "test")]
    maps = {image_id: codes for file in files for image_id, codes in file}
    path = args.folder / "held_out.pred.parquet"
    with write_predictions(path, replace(files[0].header, role="val")) as writer:
        for image_id in sorted(maps):
            writer.add(image_id, maps[image_id])
    frame = manifest.frame[manifest.frame["image_id"].isin(maps)]
    kinds = KINDS if files[0].header.classes != (MERGED,) else [kind for kind in KINDS if kind != "wrong class"]
    found = []
    for seed in range(args.repeats):
        masks = {row.image_id: manifest.masks(row) for row in frame.itertuples()}
        planted = falsify(masks, seed, kinds)
        labels = frame.assign(rle=[[encode_coco(mask) for mask in masks[i]] for i in frame["image_id"]])
        kind = held_out_table(replace(manifest, frame=labels), path)["image_id"].map(planted)
        parts = [kind.notna()[: round(share * len(kind))] for share in (0.05, 0.1)]
        found.append((parts[0].mean(), parts[1].sum() / len(planted)))
    precision, recall = np.mean(found, axis=0)
    print(f"{len(maps)} held-out images, {len(planted)} of them falsified, {args.repeats} times; means:")
    print(f"precision of the first 5 %: {precision:.2f}, recall of the first 10 %: {recall:.2f}")


def main() -> None:
    """Paint, falsify, train, audit, compare."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, required=True, help="working folder, kept")
    parser.add_argument("--experiment", type=Path, help="instead of training: a finished experiment on synthetic steel")
    parser.add_argument("--repeats", type=int, default=10, help="with --experiment: how often labels are falsified")
    parser.add_argument("--images", type=int, default=1000)
    parser.add_argument("--folds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=800, help="of each fold's network")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    if args.experiment:
        args.folder.mkdir(parents=True, exist_ok=True)
        held_out(args)
        return

    source = args.folder / "source"
    prior = load_prior(ROOT / "resources" / "severstal_prior.yaml")
    write_steel(source, prior, n=args.images, seed=args.seed, size=SIZE)
    names = sorted(path.name for path in (source / "train_images").iterdir())
    masks = read_masks(source / "train.csv", names)
    planted = falsify(masks, args.seed)
    rows = [(n, c, encode_severstal(m)) for n in names for c, m in zip(CLASSES, masks[n], strict=True) if m.any()]
    pd.DataFrame(rows, columns=["ImageId", "ClassId", "EncodedPixels"]).to_csv(source / "train.csv", index=False)

    table = network_table(args, source)
    kind = table["image_id"].map(planted)
    n_wrong, tenth = kind.notna().sum(), len(table) // 10
    print(f"{len(table)} images out of fold, {n_wrong} of them falsified")
    print(f"precision of the first 20: {kind[:20].notna().mean():.2f} (chance {n_wrong / len(table):.2f})")
    print(f"recall of the first {tenth}: {kind[:tenth].notna().sum() / n_wrong:.2f} (chance 0.10)")
    for name in KINDS:
        print(f"  {name}: {(kind[:tenth] == name).sum()} of {(kind == name).sum()}")


if __name__ == "__main__":
    main()
