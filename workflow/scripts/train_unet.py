"""Train one CNN of the UNet family.

Writes into --folder: model/weights.safetensors (the best by the settings' monitor), run.json, history.csv and, in
checkpoints/, the best three, the best by the other metric and the last weights; in samples/, pictures of the val images
that the best weights segment best and worst. Training state is kept in --folder/state until all is written, so
that a killed training goes on where it was.
"""

import argparse
import hashlib
import json
import shutil
from collections.abc import Mapping
from pathlib import Path

import lightning as L
import pandas as pd
import torch
from safetensors.torch import save_file

from defectbench.config.identity import ExperimentIdentity
from defectbench.config.train_unet import UNetSettings
from defectbench.files import atomic, write_json, write_text
from defectbench.inference.network import device_name
from defectbench.models.unet import UNet
from defectbench.models.weights import fetch_encoder, load_weights
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
    parser.add_argument("--pack", type=Path, required=True, help="folder of the packed images and masks")
    parser.add_argument("--tiles", type=Path, help="folder of the packed tiles, for mode pre_crops")
    parser.add_argument("--split", type=Path, required=True, help="split.csv")
    parser.add_argument("--subset", type=Path, required=True, help="CSV of the training images")
    parser.add_argument("--folder", type=Path, required=True, help="folder of the experiment")
    parser.add_argument("--trackers", type=Path, help="trackers.yaml: who else is told how the training goes")
    parser.add_argument("--code-digest", required=True, help="digest of the code, for the record and the state's key")
    args = parser.parse_args(argv)

    settings = UNetSettings.read(args.settings)
    identity = ExperimentIdentity.read(args.identity)
    torch.set_num_threads(settings.threads)
    L.seed_everything(settings.seed, verbose=False)

    split = pd.read_csv(args.split, dtype=str)
    train_ids = pd.read_csv(args.subset, dtype=str)["image_id"].tolist()
    val_ids = sorted(split.loc[split["role"] == "val", "image_id"])
    augmentation = make_augmentation(settings.augment)
    train, val = make_samples(settings, args.pack, args.tiles, train_ids, val_ids, augmentation)
    images, masks = val.images, val.masks
    classes = ("merged",) if settings.task == "merged" else masks.class_names
    loss = make_loss(settings.loss, settings.pos_weights(classes))
    network, origin = make_network(settings, images.channels, len(classes))

    files = (path.read_bytes() for path in (args.settings, args.subset, args.split))
    key = fingerprint(*files, images.digest, args.code_digest, json.dumps(origin))
    with training_state(args.folder / "state", key) as state:
        loggers = open_trackers(args.trackers, identity, settings, state)
        result = fit(identity.exp_id, network, loss, train, val, settings, state, classes, loggers=loggers)
        weights = save_weights(result.weights, args.folder)
        pictures = write_pictures(result.extremes, val, args.folder / "samples")
        write_text(args.folder / "history.csv", result.history.to_csv(index=False))
        record = run_record(
            identity,
            settings,
            track="automatic",
            prompt_source="none",
            classes=classes,
            in_channels=images.channels,
            n_labels_train=len(train_ids),
            n_labels_val=len(val_ids),
            device=device_name(next(network.parameters()).device),
            code_digest=args.code_digest,
            data_digest=images.digest,
            **images_seen(train_ids, val_ids),
            **origin,
            **fit_facts(result, settings),
            **parameter_facts(network),
            **file_facts(weights),
        )
        close_trackers(loggers, record, pictures)
        write_json(args.folder / "run.json", record)
    print(f"{identity.exp_id}: best at step {result.best_step} of {result.steps}, {result.train_seconds:.0f} s")


def make_network(settings: UNetSettings, in_channels: int, n_maps: int) -> tuple[UNet, dict[str, str]]:
    """The network as training starts with it, and where its weights come from, for the run record."""
    if settings.init_from is not None:
        network = UNet(settings, in_channels, n_maps)
        load_weights(network, settings.init_from)
        digest = hashlib.sha256(settings.init_from.read_bytes()).hexdigest()
        return network, {"weights_source": "checkpoint", "init_from_sha256": digest}
    if settings.encoder_weights == "imagenet":
        pretrained = fetch_encoder(settings.encoder)
        origin = {"weights_source": "imagenet", "encoder_repository": pretrained.repository}
        return UNet(settings, in_channels, n_maps, pretrained), origin | {"encoder_sha256": pretrained.sha256}
    return UNet(settings, in_channels, n_maps), {"weights_source": "random"}


def save_weights(kept: Mapping[str, dict[str, torch.Tensor]], folder: Path) -> Path:
    """Write the kept checkpoints and, as model/weights.safetensors, the best of them; return the latter's path."""
    shutil.rmtree(folder / "checkpoints", ignore_errors=True)
    for name, values in kept.items():
        with atomic(folder / "checkpoints" / f"{name}.safetensors") as temporary:
            save_file(values, temporary)
    best = folder / "model" / "weights.safetensors"
    with atomic(best) as temporary:
        save_file(next(iter(kept.values())), temporary)
    return best


if __name__ == "__main__":
    main()
