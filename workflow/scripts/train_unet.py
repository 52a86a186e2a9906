"""Train one CNN of the UNet family.

Writes into --folder: model/weights.safetensors (the best by the settings' monitor), run.json, history.csv and, in
checkpoints/, the best three, the best by the other metric and the last weights; in samples/, pictures of the val images
that the best weights segment best and worst. Training state is kept in --folder/state until all is written, so
that a killed training goes on where it was.
"""

import json
import shutil
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors.torch import save_file

from defectbench.config.families.unet import UNetSettings
from defectbench.families.unet.network import UNet
from defectbench.families.unet.weights import fetch_encoder, load_weights
from defectbench.files import atomic, file_sha256
from defectbench.script import run_script
from defectbench.training.fit import fit
from defectbench.training.job import TrainingJob, training_parser
from defectbench.training.losses import make_loss


@run_script
def main(argv: list[str] | None = None) -> None:
    """Wire settings, packs and network to the training loop, and write what it ends with."""
    args = training_parser(__doc__).parse_args(argv)
    settings = UNetSettings.read(args.settings)
    job = TrainingJob(args, settings)
    loss = make_loss(settings.loss, settings.pos_weights(job.classes))
    network, origin = make_network(settings, job.in_channels, len(job.classes))
    if settings.init_from is not None:
        job.start_from(settings.init_from)
    with job.state(json.dumps(origin)) as (state, loggers):
        result = fit(job.name, network, loss, job.train, job.val, settings, state, job.classes, loggers=loggers)
        weights = save_weights(result.weights, args.folder, job.seen().metadata())
        job.finish(network, result, weights, loggers, **origin)


def make_network(settings: UNetSettings, in_channels: int, n_maps: int) -> tuple[UNet, dict[str, str]]:
    """The network as training starts with it, and where its weights come from, for the run record."""
    if settings.init_from is not None:
        network = UNet(settings, in_channels, n_maps)
        load_weights(network, settings.init_from)
        digest = file_sha256(settings.init_from)
        return network, {"weights_source": "checkpoint", "init_from_sha256": digest}
    if settings.encoder_weights == "imagenet":
        pretrained = fetch_encoder(settings.encoder)
        origin = {"weights_source": "imagenet", "encoder_repository": pretrained.repository}
        return UNet(settings, in_channels, n_maps, pretrained), origin | {"encoder_sha256": pretrained.sha256}
    return UNet(settings, in_channels, n_maps), {"weights_source": "random"}


def save_weights(kept: Mapping[str, dict[str, torch.Tensor]], folder: Path, metadata: dict[str, str]) -> Path:
    """Write the kept checkpoints and, as model/weights.safetensors, the best of them; return the latter's path."""
    shutil.rmtree(folder / "checkpoints", ignore_errors=True)
    for name, values in kept.items():
        with atomic(folder / "checkpoints" / f"{name}.safetensors") as temporary:
            save_file(values, temporary, metadata)
    best = folder / "model" / "weights.safetensors"
    with atomic(best) as temporary:
        save_file(next(iter(kept.values())), temporary, metadata)
    return best


if __name__ == "__main__":
    main()
