"""Trainable parameters of SAM 2: all, a part, or LoRA adapters."""

from defectbench.config.families.sam2 import Sam2Settings
from defectbench.config.families.sam2_encoder import Sam2EncoderSettings
from defectbench.families.sam2.network import NativeSam2
from defectbench.models.adapters import add_lora

_ENCODER_ATTENTION = r"image_encoder\.trunk\.blocks\.\d+\.attn\.(qkv|proj)"
_ENCODER_MLP = r"image_encoder\.trunk\.blocks\.\d+\.mlp\.layers\.\d+"
_DECODER_ATTENTION = r"sam_mask_decoder\.transformer\..*\.(q_proj|k_proj|v_proj|out_proj)"
TARGETS = {
    "encoder": rf".*{_ENCODER_ATTENTION}",
    "encoder_mlp": rf".*({_ENCODER_ATTENTION}|{_ENCODER_MLP})",
    "decoder": rf".*{_DECODER_ATTENTION}",
    "both": rf".*({_ENCODER_ATTENTION}|{_DECODER_ATTENTION})",
}
# The projections of the fine features belong to the decoder but run once per image, with the encoder: they count as the
# encoder's, so that a frozen encoder gives the same embedding however the decoder is trained.
_ENCODER = ("image_encoder.", "no_mem_embed", "sam_mask_decoder.conv_s0.", "sam_mask_decoder.conv_s1.")
PARTS = {
    "all": ("",),
    "encoder": _ENCODER,
    "decoder": ("sam_mask_decoder.",),
    "prompt_encoder": ("sam_prompt_encoder.",),
}
# What LoRA trains fully beside its adapters: the decoder's output layers.
_OUTPUT_HEADS = tuple(
    f"sam_mask_decoder.{name}."
    for name in ("output_upscaling", "output_hypernetworks_mlps", "iou_prediction_head", "pred_obj_score_head")
)
# Masks as prompts come with correction clicks only; without, these weights would get no gradient.
_MASK_PROMPT = "sam_prompt_encoder.mask_downscaling."


def set_trainable(network: NativeSam2, settings: Sam2Settings) -> None:
    """Make the part that the settings name trainable, and freeze everything else."""
    if settings.tune == "lora":
        add_adapters(network, settings)
        for name, parameter in network.named_parameters():
            parameter.requires_grad_(parameter.requires_grad or name.startswith(_OUTPUT_HEADS))
    elif settings.tune == "full":
        unfreeze_part(network, settings.train, mask_prompts=settings.correction_clicks > 0)
    else:
        network.requires_grad_(False)
    if settings.gradient_checkpointing:
        network.checkpoint_blocks()


def unfreeze_part(network: NativeSam2, part: str, mask_prompts: bool = True) -> None:
    """Make only ``part`` of the network trainable; without ``mask_prompts``, not the layers that embed masks."""
    for name, parameter in network.named_parameters():
        trains = name.startswith(PARTS[part])
        if part == "decoder" and name.startswith(_ENCODER):
            trains = False
        if name.startswith(_MASK_PROMPT) and not mask_prompts:
            trains = False
        parameter.requires_grad_(trains)


def add_adapters(network: NativeSam2, settings: Sam2EncoderSettings) -> None:
    """Freeze ``network`` and add the LoRA adapters of the settings, in place."""
    add_lora(
        network,
        TARGETS[settings.lora_target],
        rank=settings.lora_rank,
        alpha=settings.lora_alpha,
        dropout=settings.lora_dropout,
        dora=settings.dora,
        rslora=settings.rslora,
    )
