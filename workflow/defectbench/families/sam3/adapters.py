"""LoRA adapters of SAM 3."""

from transformers import Sam3Model

from defectbench.config.families.sam3 import Sam3Settings
from defectbench.models.adapters import add_lora


def set_trainable(network: Sam3Model, settings: Sam3Settings) -> None:
    """Freeze the network and, for LoRA, add the adapters of the settings, in place.

    Raises:
        WeightsError: if ``lora_target`` matches no layer.
    """
    network.requires_grad_(False)
    if settings.tune == "lora":
        add_lora(
            network,
            settings.lora_target,
            rank=settings.lora_rank,
            alpha=settings.lora_alpha,
            dropout=settings.lora_dropout,
            dora=settings.dora,
        )
