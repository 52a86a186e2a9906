"""Input and output files of a training, and their command-line options."""

import argparse
from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path


@dataclass(frozen=True)
class TrainingFiles:
    """Input files of a training, the folder of its results, and the digest of its code."""

    settings: Path
    """train.yaml of the experiment"""
    identity: Path
    """identity.yaml of the experiment"""
    pack: Path
    """Folder of the packed images and masks."""
    split: Path
    """split.csv"""
    subset: Path
    """CSV of the training images."""
    folder: Path
    """Folder of the experiment, to write the results to."""
    code_digest: str
    """For the run record, and part of the fingerprint of the training state."""
    trackers: Path | None = None
    """trackers.yaml; None: nothing is logged to experiment trackers."""
    runtime: Path | None = None
    """runtime.yaml; None: the defaults."""
    scaling: Path | None = None
    """scaling.json, of deep images and those of channels."""
    tiles: Path | None = None
    """Folder of the packed tiles, for mode pre_crops."""
    base: Path | None = None
    """Base weights."""
    init_from: Path | None = None
    """Weights to start from, instead of those named in train.yaml."""
    prompts: Path | None = None
    """Prompts of the val images."""
    prompt_settings: Path | None = None
    """prompts.yaml of the dataset, for prompts of training images."""
    train_prompts: Path | None = None
    """Objects of the training images that another experiment predicts out of fold."""
    labels: Path | None = None
    """Labels converted for the family's own trainer."""
    features: Path | None = None
    """Folder in which features of a frozen encoder are cached."""


def parse_training_files(description: str, argv: Sequence[str] | None) -> TrainingFiles:
    """Parse the command line ``argv`` (None: this process's); ``description`` is the text of --help."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    required = {
        "settings": "train.yaml of the experiment",
        "identity": "identity.yaml of the experiment",
        "pack": "folder of the packed images and masks",
        "split": "split.csv",
        "subset": "CSV of the training images",
        "folder": "folder of the experiment, to write to",
    }
    optional = {
        "trackers": "trackers.yaml: experiment trackers to log to",
        "runtime": "runtime.yaml: loader processes, further checkpoints, compilation",
        "scaling": "scaling.json: limits and statistics of the training images, of deep ones and those of channels",
        "tiles": "folder of the packed tiles, for mode pre_crops",
        "base": "base weights to start from",
        "init-from": "weights to start from, instead of those named in train.yaml",
        "prompts": "prompts of the val images",
        "prompt-settings": "prompts.yaml of the dataset",
        "train-prompts": "out-of-fold objects of another experiment, of the training images",
        "labels": "labels converted for the family's own trainer",
        "features": "folder in which features of a frozen encoder are cached",
    }
    for name, text in required.items():
        parser.add_argument(f"--{name}", type=Path, required=True, help=text)
    parser.add_argument("--code-digest", required=True, help="digest of the code, for record and training state")
    for name, text in optional.items():
        parser.add_argument(f"--{name}", type=Path, help=text)
    args = parser.parse_args(argv)
    return TrainingFiles(**{field.name: getattr(args, field.name) for field in fields(TrainingFiles)})
