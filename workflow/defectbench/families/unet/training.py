"""Training of a CNN of the U-Net family."""

import numpy as np

from defectbench.config.families.unet import UNetSettings
from defectbench.families.unet.network import UNet
from defectbench.families.unet.task import PresenceTask
from defectbench.families.unet.weights import fetch_encoder, load_weights
from defectbench.files import file_sha256
from defectbench.training.losses import make_loss
from defectbench.training.network_job import NetworkJob, Training
from defectbench.training.task import SegmentationTask


def build_training(settings: UNetSettings, job: NetworkJob) -> Training:
    """Network and loss of ``settings``; see :mod:`defectbench.families.contract`."""
    network, origin = build_network(settings, job.in_channels, len(job.classes), job.images.statistics())
    if settings.init_from is not None:
        job.inherit_provenance(settings.init_from)
    loss = make_loss(settings.loss, settings.pos_weights(job.classes))
    return Training(network, loss, origin, make_task=PresenceTask if settings.presence_head else SegmentationTask)


def build_network(
    settings: UNetSettings, in_channels: int, n_maps: int, statistics: tuple[np.ndarray, np.ndarray] | None = None
) -> tuple[UNet, dict[str, str]]:
    """The network with its initial weights, and their origin, for the run record; ``statistics`` as for the network."""
    if settings.init_from is not None:
        network = UNet(settings, in_channels, n_maps, statistics=statistics)
        load_weights(network, settings.init_from)
        return network, {"weights_source": "checkpoint", "init_from_sha256": file_sha256(settings.init_from)}
    if settings.encoder_weights == "imagenet":
        pretrained = fetch_encoder(settings.encoder)
        origin = {
            "weights_source": "imagenet",
            "encoder_repository": pretrained.repository,
            "encoder_revision": pretrained.revision,
            "encoder_sha256": pretrained.sha256,
        }
        return UNet(settings, in_channels, n_maps, pretrained, statistics), origin
    return UNet(settings, in_channels, n_maps, statistics=statistics), {"weights_source": "random"}
