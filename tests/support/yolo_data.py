"""Packs, labels and settings files of a small dataset, as the YOLO scripts read them."""

import hashlib
import shutil
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import tifffile
from tiny_packs import options

from defectbench.config.families.yolo import YoloSettings
from defectbench.config.identity import ExperimentIdentity
from defectbench.config.runtime import RuntimeSettings
from defectbench.data.manifest import Manifest, read_manifest, write_manifest
from defectbench.data.rle import encode_coco
from defectbench.data.scaling import Scaling
from defectbench.data.write_packs import pack_images, pack_masks
from defectbench.data.yolo_labels import KINDS, label_table

CLASSES = ("spot", "plate")


def shapes(height: int, width: int, seed: int = 0) -> np.ndarray:
    """Masks (2, height, width) uint8: a turned ellipse on the left, a plate with a hole on the right."""
    rng = np.random.default_rng(seed)
    masks = np.zeros((2, height, width), np.uint8)
    centre = (int(width * rng.uniform(0.24, 0.3)), int(height * rng.uniform(0.45, 0.55)))
    cv2.ellipse(masks[0], centre, (int(width * 0.16), int(height * 0.32)), 20.0, 0, 360, 1, -1)
    top, left = (int(side * rng.uniform(*share)) for side, share in ((height, (0.1, 0.2)), (width, (0.55, 0.6))))
    masks[1, top : top + int(height * 0.7), left : left + int(width * 0.33)] = 1
    masks[1, top + height // 4 : top + height // 3, left + width // 12 : left + width // 6] = 0
    return masks


def picture(masks: np.ndarray, seed: int = 0) -> np.ndarray:
    """Grey image (H, W) uint8 on which the defects of ``masks`` are bright."""
    image = np.random.default_rng(seed).integers(60, 90, masks.shape[1:], dtype=np.uint8)
    image[masks[0] > 0] = 200
    image[masks[1] > 0] = 150
    return image


def write_files(
    root: Path,
    truth: dict[str, np.ndarray],
    roles: dict[str, str],
    ignored: np.ndarray | None = None,
    shown: dict[str, np.ndarray] | None = None,
) -> None:
    """Write manifest, packs, split, subset (all train images) and all kinds of labels of ``truth`` below ``root``.

    Pixels of ``ignored``, (H, W) bool, are ignored in images of its size, and none in others; areas do not count them.
    The images show the masks ``shown``, by default the truth.
    """
    rows = []
    (root / "source").mkdir(parents=True)
    for index, (image_id, masks) in enumerate(truth.items()):
        path = root / "source" / image_id
        cv2.imwrite(str(path), picture((shown or truth)[image_id], index))
        row = {"image_id": image_id, "path": image_id, "height": masks.shape[1], "width": masks.shape[2]}
        row |= {"channels": 1, "sha256": hashlib.sha256(path.read_bytes()).hexdigest(), "group": image_id}
        void = [] if ignored is None else [ignored if ignored.shape == masks[0].shape else 0 * masks[0]]
        decided = masks * np.all([plane == 0 for plane in void], axis=0)
        row |= {"stored_as": "grey 8-bit", "phash": index, "area": decided.sum(axis=(1, 2)).tolist()}
        rows.append(row | {"rle": [encode_coco(plane) for plane in (*masks, *void)]})
    manifest = Manifest(pd.DataFrame(rows), "toy", CLASSES, (1, 2), 0)
    write_manifest(root / "manifest.parquet", manifest)
    pack_images(manifest, root / "source", root / "packed")
    pack_masks(manifest, root / "packed")
    for kind in KINDS:
        label_table(manifest, kind).to_parquet(root / f"{kind}.parquet", index=False)
    split = pd.DataFrame({"image_id": list(roles), "role": list(roles.values()), "group": list(roles)})
    split.to_csv(root / "split.csv", index=False)
    split.loc[split["role"] == "train", ["image_id"]].to_csv(root / "subset.csv", index=False)


def write_noisy_copy(root: Path, copy: Path, roles: dict[str, str]) -> Path:
    """Copy the dataset in ``root``, with noise in place of the truth of its test images; returns ``copy``."""
    shutil.copytree(root, copy)
    manifest, rng = read_manifest(copy / "manifest.parquet"), np.random.default_rng(0)
    frame = manifest.frame.copy()
    for place, row in enumerate(manifest.frame.itertuples(index=False)):
        if roles[row.image_id] == "test":
            masks = rng.random((len(row.rle), row.height, row.width)) < 0.1
            frame.at[place, "rle"] = [encode_coco(mask) for mask in masks]
            frame.at[place, "area"] = masks.sum(axis=(1, 2)).tolist()
    noisy = Manifest(frame, manifest.dataset, manifest.class_names, manifest.class_values, 0)
    write_manifest(copy / "manifest.parquet", noisy)
    pack_images(noisy, copy / "source", copy / "packed")
    pack_masks(noisy, copy / "packed")
    for kind in KINDS:
        label_table(noisy, kind).to_parquet(copy / f"{kind}.parquet", index=False)
    return copy


def write_deep_copy(root: Path, copy: Path, places: tuple[int, ...]) -> Path:
    """Copy the dataset in ``root``, its grey images 16 bits deep, in the ``places`` of five channels; returns ``copy``.

    The other channels are noise. Limits of scaling are those of 16 bits.
    """
    shutil.copytree(root, copy)
    manifest, rng = read_manifest(copy / "manifest.parquet"), np.random.default_rng(0)
    digests = []
    for row in manifest.frame.itertuples(index=False):
        path = copy / "source" / row.path
        image = rng.integers(0, 65536, (row.height, row.width, 5), dtype=np.uint16)
        image[..., places] = 257 * cv2.imread(str(path), cv2.IMREAD_GRAYSCALE)[..., None].astype(np.uint16)
        tifffile.imwrite(path, image, photometric="minisblack", planarconfig="contig")
        digests.append(hashlib.sha256(path.read_bytes()).hexdigest())
    frame = manifest.frame.assign(sha256=digests, channels=5, stored_as="5 channels 16-bit")
    pack_images(replace(manifest, frame=frame), copy / "source", copy / "packed")
    scaling = Scaling("uint16", (0.0,) * 5, (65535.0,) * 5, (0.0,) * 5, (1.0,) * 5, 6, None)
    scaling.write(copy / "packed" / "scaling.json")
    return copy


def write_experiment(folder: Path, settings: YoloSettings, runtime: dict | None = None) -> None:
    """Write the settings files of an experiment."""
    settings.write(folder / "train.yaml")
    RuntimeSettings(**(runtime or {})).write(folder / "runtime.yaml")
    named = {
        "exp_id": "x",
        "dataset": "toy",
        "family": "yolo",
        "model": settings.model,
        "variant": settings.traits.variant,
    }
    rest = {"subset": "full", "prompt_type": "none", "img_size": settings.img_size, "seed": settings.seed}
    ExperimentIdentity(**named, **rest).write(folder / "identity.yaml")


def train(script: object, root: Path, folder: Path, settings: YoloSettings, runtime: dict | None = None) -> None:
    """Run train_yolo on the files that :func:`write_files` wrote to ``root``."""
    script.main(arguments(root, folder, settings, runtime))


def arguments(root: Path, folder: Path, settings: YoloSettings, runtime: dict | None = None) -> list[str]:
    """Command line of a training on the files that :func:`write_files` wrote to ``root``; its settings are written."""
    write_experiment(folder, settings, runtime)
    common = {"runtime": folder / "runtime.yaml"}
    common |= {"settings": folder / "train.yaml", "identity": folder / "identity.yaml", "pack": root / "packed"}
    common |= {"labels": root / f"{settings.labels}.parquet", "split": root / "split.csv"}
    return options(**common, subset=root / "subset.csv", folder=folder, code_digest="c0de")
