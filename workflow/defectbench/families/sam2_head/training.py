"""Training of a segmentation head on SAM 2's encoder."""

from defectbench.config.families.sam2_head import Sam2HeadSettings
from defectbench.families.sam2.embeddings import EmbeddingCache
from defectbench.families.sam2_head.network import build_head
from defectbench.script import required
from defectbench.training.losses import make_loss
from defectbench.training.network_job import NetworkJob, Training


def build_training(settings: Sam2HeadSettings, job: NetworkJob) -> Training:
    """Network and loss of ``settings``; see :mod:`defectbench.families.contract`."""
    network, origin = build_head(settings, required(job.files.base, "--base"), len(job.classes))
    base_sha256 = origin["base_sha256"]
    if settings.cache_embeddings:
        cache = EmbeddingCache(network.sam, required(job.files.features, "--features"), base_sha256)
        network.use_cache(cache.encode, job.trains_on_plain_images)
    return Training(network, make_loss(settings.loss), origin, [network.sam.image_encoder], base_sha256=base_sha256)
