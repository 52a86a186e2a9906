"""Maps of a batch of images from their prompts."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from torch.nn import functional

from defectbench.data.prompts import Prompt
from defectbench.data.rle import decode_coco
from defectbench.families.sam2.network import (
    STRIDE,
    DecoderOutput,
    Embedding,
    NativeSam2,
    best_masks,
    cut_masks,
    upsample_masks,
)
from defectbench.inference.geometry import Geometry

# Logit outside of all masks: p below 1e-13.
NO_DEFECT = -30.0
# Prompts per decoder call: on a GPU limited by memory; on a CPU more of them would not fit into its caches.
_BATCH = {"cuda": 32, "cpu": 4}
# Logits of a mask prompt, 10 inside and -10 outside: SAM 2's values for masks that it did not predict itself.
_MASK_SCALE, _MASK_BIAS = 20.0, -10.0


def prompt_tensors(prompts: Sequence[Prompt], device: torch.device) -> tuple[torch.Tensor, torch.Tensor]:
    """Points (P, n, 2), float32, and labels (P, n), int32, of prompts that have n points each."""
    points = np.stack([prompt.points for prompt in prompts])
    labels = np.stack([prompt.labels for prompt in prompts]).astype(np.int32)
    return torch.from_numpy(points).to(device), torch.from_numpy(labels).to(device)


def mask_tensor(prompts: Sequence[Prompt], device: torch.device) -> torch.Tensor | None:
    """Logits (P, 1, H / 4, W / 4) of the masks of prompts, each of the input's size; None if no prompt has a mask."""
    masks = [prompt.mask for prompt in prompts if prompt.mask is not None]
    if not masks:
        return None
    stacked = torch.from_numpy(np.stack(masks)).to(device)
    return _MASK_SCALE * functional.avg_pool2d(stacked[:, None].float() / 255, 4) + _MASK_BIAS


def decode_prompts(
    network: NativeSam2, embedding: Embedding, index: Sequence[int], prompts: Sequence[Prompt]
) -> DecoderOutput:
    """Decode ``prompts`` on the images ``index`` of ``embedding``, in one call of the decoder.

    All have the same number of points, and all have a mask or none has.
    """
    device = embedding.image.device
    points, labels = prompt_tensors(prompts, device)
    n_images = len(embedding.image)
    if list(index) != list(range(n_images)):
        embedding = embedding.of(torch.tensor(index, device=device))
    return network.decode(embedding, points, labels, mask_tensor(prompts, device))


def predict_maps(
    network: NativeSam2, embedding: Embedding, prompts: Sequence[Sequence[Prompt]], object_score_cut: bool
) -> torch.Tensor:
    """Logits (B, 1, H, W) of the images in ``embedding``, float32: in each pixel the maximum over their prompts' masks.

    With ``object_score_cut``, a prompt has no mask where SAM 2 sees no object (:func:`cut_masks`).

    The margin of a prompt's score over its threshold limits the logits of its mask: a fuzzy AND, so that p >= 0.5 only
    where both the mask and the model that made the prompt predict a defect. Scores of 1 change nothing.

    ``prompts`` has a sequence per image, in pixels of the encoder's input; the map of an image without any is empty.
    Only prompts with the same number of points are decoded together: padding would change the masks.
    """
    device, (height, width) = embedding.image.device, embedding.image.shape[-2:]
    maps = torch.full((len(prompts), 1, STRIDE * height, STRIDE * width), NO_DEFECT, device=device)
    size = _BATCH.get(device.type, _BATCH["cuda"])
    groups: dict[tuple[int, bool], list[tuple[int, Prompt]]] = defaultdict(list)
    for image, image_prompts in enumerate(prompts):
        for prompt in image_prompts:
            groups[len(prompt.labels), prompt.mask is None].append((image, prompt))
    for members in groups.values():
        for start in range(0, len(members), size):
            index, batch = zip(*members[start : start + size], strict=True)
            output = decode_prompts(network, embedding, index, batch)
            masks = best_masks(output)
            masks = upsample_masks(cut_masks(masks, output.object_score) if object_score_cut else masks)
            for image, mask, prompt in zip(index, masks, batch, strict=True):
                torch.maximum(maps[image, 0], mask.clamp(max=prompt.margin), out=maps[image, 0])
    return maps


def scale_prompts(prompts: Sequence[Prompt], geometry: Geometry, shape: Sequence[int]) -> list[Prompt]:
    """Prompts of an image of ``shape`` (height, width, ...), in pixels of the network's input, with their masks."""
    height, width = shape[:2]
    inner = geometry.scaled_size(height, width)
    scaled = [prompt.scaled(inner[0] / height, inner[1] / width) for prompt in prompts]
    return [
        prompt
        if prompt.rle is None
        else replace(prompt, mask=geometry.apply(255 * decode_coco(prompt.rle, *shape[:2])))
        for prompt in scaled
    ]
