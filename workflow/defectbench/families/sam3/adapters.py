"""LoRA on SAM 3."""

import torch
from peft import LoraConfig, inject_adapter_in_model
from transformers import Sam3Model

from defectbench.config.families.sam3 import Sam3Settings
from defectbench.models.adapters import WeightsError


def set_trainable(network: Sam3Model, settings: Sam3Settings) -> None:
    """Freeze the network and add the adapters of the settings, in place; for zero-shot none.

    Raises:
        WeightsError: if ``lora_target`` names no layer.
    """
    network.requires_grad_(False)
    if settings.tune == "none":
        return
    config = LoraConfig(
        r=settings.lora_rank,
        lora_alpha=settings.lora_alpha,
        lora_dropout=settings.lora_dropout,
        use_dora=settings.dora,
        target_modules=settings.lora_target,
    )
    try:
        inject_adapter_in_model(config, network)
    except ValueError as error:
        linear = sorted(name for name, layer in network.named_modules() if isinstance(layer, torch.nn.Linear))
        raise WeightsError(
            f"lora_target: {settings.lora_target!r} fits no layer that can be adapted ({error}). Linear layers have "
            f"names such as {linear[0]} and {linear[-1]}"
        ) from None
