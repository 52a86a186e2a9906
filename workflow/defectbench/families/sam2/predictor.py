"""Prediction by a promptable model: from packed images and a file of prompts to a prediction file."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from defectbench.config.families.sam2 import Sam2Settings
from defectbench.config.prompts import FIXED, ORACLE
from defectbench.data.packing import ImagePack
from defectbench.data.prompt_file import PromptError
from defectbench.data.prompts import Prompt
from defectbench.data.rle import decode_coco
from defectbench.data.tiles import Window
from defectbench.families.sam2.adapters import set_up
from defectbench.families.sam2.embeddings import EmbeddingCache
from defectbench.families.sam2.network import Embedding, NativeSam2
from defectbench.families.sam2.prompting import NOTHING, maps
from defectbench.families.sam2.weights import load_base
from defectbench.inference.encoder_clock import TimedEncoder
from defectbench.inference.geometry import Geometry
from defectbench.inference.predict import WARM_UP
from defectbench.inference.prediction_file import MERGED, PredictionHeader, write_predictions
from defectbench.inference.tiling import Tiling
from defectbench.metrics.codes import codes_from_logits
from defectbench.models.adapters import load_trained, merge_lora


class PromptedPredictor:
    """Calls a network on one image and its prompts at a time, in float32 whatever the training's precision."""

    def __init__(
        self,
        network: NativeSam2,
        geometry: Geometry,
        device: torch.device,
        encoder: TimedEncoder[Embedding] | None = None,
        tiling: Tiling | None = None,
    ) -> None:
        """``encoder``, if not the network's own, is that of a cache; with ``tiling``, images are seen by tiles."""
        self.network = network.to(device).eval()
        self.geometry = geometry
        self.device = device
        self._encode = self.network.encode if encoder is None else encoder.encode
        self._clock = time.perf_counter if encoder is None else encoder.clock
        self.tiling = tiling
        self.seconds = 0.0
        """Time of the last call; that of the encoder counts even if the embedding came from a cache."""

    def __call__(self, image: np.ndarray, prompts: Sequence[Prompt]) -> np.ndarray:
        """Codes (1, H, W) of a uint8 image (H, W) or (H, W, 3), ``prompts`` and codes at the image's own pixels.

        Without prompts nothing is asked: the lowest code everywhere, as of a method that never finds anything.
        """
        started = self._clock()
        height, width = image.shape[:2]
        if not prompts:
            codes = np.zeros((1, height, width), np.uint16)
        elif self.tiling is None:
            codes = codes_from_logits(self._logits(image, prompts))
        else:
            codes = codes_from_logits(self.tiling.apply(height, width, lambda w: self._tile(image, prompts, w)))
        self.seconds = self._clock() - started
        return codes

    def _tile(self, image: np.ndarray, prompts: Sequence[Prompt], window: Window) -> np.ndarray:
        """Logits (1, h, w) of a tile, asked by what lies in it of each prompt; nothing where none does."""
        parts = [part for prompt in prompts if (part := prompt.inside(window, image.shape[:2])) is not None]
        tile = image[window]
        return self._logits(tile, parts) if parts else np.full((1, *tile.shape[:2]), NOTHING, np.float32)

    @torch.inference_mode()
    def _logits(self, image: np.ndarray, prompts: Sequence[Prompt]) -> np.ndarray:
        """Logits (1, H, W) of an image, or of a tile with prompts in its own pixels."""
        pixels = self.geometry.apply(image)
        pixels = pixels[None] if pixels.ndim == 2 else pixels.transpose(2, 0, 1)
        batch = torch.from_numpy(np.require(pixels, requirements=["C", "W"]))[None].to(self.device)
        logits = maps(self.network, self._encode(batch), [scaled_prompts(prompts, self.geometry, image.shape)])
        return self.geometry.restore(logits[0].cpu().numpy(), *image.shape[:2])


def load_prompted(run: dict[str, Any], base: Path, weights: Path, embeddings: Path) -> PromptedPredictor:
    """The predictor of a finished SAM 2 run, with the threads of its settings, on the GPU if there is one.

    ``run`` is its run.json, ``base`` the weights it started from, ``weights`` what was trained; ``embeddings`` is the
    folder of kept embeddings, used if the settings say so.

    Raises:
        WeightsError: if the files do not belong together.
    """
    settings = Sam2Settings.model_validate(run["settings"])
    torch.set_num_threads(settings.threads)
    torch.use_deterministic_algorithms(True, warn_only=True)
    network, origin = load_base(base, settings.base_name)
    set_up(network, settings)
    load_trained(network, weights, origin["base_sha256"])
    merge_lora(network)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    encoder = None
    if settings.cache_embeddings:
        encoder = TimedEncoder(EmbeddingCache(network, embeddings, origin["base_sha256"]))
    tiling = Tiling(settings.crop_size, settings.overlap) if settings.prediction == "tiles" else None
    return PromptedPredictor(network, Geometry.of(settings.img_size, settings.resize), device, encoder, tiling)


def scaled_prompts(prompts: Sequence[Prompt], geometry: Geometry, shape: Sequence[int]) -> list[Prompt]:
    """``prompts`` of an image of ``shape`` (height, width, ...) in pixels of the network's input, with their masks."""
    height, width = shape[:2]
    inner = geometry.scaled_size(height, width)
    scaled = [prompt.scaled(inner[0] / height, inner[1] / width) for prompt in prompts]
    return [
        prompt
        if prompt.rle is None
        else replace(prompt, mask=geometry.apply(255 * decode_coco(prompt.rle, *shape[:2])))
        for prompt in scaled
    ]


def predict_prompted(
    predictor: PromptedPredictor,
    images: ImagePack,
    split: pd.DataFrame,
    prompts: Mapping[str, Sequence[Prompt]],
    outputs: Mapping[str, Path],
    source: str,
) -> list[float]:
    """Predict the images of the roles in ``outputs``, one at a time; return the seconds of each.

    ``prompts`` has a sequence for each of these images. Where that is empty, the truth as ``source`` has no defect, and
    the image is left out; to a model as source it means that there is none, and the map is empty. A few warm-up calls
    come first, uncounted.

    Raises:
        PromptError: if ``prompts`` are not about all images, or an image has no fixed prompt.
    """
    wanted = split[split["role"].isin(list(outputs))].sort_values("image_id")
    absent = [i for i in wanted["image_id"] if i not in prompts or (source == FIXED and not prompts[i])]
    if absent:
        raise PromptError(
            f"{len(absent)} image(s) have no prompt of source {source!r}, the first is {absent[0]}: draw them anew"
        )
    asked = wanted.loc[[bool(prompts[image_id]) for image_id in wanted["image_id"]]]
    for image_id in asked["image_id"][:1].repeat(WARM_UP):
        predictor(np.asarray(images[image_id]), prompts[image_id])
    seconds = []
    for role, path in outputs.items():
        header = PredictionHeader(role, (MERGED,), has_scores=True, defective_only=source == ORACLE)
        chosen = asked if source == ORACLE else wanted
        with write_predictions(path, header) as writer:
            for image_id in chosen.loc[chosen["role"] == role, "image_id"]:
                codes = predictor(np.asarray(images[image_id]), prompts[image_id])
                seconds.append(predictor.seconds)
                writer.add(image_id, codes)
    return seconds
