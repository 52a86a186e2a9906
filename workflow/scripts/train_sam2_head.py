"""Train a segmentation head on SAM 2's encoder, which stays frozen or is adapted by LoRA.

Writes into --folder: model/weights.safetensors (what was trained, to be put on the base), run.json, history.csv and, in
checkpoints/, the best three, the best by the other metric and the last; in samples/, pictures of the val images that
the best weights segment best and worst. Training state is kept in --folder/state until all is written, so that a
killed training goes on where it was.
"""

import argparse
import json
from pathlib import Path

import lightning as L
import pandas as pd
import torch

from defectbench.config.identity import ExperimentIdentity
from defectbench.config.train_sam2_head import Sam2HeadSettings
from defectbench.files import write_json, write_text
from defectbench.inference.network import device_name
from defectbench.models.adapters import save_kept
from defectbench.models.sam2.embeddings import EmbeddingCache
from defectbench.models.sam2.head import build_head
from defectbench.script import run_script
from defectbench.training.augmentation import make_augmentation
from defectbench.training.dataset import make_samples
from defectbench.training.fit import fit, fit_facts
from defectbench.training.losses import make_loss
from defectbench.training.run_record import file_facts, images_seen, parameter_facts, run_record
from defectbench.training.samples import write_pictures
from defectbench.training.state import fingerprint, training_state
from defectbench.training.trackers import close_trackers, open_trackers


@run_script
def main(argv: list[str] | None = None) -> None:
    """Wire settings, packs and network to the training loop, and write what it ends with."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--settings", type=Path, required=True, help="train.yaml of the experiment")
    parser.add_argument("--identity", type=Path, required=True, help="identity.yaml of the experiment")
    parser.add_argument("--base", type=Path, required=True, help="weights of SAM 2 to start from")
    parser.add_argument("--pack", type=Path, required=True, help="folder of the packed images and masks")
    parser.add_argument("--tiles", type=Path, help="folder of the packed tiles, for mode pre_crops")
    parser.add_argument("--split", type=Path, required=True, help="split.csv")
    parser.add_argument("--subset", type=Path, required=True, help="CSV of the training images")
    parser.add_argument("--embeddings", type=Path, required=True, help="folder of kept embeddings")
    parser.add_argument("--folder", type=Path, required=True, help="folder of the experiment")
    parser.add_argument("--trackers", type=Path, help="trackers.yaml: who else is told how the training goes")
    parser.add_argument("--code-digest", required=True, help="digest of the code, for the record and the state's key")
    args = parser.parse_args(argv)

    settings = Sam2HeadSettings.read(args.settings)
    identity = ExperimentIdentity.read(args.identity)
    torch.set_num_threads(settings.threads)
    L.seed_everything(settings.seed, verbose=False)

    split = pd.read_csv(args.split, dtype=str)
    train_ids = pd.read_csv(args.subset, dtype=str)["image_id"].tolist()
    val_ids = sorted(split.loc[split["role"] == "val", "image_id"])
    augmentation = make_augmentation(settings.augment)
    samples, val = make_samples(settings, args.pack, args.tiles, train_ids, val_ids, augmentation)
    classes = ("merged",) if settings.task == "merged" else val.masks.class_names
    network, origin = build_head(settings, args.base, len(classes))
    if settings.cache_embeddings:
        cache = EmbeddingCache(network.sam, args.embeddings, origin["base_sha256"])
        # Augmented images and crops never come again.
        network.keep_embeddings(cache.encode, augmentation is None and settings.mode != "crops")

    files = (path.read_bytes() for path in (args.settings, args.subset, args.split))
    key = fingerprint(*files, val.images.digest, args.code_digest, json.dumps(origin))
    with training_state(args.folder / "state", key) as state:
        loggers = open_trackers(args.trackers, identity, settings, state)
        loss = make_loss(settings.loss)
        result = fit(identity.exp_id, network, loss, samples, val, settings, state, classes, loggers=loggers)
        pictures = write_pictures(result.extremes, val, args.folder / "samples")
        weights = save_kept(network, result.weights, args.folder, origin["base_sha256"])
        write_text(args.folder / "history.csv", result.history.to_csv(index=False))
        record = run_record(
            identity,
            settings,
            track="automatic",
            prompt_source="none",
            classes=classes,
            in_channels=val.images.channels,
            n_labels_train=len(train_ids),
            n_labels_val=len(val_ids),
            device=device_name(next(network.parameters()).device),
            code_digest=args.code_digest,
            data_digest=val.images.digest,
            **images_seen(train_ids, val_ids),
            **origin,
            **fit_facts(result, settings),
            **parameter_facts(network),
            **file_facts(weights),
        )
        close_trackers(loggers, record, pictures)
        write_json(args.folder / "run.json", record)
    print(f"{identity.exp_id}: best at step {result.best_step} of {result.steps}, {result.train_seconds:.0f} s")


if __name__ == "__main__":
    main()
