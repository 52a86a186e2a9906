"""Training and validation steps of a promptable SAM 2."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from defectbench.config.families.sam2 import Sam2Settings
from defectbench.data.prompts import Prompt
from defectbench.families.sam2.loss import Sam2Loss
from defectbench.families.sam2.network import (
    DecoderOutput,
    Embedding,
    NativeSam2,
    best_masks,
    drop_absent_masks,
    upsample_masks,
)
from defectbench.families.sam2.prompt_sampling import PromptSampler, add_correction_click
from defectbench.families.sam2.prompting import predict_maps, prompt_tensors, scale_prompts
from defectbench.training.losses import make_loss
from defectbench.training.task import SegmentationTask, TrainingOutputs, ValidationOutputs

Encoder = Callable[[torch.Tensor], Embedding]


@dataclass(frozen=True)
class Prompting:
    """Prompts of a training: random ones in every step, and those of the prompt file on val."""

    sampler: PromptSampler
    val_prompts: Mapping[str, Sequence[Prompt]]
    encode: Encoder | None = None
    """Encoder of training images, e.g. the cache of a frozen one; None: the network's."""
    encode_val: Encoder | None = None
    """The same of val images."""


class PromptTask(SegmentationTask):
    """Trains and validates a :class:`NativeSam2`."""

    network: NativeSam2
    settings: Sam2Settings

    def __init__(self, name: str, network: NativeSam2, loss: Sam2Loss, *rest: Any, prompting: Prompting) -> None:
        """As :class:`SegmentationTask`, with ``prompting``."""
        super().__init__(name, network, loss, *rest)
        self.loss = loss  # without the base class's wrapper for deep supervision
        self.prompting = prompting
        self.encode = prompting.encode or self.network.encode
        self.encode_val = prompting.encode_val or self.network.encode
        self._map_loss = make_loss("dice_focal")

    def training_outputs(self, images: torch.Tensor, masks: torch.Tensor, indices: torch.Tensor) -> TrainingOutputs:
        """Loss of random prompts and of the clicks that correct their masks; the masks after the last click."""
        # torch's generator is seeded for each batch, so this one is the same in a resumed training too.
        rng = np.random.default_rng(int(torch.randint(2**62, ())))
        truth, *predicted = masks.cpu().numpy().swapaxes(0, 1)
        batch = self.prompting.sampler.draw(truth, rng, *predicted)
        targets = torch.from_numpy(batch.targets).to(images.device)
        embedding = self.encode(images)
        if batch.index != list(range(len(images))):
            embedding = embedding.of(torch.tensor(batch.index, device=images.device))
        prompts, earlier, loss = batch.prompts, None, 0.0
        for click in range(self.settings.correction_clicks + 1):
            output = self.network.decode(embedding, *prompt_tensors(prompts, images.device), earlier)
            if self.loss.recipe.score_decides:
                output = drop_absent_masks(output)
            loss = loss + self.loss(output, _upsample_all(output), targets)
            best = best_masks(output)
            if click < self.settings.correction_clicks:
                # With its gradient: the loss after a click trains the masks before it too, as in the package.
                earlier = best[:, None]
                predicted = (upsample_masks(best) > 0).cpu().numpy()
                triples = zip(prompts, predicted, batch.targets, strict=True)
                prompts = [add_correction_click(*triple, rng) for triple in triples]
        return loss, upsample_masks(best)[:, None], targets[:, None]

    def validation_outputs(self, images: torch.Tensor, masks: torch.Tensor, indices: torch.Tensor) -> ValidationOutputs:
        """Maps of the prompts of the file; the loss is Dice + focal BCE of the maps."""
        prompts = [self._prompts(index) for index in indices.tolist()]
        cut = self.settings.cuts_at_object_score(self.settings.traits.prompt_source)
        logits = predict_maps(self.network, self.encode_val(images), prompts, cut)
        return self._map_loss(logits, masks), logits

    def _prompts(self, index: int) -> list[Prompt]:
        prompts = self.prompting.val_prompts.get(self.val.image_ids[index], ())
        return scale_prompts(prompts, self.val.geometry, self.val.true_masks(index).shape[1:])

    def parameter_groups(self) -> list[dict[str, Any]]:
        """Trainable parameters, with a lower learning rate in lower blocks of the encoder."""
        return layer_groups(self.network, self.settings.lr, self.settings.layer_decay)


def layer_groups(network: NativeSam2, lr: float, decay: float) -> list[dict[str, Any]]:
    """Parameter groups with layer-wise decay, top first: lr · decay^k for the block k below the top of the encoder.

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


def _upsample_all(output: DecoderOutput) -> torch.Tensor:
    """All masks (P, M, H, W) at the encoder's input size."""
    n, m = output.masks.shape[:2]
    return upsample_masks(output.masks.flatten(0, 1)).unflatten(0, (n, m))
