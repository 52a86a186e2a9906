"""Training of a promptable SAM 2: the common task, with prompts."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from defectbench.config.families.sam2 import Sam2Settings
from defectbench.data.prompts import Prompt
from defectbench.families.sam2.loss import Sam2Loss
from defectbench.families.sam2.network import Answer, Embedding, NativeSam2, enlarge
from defectbench.families.sam2.predictor import scaled_prompts
from defectbench.families.sam2.prompt_sampling import PromptSampler, correction
from defectbench.families.sam2.prompting import maps, prompt_tensors
from defectbench.training.losses import make_loss
from defectbench.training.task import SegmentationTask, TrainingOutputs, ValidationOutputs

Encoder = Callable[[torch.Tensor], Embedding]


@dataclass(frozen=True)
class Prompting:
    """How a training asks: anew in every step, and by the prompts of the files on val."""

    sampler: PromptSampler
    val_prompts: Mapping[str, Sequence[Prompt]]
    encode: Encoder | None = None
    """Encoder of training images, e.g. a cache of a frozen one; None: the network's."""
    encode_val: Encoder | None = None


class PromptTask(SegmentationTask):
    """Trains and validates a :class:`NativeSam2`."""

    network: NativeSam2
    settings: Sam2Settings

    def __init__(self, name: str, network: NativeSam2, loss: Sam2Loss, *rest: Any, prompting: Prompting) -> None:
        """As :class:`SegmentationTask`, with ``prompting``."""
        super().__init__(name, network, loss, *rest)
        self.loss = loss  # as it is: it does not take the outputs of deep supervision
        self.prompting = prompting
        self.encode = prompting.encode or self.network.encode
        self.encode_val = prompting.encode_val or self.network.encode
        self._map_loss = make_loss("dice_focal")

    def training_outputs(self, images: torch.Tensor, masks: torch.Tensor, indices: torch.Tensor) -> TrainingOutputs:
        """Loss of prompts drawn anew, and of the clicks that correct the answers to them; the last masks."""
        # torch's generator is seeded for each batch, so this one too is the same in a resumed training.
        rng = np.random.default_rng(int(torch.randint(2**62, ())))
        drawn = self.prompting.sampler.draw(masks[:, 0].cpu().numpy(), rng)
        targets = torch.from_numpy(drawn.targets).to(images.device)
        embedding = self.encode(images)
        if drawn.index != list(range(len(images))):
            embedding = embedding.of(torch.tensor(drawn.index, device=images.device))
        prompts, earlier, loss = drawn.prompts, None, 0.0
        for click in range(self.settings.correction_clicks + 1):
            answer = self.network.decode(embedding, *prompt_tensors(prompts, images.device), earlier)
            loss = loss + self.loss(answer, _enlarge_all(answer), targets)
            chosen = _highest_iou(answer)
            if click < self.settings.correction_clicks:
                earlier = chosen[:, None].detach()
                predicted = (enlarge(earlier[:, 0]) > 0).cpu().numpy()
                corrected = zip(prompts, predicted, drawn.targets, strict=True)
                prompts = [correction(*triple, rng) for triple in corrected]
        return loss, enlarge(chosen)[:, None], targets[:, None]

    def validation_outputs(self, images: torch.Tensor, masks: torch.Tensor, indices: torch.Tensor) -> ValidationOutputs:
        """Maps answered to the fixed prompts; the loss is Dice + focal BCE of the maps."""
        prompts = [self._prompts(index) for index in indices.tolist()]
        logits = maps(self.network, self.encode_val(images), prompts)
        return self._map_loss(logits, masks), logits

    def _prompts(self, index: int) -> list[Prompt]:
        prompts = self.prompting.val_prompts.get(self.val.image_ids[index], ())
        return scaled_prompts(prompts, self.val.geometry, self.val.true_masks(index).shape[1:])

    def parameter_groups(self) -> list[dict[str, Any]]:
        """What trains, with a lower learning rate in lower blocks of the encoder."""
        return layer_groups(self.network, self.settings.lr, self.settings.layer_decay)


def layer_groups(network: NativeSam2, lr: float, decay: float) -> list[dict[str, Any]]:
    """Parameter groups, top first: lr · decay^k for what lies k blocks below the top of the encoder.

    K. Clark et al., ELECTRA, ICLR 2020; for vision transformers H. Bao et al., BEiT, ICLR 2022. Neck, prompt
    encoder and mask decoder have lr itself.
    """
    trunk = "image_encoder.trunk."
    top = len(network.image_encoder.trunk.blocks) + 1
    groups: dict[int, list[torch.nn.Parameter]] = {}
    for name, parameter in network.named_parameters():
        if not parameter.requires_grad:
            continue
        depth = top
        if name.startswith(f"{trunk}blocks."):
            depth = 1 + int(name.removeprefix(f"{trunk}blocks.").split(".")[0])
        elif name.startswith(trunk):
            depth = 0
        groups.setdefault(depth if decay < 1 else top, []).append(parameter)
    return [{"params": groups[depth], "lr": lr * decay ** (top - depth)} for depth in sorted(groups, reverse=True)]


def _highest_iou(answer: Answer) -> torch.Tensor:
    """The masks (P, h, w) with the highest predicted IoU, whatever the object score."""
    return answer.masks[torch.arange(len(answer.iou), device=answer.iou.device), answer.iou.argmax(dim=1)]


def _enlarge_all(answer: Answer) -> torch.Tensor:
    """All masks (P, M, H, W) at the encoder's input size."""
    n, m = answer.masks.shape[:2]
    return enlarge(answer.masks.flatten(0, 1)).unflatten(0, (n, m))
