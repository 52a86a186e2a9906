"""Train one CNN of the UNet family.

Writes into --folder: model/weights.safetensors (the best by the settings' monitor), run.json, history.csv and, in
checkpoints/, the best three and the last weights. Training state is kept in --folder/state until all is written, so
that a killed training goes on where it was.
"""

import argparse
import shutil
from pathlib import Path

import lightning as L
import pandas as pd
import torch
from safetensors.torch import save_file

from defectbench.config.identity import ExperimentIdentity
from defectbench.config.train_unet import UNetSettings
from defectbench.data.packing import ImagePack, MaskPack
from defectbench.files import atomic, write_json, write_text
from defectbench.inference.geometry import Geometry
from defectbench.inference.network import device_name
from defectbench.models.unet import UNet
from defectbench.script import run_script
from defectbench.training.augmentation import make_augmentation
from defectbench.training.dataset import Samples
from defectbench.training.fit import fingerprint, fit, resolved_precision, training_state
from defectbench.training.losses import make_loss
from defectbench.training.run_record import file_facts, parameter_facts, run_record


@run_script
def main(argv: list[str] | None = None) -> None:
    """Wire settings, packs and network to the training loop, and write what it ends with."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--settings", type=Path, required=True, help="train.yaml of the experiment")
    parser.add_argument("--identity", type=Path, required=True, help="identity.yaml of the experiment")
    parser.add_argument("--pack", type=Path, required=True, help="folder of the packed images and masks")
    parser.add_argument("--split", type=Path, required=True, help="split.csv")
    parser.add_argument("--subset", type=Path, required=True, help="CSV of the training images")
    parser.add_argument("--folder", type=Path, required=True, help="folder of the experiment")
    parser.add_argument("--code-digest", required=True, help="digest of the code, for the record and the state's key")
    args = parser.parse_args(argv)

    settings = UNetSettings.read(args.settings)
    identity = ExperimentIdentity.read(args.identity)
    torch.set_num_threads(settings.threads)
    L.seed_everything(settings.seed, verbose=False)

    images, masks = ImagePack(args.pack), MaskPack(args.pack)
    split = pd.read_csv(args.split, dtype=str)
    train_ids = pd.read_csv(args.subset, dtype=str)["image_id"].tolist()
    val_ids = sorted(split.loc[split["role"] == "val", "image_id"])
    geometry = Geometry.of(settings.img_size, settings.resize)
    train = Samples(
        images, masks, train_ids, geometry, settings.task, make_augmentation(settings.augment), settings.seed
    )
    val = Samples(images, masks, val_ids, geometry, settings.task)
    classes = ("merged",) if settings.task == "merged" else masks.class_names
    network = UNet(settings, images.channels, len(classes))

    key = fingerprint(
        args.settings.read_bytes(), args.subset.read_bytes(), args.split.read_bytes(), images.digest, args.code_digest
    )
    with training_state(args.folder / "state", key) as state:
        result = fit(identity.exp_id, network, make_loss(settings.loss), train, val, settings, state)
        weights = save_weights(result.weights, args.folder)
        write_text(args.folder / "history.csv", result.history.to_csv(index=False))
        record = run_record(
            identity,
            settings,
            track="automatic",
            prompt_source="none",
            classes=classes,
            in_channels=images.channels,
            precision=resolved_precision(settings.precision),
            steps=result.steps,
            best_step=result.best_step,
            epochs=len(result.history),
            n_labels_train=len(train_ids),
            n_labels_val=len(val_ids),
            train_seconds=result.train_seconds,
            peak_memory_train_bytes=result.peak_memory_bytes,
            device=device_name(next(network.parameters()).device),
            code_digest=args.code_digest,
            data_digest=images.digest,
            weights_source="random",
            **parameter_facts(network),
            **file_facts(weights),
        )
        write_json(args.folder / "run.json", record)
    print(f"{identity.exp_id}: best at step {result.best_step} of {result.steps}, {result.train_seconds:.0f} s")


def save_weights(kept: dict[str, dict[str, torch.Tensor]], folder: Path) -> Path:
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
