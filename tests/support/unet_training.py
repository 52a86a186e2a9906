"""Packs of six tiny images and the command line of a U-Net training on them."""

import numpy as np
import tiny_packs
import train_unet as train_script
from tiny_packs import IDS as IDS
from tiny_packs import options

from defectbench.config.families.unet import UNetSettings
from defectbench.config.identity import ExperimentIdentity
from defectbench.config.runtime import RuntimeSettings
from defectbench.files import read_json


def write_packs(root):
    """Write packs of six images of 64 x 64, of which 0, 1 and 4 have a defect: four of train, one of val and test."""
    tiny_packs.write_packs(root, (64, 64), np.s_[10:40, 20:50], ["train"] * 4 + ["val", "test"])
    named = {"exp_id": "x", "dataset": "steel", "family": "unet", "model": "unet", "variant": "tu-test_resnet"}
    identity = ExperimentIdentity(**named, subset=4, prompt_type="none", img_size="native", seed=42)
    identity.write(root / "identity.yaml")
    return root


def arguments(folder, where, runtime=None, scaling=None, **keys):
    """Command line of a training, its settings written, also those of ``runtime``; ``scaling``: of deep images."""
    defaults = {
        "encoder": "tu-test_resnet",
        "batch_size": 2,
        "steps": 2,
        "eval_every": 1,
        "threads": 1,
        "precision": "fp32",
    }
    UNetSettings(**{**defaults, **keys}).write(where / "train.yaml")
    RuntimeSettings(**(runtime or {})).write(where / "runtime.yaml")
    inputs = {name: folder / f"{name}.csv" for name in ("split", "subset")}
    inputs |= {"identity": folder / "identity.yaml", "pack": folder / "packed"}
    inputs["runtime"] = where / "runtime.yaml"
    inputs |= {"scaling": scaling} if scaling else {}
    return options(settings=where / "train.yaml", folder=where / "exp", code_digest="0", **inputs)


def train(folder, where, runtime=None, scaling=None, **keys):
    train_script.main(arguments(folder, where, runtime, scaling, **keys))
    return read_json(where / "exp" / "run.json"), where / "exp" / "model" / "weights.safetensors"
