"""What of SAM 3 is trained."""

from transformers import Sam3Model

from defectbench.config.families.sam3 import Sam3Settings
from defectbench.models.adapters import add_lora


def set_trainable(network: Sam3Model, settings: Sam3Settings) -> None:
    """Freeze the network, or add the adapters of LoRA, or let all weights be trained, in place.

    The geometry encoder reads boxes and never runs with phrases: its weights are frozen in any case.

    Raises:
        WeightsError: if ``lora_target`` matches no layer.
    """
    network.requires_grad_(settings.tune == "full")
    network.geometry_encoder.requires_grad_(False)
    if settings.tune == "lora":
        add_lora(
            network,
            settings.lora_target,
            rank=settings.lora_rank,
            alpha=settings.lora_alpha,
            dropout=settings.lora_dropout,
            dora=settings.dora,
        )
