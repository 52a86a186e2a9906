"""SAM 3 with its phrases, trained or zero-shot, as a predictor."""

import time
from typing import Any

import numpy as np
import torch

from defectbench.config.families.sam3 import Sam3Settings
from defectbench.families.sam3.adapters import set_trainable
from defectbench.families.sam3.features import PhraseFeatureCache
from defectbench.families.sam3.network import PhraseSam3
from defectbench.families.sam3.weights import load_base
from defectbench.inference.encoder_clock import TimedEncoder
from defectbench.inference.network import NetworkPredictor, configure_torch, make_network_predictor
from defectbench.inference.predictor import ModelFiles, Predictor
from defectbench.metrics.codes import align_half, codes_from_logits
from defectbench.models.adapters import load_trained, merge_lora
from defectbench.script import required


def load_predictor(run: dict[str, Any], files: ModelFiles, device: str) -> Predictor:
    """The network of a run record (run.json) with its adapters; see :mod:`defectbench.families.contract`.

    With ``cache_embeddings`` the features of the image encoder are cached; the predictor's clock counts the encoder's
    time even so.
    """
    settings = Sam3Settings.model_validate(run["settings"])
    configure_torch(settings.threads)
    sam, tokenizer, origin = load_base(required(files.base, "--base"), settings.grid_size)
    network = PhraseSam3(
        sam, tokenizer, run["phrases"], settings.task == "merged", settings.map, settings.score_threshold
    )
    set_trainable(sam, settings)
    load_trained(network, files.weights, origin["base_sha256"])
    merge_lora(sam)
    clock = time.perf_counter
    if settings.cache_embeddings:
        cache = PhraseFeatureCache(network, required(files.features, "--features"), origin["base_sha256"])
        encoder = TimedEncoder(cache)
        network.use_cache(encoder.encode)
        clock = encoder.clock
    return make_network_predictor(network, settings, device, clock, PhrasePredictor)


class PhrasePredictor(NetworkPredictor):
    """Calls a :class:`PhraseSam3`, whose masks are interpolated to the image's own pixels at once."""

    @torch.inference_mode()
    def __call__(self, image: np.ndarray) -> np.ndarray:
        """Codes (n_maps, H, W) of a uint8 image (H, W) or (H, W, 3), at the image's own pixels."""
        logits = self.network(self.make_batch(image), image.shape[:2])[0].cpu().numpy()
        return align_half(codes_from_logits(logits), logits > 0)
