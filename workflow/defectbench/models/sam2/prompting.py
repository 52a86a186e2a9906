"""From prompts of whole batches of images to one map per image."""

from collections import defaultdict
from collections.abc import Sequence

import numpy as np
import torch

from defectbench.data.prompts import Prompt
from defectbench.models.sam2.native import STRIDE, Answer, Embedding, NativeSam2, best_masks, enlarge

# Logit where no prompt says that there is a defect: p below 1e-13.
NOTHING = -30.0


def prompt_tensors(prompts: Sequence[Prompt], device: torch.device) -> tuple[torch.Tensor, torch.Tensor]:
    """Points (P, n, 2), float32, and labels (P, n), int32, of prompts that have n points each."""
    points = np.stack([prompt.points for prompt in prompts])
    labels = np.stack([prompt.labels for prompt in prompts]).astype(np.int32)
    return torch.from_numpy(points).to(device), torch.from_numpy(labels).to(device)


def ask(network: NativeSam2, embedding: Embedding, index: Sequence[int], prompts: Sequence[Prompt]) -> Answer:
    """Answer ``prompts`` of n points each about the images ``index`` of ``embedding``, in one pass of the decoder."""
    device = embedding.image.device
    points, labels = prompt_tensors(prompts, device)
    n_images = len(embedding.image)
    if list(index) != list(range(n_images)):
        embedding = embedding.of(torch.tensor(index, device=device))
    return network.decode(embedding, points, labels)


def maps(network: NativeSam2, embedding: Embedding, prompts: Sequence[Sequence[Prompt]]) -> torch.Tensor:
    """Logits (B, 1, H, W) of the images in ``embedding``, float32: in each pixel the highest of their prompts' masks.

    ``prompts`` has a sequence per image, in pixels of the encoder's input; an image without any is empty. Prompts
    with the same number of points are answered together: padding them to one number would change the answers.
    """
    device, (height, width) = embedding.image.device, embedding.image.shape[-2:]
    found = torch.full((len(prompts), 1, STRIDE * height, STRIDE * width), NOTHING, device=device)
    groups: dict[int, list[tuple[int, Prompt]]] = defaultdict(list)
    for image, of_image in enumerate(prompts):
        for prompt in of_image:
            groups[len(prompt.labels)].append((image, prompt))
    for members in groups.values():
        index, asked = zip(*members, strict=True)
        masks = enlarge(best_masks(ask(network, embedding, index, asked)))
        for image, mask in zip(index, masks, strict=True):
            torch.maximum(found[image, 0], mask, out=found[image, 0])
    return found
