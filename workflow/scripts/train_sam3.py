"""Train LoRA adapters on SAM 3, asked by phrases; or, for zero-shot, record that nothing was trained.

Writes into --folder: model/weights.safetensors (the adapters, to be put on the base), run.json, history.csv, whose
first row is zero-shot, and, in checkpoints/, the best three, the best by the other metric and the last; in progress/,
the predictions of every evaluation; in samples/, pictures of the val images that the best weights segment best and
worst. Training state is kept in --folder/state until all is written, so that a killed training goes on where it was.
"""

import argparse
import functools
import json
import shutil
from pathlib import Path
from typing import Any

import lightning as L
import pandas as pd
import torch

from defectbench.config.identity import ExperimentIdentity
from defectbench.config.prompts import track_of
from defectbench.config.train_sam3 import MERGED, Sam3Settings
from defectbench.data.packing import ImagePack, MaskPack
from defectbench.files import write_json, write_text
from defectbench.inference.network import device_name
from defectbench.models.adapters import save_kept
from defectbench.models.sam3.adapt import set_up
from defectbench.models.sam3.base import load_base
from defectbench.models.sam3.network import PhraseSam3
from defectbench.script import run_script
from defectbench.training.augmentation import make_augmentation
from defectbench.training.dataset import make_samples
from defectbench.training.fit import fit, fit_facts
from defectbench.training.run_record import file_facts, parameter_facts, run_record
from defectbench.training.sam3_loss import Sam3Loss
from defectbench.training.sam3_task import Sam3Task
from defectbench.training.samples import write_pictures
from defectbench.training.state import fingerprint, training_state
from defectbench.training.trackers import close_trackers, open_trackers


@run_script
def main(argv: list[str] | None = None) -> None:
    """Wire settings, packs and network to the training loop, and write what it ends with."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--settings", type=Path, required=True, help="train.yaml of the experiment")
    parser.add_argument("--identity", type=Path, required=True, help="identity.yaml of the experiment")
    parser.add_argument("--base", type=Path, required=True, help="weights to start from")
    parser.add_argument("--pack", type=Path, required=True, help="folder of the packed images and masks")
    parser.add_argument("--split", type=Path, required=True, help="split.csv")
    parser.add_argument("--subset", type=Path, required=True, help="CSV of the training images")
    parser.add_argument("--folder", type=Path, required=True, help="folder of the experiment")
    parser.add_argument("--trackers", type=Path, help="trackers.yaml: who else is told how the training goes")
    parser.add_argument("--code-digest", required=True, help="digest of the code, for the record and the state's key")
    args = parser.parse_args(argv)

    settings = Sam3Settings.read(args.settings)
    identity = ExperimentIdentity.read(args.identity)
    torch.set_num_threads(settings.threads)
    L.seed_everything(settings.seed, verbose=False)
    images, names = ImagePack(args.pack), MaskPack(args.pack).class_names
    groups = settings.phrase_groups(names)
    sam, tokenizer, origin = load_base(args.base)
    network = PhraseSam3(sam, tokenizer, groups, settings.task == "merged", settings.map)
    set_up(sam, settings)
    if settings.gradient_checkpointing:
        network.checkpoint_layers()
    facts: dict[str, Any] = {
        **origin,
        "classes": (MERGED,) if settings.task == "merged" else tuple(names),
        "phrases": groups,
        "in_channels": images.channels,
        "zero_shot": settings.tune == "none",
        "device": device_name(torch.device("cuda" if torch.cuda.is_available() else "cpu")),
        "code_digest": args.code_digest,
        "data_digest": images.digest,
        **parameter_facts(network),
    }
    if settings.tune == "none":
        save_kept(network, {}, args.folder, origin["base_sha256"])
        write_text(args.folder / "history.csv", "epoch,step\n")
        facts |= {"n_labels_train": 0, "n_labels_val": 0, "steps": 0, "train_seconds": 0.0, **file_facts(args.base)}
        write_record(args.folder, identity, settings, facts)
    else:
        train(network, settings, identity, args, facts)
    print(f"{identity.exp_id}: {facts['params_trainable']:,} of {facts['params_total']:,} weights trained")


def train(
    network: PhraseSam3,
    settings: Sam3Settings,
    identity: ExperimentIdentity,
    args: argparse.Namespace,
    facts: dict[str, Any],
) -> None:
    """Train the adapters of ``network`` and write all files; ``facts`` are those known before."""
    split = pd.read_csv(args.split, dtype=str)
    train_ids = pd.read_csv(args.subset, dtype=str)["image_id"].tolist()
    val_ids = sorted(split.loc[split["role"] == "val", "image_id"])
    samples, val = make_samples(settings, args.pack, None, train_ids, val_ids, make_augmentation(settings.augment))
    base_sha256 = facts["base_sha256"]
    files = (path.read_bytes() for path in (args.settings, args.subset, args.split))
    key = fingerprint(*files, val.images.digest, args.code_digest, base_sha256, json.dumps(facts["phrases"]))
    with training_state(args.folder / "state", key) as state:
        loggers = open_trackers(args.trackers, identity, settings, state)
        progress = state / "progress"
        task = functools.partial(Sam3Task, predictions=progress)
        loss, classes = Sam3Loss(settings), facts["classes"]
        exp_id = identity.exp_id
        result = fit(exp_id, network, loss, samples, val, settings, state, classes, task, loggers, evaluate_first=True)
        pictures = write_pictures(result.extremes, val, args.folder / "samples")
        weights = save_kept(network, result.weights, args.folder, base_sha256)
        write_text(args.folder / "history.csv", result.history.to_csv(index=False))
        shutil.rmtree(args.folder / "progress", ignore_errors=True)
        shutil.copytree(progress, args.folder / "progress")
        labels = {"n_labels_train": len(train_ids), "n_labels_val": len(val_ids)}
        record = facts | labels | fit_facts(result, settings) | file_facts(weights)
        close_trackers(loggers, record, pictures)
        write_record(args.folder, identity, settings, record)


def write_record(folder: Path, identity: ExperimentIdentity, settings: Sam3Settings, facts: dict[str, Any]) -> None:
    """Write run.json."""
    source = settings.prompt_source
    write_json(folder / "run.json", run_record(identity, settings, track_of(source), source, **facts))


if __name__ == "__main__":
    main()
