"""A trained promptable SAM 2 as a predictor: of an image and its prompts, or of an image alone."""

import time
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from defectbench.config.families.sam2 import Sam2Settings
from defectbench.config.prompts import FIXED, SOURCES
from defectbench.data.prompt_file import PromptError
from defectbench.data.prompts import Prompt, full_box_prompt
from defectbench.data.tiles import Window
from defectbench.families.sam2.adapters import set_trainable
from defectbench.families.sam2.embeddings import EmbeddingCache
from defectbench.families.sam2.network import Embedding, NativeSam2
from defectbench.families.sam2.prompting import NO_DEFECT, predict_maps, scale_prompts
from defectbench.families.sam2.weights import load_base
from defectbench.inference.encoder_clock import TimedEncoder
from defectbench.inference.geometry import Geometry
from defectbench.inference.network import configure_torch, device_name, resolve_device
from defectbench.inference.predictor import ModelFiles, Predictor
from defectbench.inference.tiling import Tiling
from defectbench.metrics.codes import codes_from_logits
from defectbench.models.adapters import load_trained, merge_lora
from defectbench.script import required


class PromptedPredictor:
    """Calls a network on one image and its prompts at a time, in float32 whatever the training's precision."""

    def __init__(
        self,
        network: NativeSam2,
        geometry: Geometry,
        device: torch.device,
        object_score_cut: bool,
        encoder: TimedEncoder[Embedding] | None = None,
        tiling: Tiling | None = None,
    ) -> None:
        """With ``encoder``, embeddings are cached; with ``tiling``, the network sees an image tile by tile.

        ``object_score_cut``: as in :func:`predict_maps`.
        """
        self.network = network.to(device).eval()
        self.geometry = geometry
        self.device = device
        self.object_score_cut = object_score_cut
        self._encode = self.network.encode if encoder is None else encoder.encode
        self._clock = time.perf_counter if encoder is None else encoder.clock
        self.tiling = tiling
        self.seconds = 0.0
        """Time of the last call; the encoder's is included even if the embedding came from a cache."""

    def __call__(self, image: np.ndarray, prompts: Sequence[Prompt]) -> np.ndarray:
        """Codes (1, H, W) of a uint8 image (H, W) or (H, W, 3), ``prompts`` and codes at the image's own pixels.

        Without prompts the network is not called: the lowest code everywhere.
        """
        started = self._clock()
        height, width = image.shape[:2]
        if not prompts:
            codes = np.zeros((1, height, width), np.uint16)
        elif self.tiling is None:
            codes = codes_from_logits(self._logits(image, prompts))
        else:
            codes = self.tiling.codes(height, width, lambda w: self._tile(image, prompts, w))
        self.seconds = self._clock() - started
        return codes

    def _tile(self, image: np.ndarray, prompts: Sequence[Prompt], window: Window) -> np.ndarray:
        """Logits (1, h, w) of a tile, prompted with the part of each prompt inside it; no defect if there is none."""
        parts = [part for prompt in prompts if (part := prompt.inside(window, image.shape[:2])) is not None]
        tile = image[window]
        return self._logits(tile, parts) if parts else np.full((1, *tile.shape[:2]), NO_DEFECT, np.float32)

    @torch.inference_mode()
    def _logits(self, image: np.ndarray, prompts: Sequence[Prompt]) -> np.ndarray:
        """Logits (1, H, W) of an image or tile, with prompts in its own pixels."""
        pixels = self.geometry.apply(image)
        pixels = pixels[None] if pixels.ndim == 2 else pixels.transpose(2, 0, 1)
        batch = torch.from_numpy(np.require(pixels, requirements=["C", "W"]))[None].to(self.device)
        scaled = scale_prompts(prompts, self.geometry, image.shape)
        logits = predict_maps(self.network, self._encode(batch), [scaled], self.object_score_cut)
        return self.geometry.restore(logits[0].cpu().numpy(), *image.shape[:2])


def load_prompted(run: dict[str, Any], files: ModelFiles, device: str, source: str) -> PromptedPredictor:
    """The promptable predictor of a run record (run.json), with the CPU threads of its settings.

    ``source`` is where the prompts come from: it may be another one than that of the run.

    Raises:
        WeightsError: if the trained weights do not fit the base weights.
    """
    settings = Sam2Settings.model_validate(run["settings"])
    configure_torch(settings.threads)
    network, origin = load_base(required(files.base, "--base"), settings.base_name)
    set_trainable(network, settings)
    load_trained(network, files.weights, origin["base_sha256"])
    merge_lora(network)
    encoder = None
    if settings.cache_embeddings:
        cache = EmbeddingCache(network, required(files.features, "--features"), origin["base_sha256"])
        encoder = TimedEncoder(cache)
    geometry = Geometry.of(settings.img_size, settings.resize)
    cut = settings.cuts_at_object_score(source)
    return PromptedPredictor(network, geometry, resolve_device(device), cut, encoder, Tiling.of(settings))


def load_predictor(run: dict[str, Any], files: ModelFiles, device: str) -> Predictor:
    """The predictor of a run whose prompt is the whole image; see :mod:`defectbench.families.contract`.

    Raises:
        PromptError: if the model is prompted with anything that the image alone does not give.
    """
    kind = run["experiment"]["prompt_type"]
    if SOURCES[kind] != FIXED:
        exp_id = run["experiment"]["exp_id"]
        raise PromptError(f"{exp_id} is prompted with {kind} of the true masks: it cannot predict from an image alone")
    prompted = load_prompted(run, files, device, FIXED)

    def codes(image: np.ndarray) -> np.ndarray:
        return prompted(image, [full_box_prompt(*image.shape[:2])])

    return Predictor(codes, device_name(prompted.device))
