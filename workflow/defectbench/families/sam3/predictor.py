"""A finished SAM 3 experiment as a predictor."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from defectbench.config.families.sam3 import Sam3Settings
from defectbench.families.sam3.adapters import set_up
from defectbench.families.sam3.features import PhraseFeatureCache
from defectbench.families.sam3.network import PhraseSam3
from defectbench.families.sam3.weights import load_base
from defectbench.inference.encoder_clock import TimedEncoder
from defectbench.inference.geometry import Geometry
from defectbench.inference.network import NetworkPredictor
from defectbench.inference.tta import Predictor, augmented
from defectbench.models.adapters import load_trained, merge_lora


def load_sam3(
    run: dict[str, Any], base: Path, weights: Path, device: torch.device, features: Path | None = None
) -> tuple[Predictor, Callable[[], float]]:
    """The predictor of a run record (run.json), and the clock by which it is timed.

    It maps a uint8 image (H, W) or (H, W, 3) to codes (C, H, W) of the record's classes. ``base`` are the weights that
    the training started from, ``weights`` its adapters. With ``features``, a folder, what the image encoder makes is
    kept there; by the clock this process encoded every image.

    Raises:
        WeightsError: if the files do not belong together.
    """
    settings = Sam3Settings.model_validate(run["settings"])
    torch.set_num_threads(settings.threads)
    torch.use_deterministic_algorithms(True, warn_only=True)
    sam, tokenizer, origin = load_base(base)
    network = PhraseSam3(sam, tokenizer, run["phrases"], settings.task == "merged", settings.map)
    set_up(sam, settings)
    load_trained(network, weights, origin["base_sha256"])
    merge_lora(sam)
    clock = time.perf_counter
    if features is not None:
        encoder = TimedEncoder(PhraseFeatureCache(network, features, origin["base_sha256"]))
        network.keep_features(encoder.encode)
        clock = encoder.clock
    geometry = Geometry.of(settings.img_size, settings.resize, settings.input_multiple)
    return augmented(NetworkPredictor(network, geometry, device), settings.tta), clock
