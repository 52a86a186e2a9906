"""Prediction by a promptable model: from packed images and a file of prompts to a prediction file."""

import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from defectbench.config.prompts import ORACLE
from defectbench.data.packing import ImagePack
from defectbench.data.prompts import Prompt, PromptError
from defectbench.inference.geometry import Geometry
from defectbench.inference.predict import WARM_UP
from defectbench.inference.prediction_file import MERGED, PredictionHeader, write_predictions
from defectbench.metrics.codes import codes_from_logits
from defectbench.models.sam2.embeddings import EmbeddingCache
from defectbench.models.sam2.native import NativeSam2
from defectbench.models.sam2.prompting import maps


class PromptedPredictor:
    """Calls a network on one image and its prompts at a time, in float32 whatever the training's precision."""

    def __init__(
        self, network: NativeSam2, geometry: Geometry, device: torch.device, cache: EmbeddingCache | None = None
    ) -> None:
        """With ``cache``, images whose embeddings lie there are not encoded again."""
        self.network = network.to(device).eval()
        self.geometry = geometry
        self.device = device
        self.cache = cache
        self.seconds = 0.0
        """Time of the last call; that of the encoder counts even if the embedding came from the cache."""

    @torch.inference_mode()
    def __call__(self, image: np.ndarray, prompts: Sequence[Prompt]) -> np.ndarray:
        """Codes (1, H, W) of a uint8 image (H, W) or (H, W, 3), ``prompts`` and codes at the image's own pixels."""
        started = time.perf_counter()
        pixels = self.geometry.apply(image)
        pixels = pixels[None] if pixels.ndim == 2 else pixels.transpose(2, 0, 1)
        batch = torch.from_numpy(np.require(pixels, requirements=["C", "W"]))[None].to(self.device)
        reading = 0.0
        if self.cache is None:
            embedding = self.network.encode(batch)
        else:
            before = time.perf_counter()
            embedding = self.cache.encode(batch)
            reading = time.perf_counter() - before - self.cache.seconds
        logits = maps(self.network, embedding, [scaled_prompts(prompts, self.geometry, image.shape)])
        found = self.geometry.restore(logits[0].cpu().numpy(), *image.shape[:2])
        codes = codes_from_logits(found)
        self.seconds = time.perf_counter() - started - reading
        return codes


def scaled_prompts(prompts: Sequence[Prompt], geometry: Geometry, shape: Sequence[int]) -> list[Prompt]:
    """``prompts`` of an image of ``shape`` (height, width, ...) in pixels of the network's input."""
    height, width = shape[:2]
    inner = geometry.scaled_size(height, width)
    return [prompt.scaled(inner[0] / height, inner[1] / width) for prompt in prompts]


def predict_prompted(
    predictor: PromptedPredictor,
    images: ImagePack,
    split: pd.DataFrame,
    prompts: Mapping[str, Sequence[Prompt]],
    outputs: Mapping[str, Path],
    source: str,
) -> list[float]:
    """Predict the images of the roles in ``outputs`` that have ``prompts``, one at a time; return the seconds of each.

    Only prompts whose ``source`` is the truth may leave images out: those without a defect. A few warm-up calls come
    first, uncounted.

    Raises:
        PromptError: if an image has no prompt, and the source is not the truth.
    """
    wanted = split[split["role"].isin(list(outputs))].sort_values("image_id")
    asked = wanted[wanted["image_id"].isin(prompts.keys())]
    if source != ORACLE and len(asked) < len(wanted):
        raise PromptError(f"{len(wanted) - len(asked)} image(s) have no prompt of source {source!r}; draw them anew")
    for image_id in asked["image_id"][:1].repeat(WARM_UP):
        predictor(np.asarray(images[image_id]), prompts[image_id])
    seconds = []
    for role, path in outputs.items():
        header = PredictionHeader(role, (MERGED,), has_scores=True, defective_only=source == ORACLE)
        with write_predictions(path, header) as writer:
            for image_id in asked.loc[asked["role"] == role, "image_id"]:
                codes = predictor(np.asarray(images[image_id]), prompts[image_id])
                seconds.append(predictor.seconds)
                writer.add(image_id, codes)
    return seconds
