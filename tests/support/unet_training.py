"""Packs of six tiny images and the command line of a U-Net training on them."""

import numpy as np
import pandas as pd
import train_unet as train_script
from small_datasets import write_image, write_severstal

from defectbench.config.families.unet import UNetSettings
from defectbench.config.identity import ExperimentIdentity
from defectbench.data.ingest import ingest
from defectbench.data.rle import encode_severstal
from defectbench.data.write_packs import pack_images, pack_masks
from defectbench.files import read_json

IDS = [f"{i}.png" for i in range(6)]


def write_packs(root):
    """Write packs of six images of 64 x 64, of which 0, 1 and 4 have a defect: four of train, one of val and test."""
    mask = np.zeros((64, 64), np.uint8)
    mask[10:40, 20:50] = 1
    rows = [f"{index}.png,{class_id},{encode_severstal(mask)}" for index, class_id in ((0, 1), (1, 3), (4, 1))]
    for index in range(6):
        write_image(root / "train_images" / f"{index}.png", seed=index, size=(64, 64))
    manifest, _ = ingest(write_severstal(root, rows, n_images=0), root / "found.csv")
    pack_images(manifest, root, root / "packed")
    pack_masks(manifest, root / "packed")
    roles = ["train"] * 4 + ["val", "test"]
    pd.DataFrame({"image_id": IDS, "role": roles}).to_csv(root / "split.csv", index=False)
    pd.DataFrame({"image_id": IDS[:4]}).to_csv(root / "subset.csv", index=False)
    named = {"exp_id": "x", "dataset": "steel", "family": "unet", "model": "unet", "variant": "tu-test_resnet"}
    identity = ExperimentIdentity(**named, subset=4, prompt_type="none", img_size="native", seed=42)
    identity.write(root / "identity.yaml")
    return root


def options(**values):
    return [text for name, value in values.items() for text in (f"--{name.replace('_', '-')}", str(value))]


def arguments(folder, where, **keys):
    """Command line of a training, its settings written."""
    defaults = {
        "encoder": "tu-test_resnet",
        "batch_size": 2,
        "steps": 2,
        "eval_every": 1,
        "threads": 1,
        "precision": "fp32",
    }
    UNetSettings(**{**defaults, **keys}).write(where / "train.yaml")
    inputs = {name: folder / f"{name}.csv" for name in ("split", "subset")}
    inputs |= {"identity": folder / "identity.yaml", "pack": folder / "packed"}
    return options(settings=where / "train.yaml", folder=where / "exp", code_digest="0", **inputs)


def train(folder, where, **keys):
    train_script.main(arguments(folder, where, **keys))
    return read_json(where / "exp" / "run.json"), where / "exp" / "model" / "weights.safetensors"
