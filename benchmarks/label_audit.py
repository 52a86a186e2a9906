"""How many planted label errors does the label audit find?

Paints a synthetic set, falsifies the labels of a tenth of its images (missed, phantom, misnamed and shifted labels in
equal numbers), trains a cross-validated network (or, with --learner pixels, a classifier of single pixels) on the
falsified labels, and reads where the audit ranks them.

    python benchmarks/label_audit.py --folder FOLDER [--learner pixels] [--images 400]

Prints the precision of the first 20 images, the recall of the first tenth (chance: 0.1), and the recall by kind.
"""

import argparse
import subprocess
import warnings
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import yaml
from sklearn.exceptions import ConvergenceWarning
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from defectbench.config.calibrate import CalibrateSettings
from defectbench.config.ingest import SeverstalCsv
from defectbench.config.study import load_study
from defectbench.data.ingest import ingest
from defectbench.data.rle import decode_severstal, encode_severstal
from defectbench.data.splits import make_folds
from defectbench.data.synthetic import CLASSES, load_prior, write_steel
from defectbench.evaluation.calibration import calibrate
from defectbench.evaluation.label_audit import find_regions, judge, rank_images
from defectbench.evaluation.truth import Truth, ValidationData
from defectbench.inference.prediction_file import PredictionFile, PredictionHeader, write_predictions
from defectbench.metrics.codes import codes_from_probabilities

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


def falsify(masks: dict[str, np.ndarray], seed: int) -> dict[str, str]:
    """Falsify the labels of SHARE of the images in place; returns the kind of error of each."""
    rng = np.random.default_rng(seed)
    names = rng.permutation(sorted(masks))
    defective = [name for name in names if masks[name].any()]
    per_kind = round(SHARE * len(masks) / len(KINDS))
    planted: dict[str, str] = {}
    for kind in KINDS:
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
        moved = cv2.warpAffine(own[c], matrix, SIZE[::-1], flags=cv2.INTER_NEAREST)
        if not moved.any():
            return False
        own[c] = moved
    return True


def network_predictions(args: argparse.Namespace, source: Path) -> pd.DataFrame:
    """label_audit.csv of a cross-validated network, by the workflow itself."""
    experiment = {"model": args.model, "encoder": "resnet18", "task": "per_class", "cv": args.folds, "lr": 0.001}
    experiment |= {"loss": "dice_bce", "batch_size": 8, "steps": args.steps, "eval_every": max(1, args.steps // 4)}
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
    subprocess.run([*command, "--cores", "2", "--resources", "gpu=1", "--quiet", "all", "--", target], check=True)
    return pd.read_csv(args.folder / target)


def pixel_predictions(args: argparse.Namespace, source: Path) -> pd.DataFrame:
    """label_audit.csv of a cross-validated classifier of single pixels: weak, but trained in a minute without a GPU."""
    settings = SeverstalCsv(name="falsified", format="severstal_csv", root=source, classes=NAMES)
    manifest, _ = ingest(settings, args.folder / "found.csv")
    split = manifest.frame[["image_id", "group"]].assign(role="val")
    folds = make_folds(manifest.frame, split, args.folds, args.seed).set_index("image_id")["fold"]
    labels = {row.image_id: manifest.masks(row) for row in manifest.frame.itertuples()}
    features = {name: pixel_features(cv2.imread(str(source / "train_images" / name), 0)) for name in labels}
    maps = {}
    # Fifteen passes are enough here.
    warnings.simplefilter("ignore", ConvergenceWarning)
    for fold in range(args.folds):
        x, y, prior = training_pixels(features, labels, folds[folds != fold].index, args.seed)
        network = MLPClassifier((64, 32), max_iter=15, random_state=args.seed)
        model = make_pipeline(StandardScaler(), network).fit(x, y)
        for name in folds[folds == fold].index:
            p = np.zeros((len(CLASSES) + 1, features[name].shape[1]))
            p[model.classes_] = model.predict_proba(features[name].T).T
            # Pixels of defects were drawn more often than they come.
            p *= prior[:, None]
            p /= p.sum(axis=0)
            smooth = [cv2.GaussianBlur(plane.reshape(SIZE), (0, 0), 1.5) for plane in p[1:]]
            maps[name] = codes_from_probabilities(np.clip(smooth, 0, 1))
        print(f"fold {fold + 1} of {args.folds}", flush=True)
    path = args.folder / "oof.pred.parquet"
    with write_predictions(path, PredictionHeader("val", manifest.class_names, True)) as writer:
        for name in sorted(maps):
            writer.add(name, maps[name])
    data = ValidationData(PredictionFile(path), Truth(manifest, split))
    calibration = calibrate(data, CalibrateSettings())
    return rank_images(judge(find_regions(data, calibration)), data.ids)


def pixel_features(image: np.ndarray) -> np.ndarray:
    """Brightness, contrast and shape around every pixel at several scales, (F, N) float32."""
    grey = image.astype(np.float32)
    found = [grey]
    for sigma in (1, 2, 4, 8, 16):
        blurred = cv2.GaussianBlur(grey, (0, 0), sigma)
        spread = cv2.GaussianBlur((grey - blurred) ** 2, (0, 0), sigma)
        found += [blurred, np.sqrt(spread), grey - blurred]
        found += [cv2.Sobel(blurred, cv2.CV_32F, 1, 0), cv2.Sobel(blurred, cv2.CV_32F, 0, 1)]
    for size in (5, 11):
        kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (size, size))
        found += [cv2.morphologyEx(grey, how, kernel) for how in (cv2.MORPH_TOPHAT, cv2.MORPH_BLACKHAT)]
    return np.stack(found).reshape(len(found), -1)


def training_pixels(
    features: dict[str, np.ndarray], labels: dict[str, np.ndarray], names: pd.Index, seed: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Features (N, F) and classes (N,), 0 for none, of pixels drawn from every image, and pixels per drawn one (C,)."""
    rng = np.random.default_rng(seed)
    x, y, there = [], [], np.zeros(len(CLASSES) + 1)
    for name in names:
        target = (labels[name] * np.arange(1, len(CLASSES) + 1)[:, None, None]).max(axis=0).ravel()
        for value in np.unique(target):
            pixels = np.flatnonzero(target == value)
            drawn = rng.choice(pixels, min(150, len(pixels)), replace=False)
            x.append(features[name][:, drawn].T)
            y.append(target[drawn])
            there[value] += len(pixels)
    y = np.concatenate(y).astype(int)
    return np.concatenate(x), y, there / np.maximum(1, np.bincount(y, minlength=len(there)))


def main() -> None:
    """Paint, falsify, train, audit, compare."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, required=True, help="working folder, kept")
    parser.add_argument("--learner", choices=["network", "pixels"], default="network")
    parser.add_argument("--images", type=int, default=400)
    parser.add_argument("--folds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=300, help="of the network")
    parser.add_argument("--model", default="unet", help="architecture of the network")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()

    source = args.folder / "source"
    prior = load_prior(ROOT / "resources" / "severstal_prior.yaml")
    write_steel(source, prior, n=args.images, seed=args.seed, size=SIZE)
    names = sorted(path.name for path in (source / "train_images").iterdir())
    masks = read_masks(source / "train.csv", names)
    planted = falsify(masks, args.seed)
    rows = [(n, c, encode_severstal(m)) for n in names for c, m in zip(CLASSES, masks[n], strict=True) if m.any()]
    pd.DataFrame(rows, columns=["ImageId", "ClassId", "EncodedPixels"]).to_csv(source / "train.csv", index=False)

    table = {"network": network_predictions, "pixels": pixel_predictions}[args.learner](args, source)
    kind = table["image_id"].map(planted)
    n_wrong, tenth = kind.notna().sum(), len(table) // 10
    print(f"{len(table)} images out of fold, {n_wrong} of them falsified")
    print(f"precision of the first 20: {kind[:20].notna().mean():.2f} (chance {n_wrong / len(table):.2f})")
    print(f"recall of the first {tenth}: {kind[:tenth].notna().sum() / n_wrong:.2f} (chance 0.10)")
    for name in KINDS:
        print(f"  {name}: {(kind[:tenth] == name).sum()} of {(kind == name).sum()}")


if __name__ == "__main__":
    main()
