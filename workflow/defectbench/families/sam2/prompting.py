"""From prompts of whole batches of images to one map per image."""

from collections import defaultdict
from collections.abc import Sequence

import numpy as np
import torch
from torch.nn import functional

from defectbench.data.prompts import Prompt
from defectbench.families.sam2.network import STRIDE, Answer, Embedding, NativeSam2, best_masks, enlarge

# Logit where no prompt says that there is a defect: p below 1e-13.
NOTHING = -30.0
# Prompts that the decoder answers at a time: on a GPU a bound on memory; on a CPU more of them leave its caches.
_BATCH = {"cuda": 32, "cpu": 4}
# Logits of a mask that is given, 10 inside and -10 outside: SAM 2's own, for masks that are not an earlier answer.
_MASK_SCALE, _MASK_BIAS = 20.0, -10.0


def prompt_tensors(prompts: Sequence[Prompt], device: torch.device) -> tuple[torch.Tensor, torch.Tensor]:
    """Points (P, n, 2), float32, and labels (P, n), int32, of prompts that have n points each."""
    points = np.stack([prompt.points for prompt in prompts])
    labels = np.stack([prompt.labels for prompt in prompts]).astype(np.int32)
    return torch.from_numpy(points).to(device), torch.from_numpy(labels).to(device)


def mask_tensor(prompts: Sequence[Prompt], device: torch.device) -> torch.Tensor | None:
    """Logits (P, 1, H / 4, W / 4) of prompts that all have a mask of the input's size; None if none has one."""
    masks = [prompt.mask for prompt in prompts if prompt.mask is not None]
    if not masks:
        return None
    stacked = torch.from_numpy(np.stack(masks)).to(device)
    return _MASK_SCALE * functional.avg_pool2d(stacked[:, None].float() / 255, 4) + _MASK_BIAS


def ask(network: NativeSam2, embedding: Embedding, index: Sequence[int], prompts: Sequence[Prompt]) -> Answer:
    """Answer ``prompts`` about the images ``index`` of ``embedding``, in one pass of the decoder.

    All have n points, and all have a mask or none has.
    """
    device = embedding.image.device
    points, labels = prompt_tensors(prompts, device)
    n_images = len(embedding.image)
    if list(index) != list(range(n_images)):
        embedding = embedding.of(torch.tensor(index, device=device))
    return network.decode(embedding, points, labels, mask_tensor(prompts, device))


def maps(network: NativeSam2, embedding: Embedding, prompts: Sequence[Sequence[Prompt]]) -> torch.Tensor:
    """Logits (B, 1, H, W) of the images in ``embedding``, float32: in each pixel the highest of their prompts' masks.

    A mask counts no more than the margin of its prompt's score over its threshold: a fuzzy AND, so that p >= 0.5 only
    where both the mask and what made the prompt say so. Scores of 1 change nothing.

    ``prompts`` has a sequence per image, in pixels of the encoder's input; an image without any is empty. Prompts
    with the same number of points are answered together: padding them to one number would change the answers.
    """
    device, (height, width) = embedding.image.device, embedding.image.shape[-2:]
    found = torch.full((len(prompts), 1, STRIDE * height, STRIDE * width), NOTHING, device=device)
    size = _BATCH.get(device.type, _BATCH["cuda"])
    groups: dict[tuple[int, bool], list[tuple[int, Prompt]]] = defaultdict(list)
    for image, of_image in enumerate(prompts):
        for prompt in of_image:
            groups[len(prompt.labels), prompt.mask is None].append((image, prompt))
    for members in groups.values():
        for start in range(0, len(members), size):
            index, asked = zip(*members[start : start + size], strict=True)
            masks = enlarge(best_masks(ask(network, embedding, index, asked)))
            for image, mask, prompt in zip(index, masks, asked, strict=True):
                torch.maximum(found[image, 0], mask.clamp(max=prompt.margin), out=found[image, 0])
    return found
