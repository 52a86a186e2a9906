"""Fine-tune a promptable SAM 2, wholly, in part, or by LoRA; or, for zero-shot, record that nothing was trained.

Writes into --folder: model/weights.safetensors (what was trained, to be put on the base), run.json, history.csv and, in
checkpoints/, the best three, the best by the other metric and the last; in samples/, pictures of the val images that
the best weights segment best and worst. Training state is kept in --folder/state until all is written, so that a
killed training goes on where it was.
"""

import argparse
import functools
import json
from collections.abc import Sequence
from pathlib import Path

import lightning as L
import pandas as pd
import torch
from lightning.pytorch.loggers import Logger

from defectbench.config.identity import ExperimentIdentity
from defectbench.config.prompts import PromptSettings, track_of
from defectbench.config.train_sam2 import Sam2Settings
from defectbench.data.packing import ImagePack
from defectbench.data.prompt_file import read_prompts
from defectbench.files import write_json, write_text
from defectbench.inference.network import device_name
from defectbench.models.adapters import save_kept
from defectbench.models.sam2.adapt import set_up
from defectbench.models.sam2.base import load_base
from defectbench.models.sam2.embeddings import EmbeddingCache
from defectbench.models.sam2.native import NativeSam2
from defectbench.script import run_script
from defectbench.training.augmentation import make_augmentation
from defectbench.training.dataset import make_samples
from defectbench.training.fit import Fit, fit, fit_facts
from defectbench.training.prompt_sampling import PromptSampler
from defectbench.training.prompt_task import Prompting, PromptTask
from defectbench.training.run_record import file_facts, parameter_facts, run_record
from defectbench.training.sam2_loss import Sam2Loss
from defectbench.training.samples import write_pictures
from defectbench.training.state import fingerprint, training_state
from defectbench.training.trackers import close_trackers, open_trackers


@run_script
def main(argv: list[str] | None = None) -> None:
    """Wire settings, packs, prompts and network to the training loop, and write what it ends with."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--settings", type=Path, required=True, help="train.yaml of the experiment")
    parser.add_argument("--identity", type=Path, required=True, help="identity.yaml of the experiment")
    parser.add_argument("--base", type=Path, required=True, help="weights to start from")
    parser.add_argument("--pack", type=Path, required=True, help="folder of the packed images and masks")
    parser.add_argument("--tiles", type=Path, help="folder of the packed tiles, for mode pre_crops")
    parser.add_argument("--prompts", type=Path, required=True, help="prompts of the val images")
    parser.add_argument("--prompt-settings", type=Path, required=True, help="prompts.yaml of the dataset")
    parser.add_argument("--split", type=Path, required=True, help="split.csv")
    parser.add_argument("--subset", type=Path, required=True, help="CSV of the training images")
    parser.add_argument("--embeddings", type=Path, required=True, help="folder of kept embeddings")
    parser.add_argument("--folder", type=Path, required=True, help="folder of the experiment")
    parser.add_argument("--trackers", type=Path, help="trackers.yaml: who else is told how the training goes")
    parser.add_argument("--code-digest", required=True, help="digest of the code, for the record and the state's key")
    args = parser.parse_args(argv)

    settings = Sam2Settings.read(args.settings)
    identity = ExperimentIdentity.read(args.identity)
    torch.set_num_threads(settings.threads)
    L.seed_everything(settings.seed, verbose=False)
    network, origin = load_base(args.base, settings.base_name)
    set_up(network, settings)
    images = ImagePack(args.pack)
    facts = {
        **origin,
        "classes": ("merged",),
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
    else:
        files = (args.settings, args.subset, args.split, args.prompts, args.prompt_settings)
        key = fingerprint(*(path.read_bytes() for path in files), images.digest, args.code_digest, json.dumps(origin))
        with training_state(args.folder / "state", key) as state:
            loggers = open_trackers(args.trackers, identity, settings, state)
            result, labels = train(network, settings, identity.exp_id, origin["base_sha256"], args, state, loggers)
            weights = save_kept(network, result.weights, args.folder, origin["base_sha256"])
            write_text(args.folder / "history.csv", result.history.to_csv(index=False))
            facts |= labels | fit_facts(result, settings) | file_facts(weights)
            close_trackers(loggers, facts, sorted((args.folder / "samples").glob("*.png")))
    source = settings.prompt_source
    write_json(args.folder / "run.json", run_record(identity, settings, track_of(source), source, **facts))
    print(f"{identity.exp_id}: {facts['params_trainable']:,} of {facts['params_total']:,} weights trained")


def train(
    network: NativeSam2,
    settings: Sam2Settings,
    name: str,
    base_sha256: str,
    args: argparse.Namespace,
    state: Path,
    loggers: Sequence[Logger],
) -> tuple[Fit, dict[str, int]]:
    """Train ``network`` and write pictures of val images; also the numbers of labelled images used."""
    split = pd.read_csv(args.split, dtype=str)
    train_ids = pd.read_csv(args.subset, dtype=str)["image_id"].tolist()
    val_ids = sorted(split.loc[split["role"] == "val", "image_id"])
    augmentation = make_augmentation(settings.augment)
    samples, val = make_samples(settings, args.pack, args.tiles, train_ids, val_ids, augmentation)
    encode = encode_val = None
    if settings.cache_embeddings:
        encode_val = EmbeddingCache(network, args.embeddings, base_sha256).encode
        # Augmented images and crops never come again.
        encode = encode_val if augmentation is None and settings.mode != "crops" else None
    prompting = Prompting(
        PromptSampler(settings, PromptSettings.read(args.prompt_settings)),
        read_prompts(args.prompts, settings.prompt_source),
        encode,
        encode_val,
    )
    task = functools.partial(PromptTask, prompting=prompting)
    loss = Sam2Loss(settings.recipe)
    result = fit(name, network, loss, samples, val, settings, state, make_task=task, loggers=loggers)
    write_pictures(result.extremes, val, args.folder / "samples")
    return result, {"n_labels_train": len(train_ids), "n_labels_val": len(val_ids)}


if __name__ == "__main__":
    main()
