"""Small images for SAM 3, as the trainer reads them, and its official files in small."""

import json
from pathlib import Path

import cv2
import numpy as np
import torch
from safetensors.torch import save_file
from tiny_training import PixelSamples
from transformers import Sam3Model

from defectbench.config.families.sam3 import Sam3Settings
from defectbench.families.sam3.adapters import set_trainable
from defectbench.families.sam3.network import PhraseSam3
from defectbench.families.sam3.phrases import letter_tokenizer, serialize_tokenizer
from defectbench.families.sam3.weights import init_patches, nano_config
from defectbench.inference.geometry import Geometry

SIZE = (112, 112)
TOKENIZER = serialize_tokenizer(letter_tokenizer())


class Squashed(PixelSamples):
    """Grey images (N, H, W) and their masks at the tiny network's size; samples of training and validation alike."""

    def __init__(self, images: list[np.ndarray], masks: list[np.ndarray]) -> None:
        self.task, self.geometry = "merged", Geometry.of("112", "squash", 1)
        self.image_ids = [str(index) for index in range(len(images))]
        self.pixels = [self.geometry.apply(image)[None] for image in images]
        self.truth = [self.geometry.apply(mask, mask=True)[None] for mask in masks]


def cracks(folder: Path, n: int) -> Squashed:
    """The ``n`` images with the widest cracks among every sixth of CRACK500."""
    candidates = []
    for path in sorted((folder / "crack500_part" / "images").glob("*.jpg"))[::6]:
        mask = cv2.imread(str(folder / "crack500_part" / "masks" / path.name), cv2.IMREAD_GRAYSCALE) > 127
        candidates.append((mask.mean(), path.name, path, mask.astype(np.uint8)))
    widest = sorted(candidates, key=lambda entry: entry[:2], reverse=True)[:n]
    images = [cv2.imread(str(path), cv2.IMREAD_GRAYSCALE) for _, _, path, _ in widest]
    return Squashed(images, [mask for *_, mask in widest])


def write_official(folder: Path, network: Sam3Model, tracker: bool = True) -> None:
    """Write ``network`` as the hub has SAM 3: the detector of a video model, beside its tracker, and the tokenizer."""
    folder.mkdir(parents=True)
    values = {f"detector_model.{name}": value.contiguous() for name, value in network.state_dict().items()}
    if tracker:
        values |= {"tracker_model.memory.weight": torch.zeros(2), "tracker_neck.layers.weight": torch.zeros(2)}
    save_file(values, folder / "model.safetensors", {"format": "pt"})
    config = {"model_type": "sam3_video", "detector_config": network.config.to_dict(), "tracker_config": {}}
    (folder / "config.json").write_text(json.dumps(config))
    letter_tokenizer().save_pretrained(folder)


def random_network(seed: int = 0) -> Sam3Model:
    """An untrained nano."""
    torch.manual_seed(seed)
    config = nano_config()
    config.image_size = SIZE
    network = Sam3Model(config)
    init_patches(network)
    return network


def tiny_sam3(*groups: list[str], seed: int = 0, merged: bool = True, source: str = "semantic", **keys) -> PhraseSam3:
    """A nano prompted with ``groups`` of phrases, with the settings ``keys``."""
    network = random_network(seed)
    phrases = {str(number): group for number, group in enumerate(groups)}
    settings = Sam3Settings(size="nano", init="random", map=source, **{"instance_weight": 1.0, **keys})
    phrased = PhraseSam3(network, TOKENIZER, phrases, merged, source, settings.score_threshold)
    set_trainable(network, settings)
    return phrased.eval()
