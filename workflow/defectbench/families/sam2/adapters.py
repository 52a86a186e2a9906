"""Which parameters of SAM 2 are trained: all, a part, or LoRA adapters."""

from torch import nn

from defectbench.config.families.sam2 import Sam2Settings
from defectbench.config.families.sam2_encoder import Sam2EncoderSettings
from defectbench.families.sam2.network import NativeSam2

_ENCODER_ATTENTION = r"image_encoder\.trunk\.blocks\.\d+\.attn\.(qkv|proj)"
_ENCODER_MLP = r"image_encoder\.trunk\.blocks\.\d+\.mlp\.layers\.\d+"
_DECODER_ATTENTION = r"sam_mask_decoder\.transformer\..*\.(q_proj|k_proj|v_proj|out_proj)"
TARGETS = {
    "encoder": rf".*{_ENCODER_ATTENTION}",
    "encoder_mlp": rf".*({_ENCODER_ATTENTION}|{_ENCODER_MLP})",
    "decoder": rf".*{_DECODER_ATTENTION}",
    "both": rf".*({_ENCODER_ATTENTION}|{_DECODER_ATTENTION})",
}
# The projections of the fine features lie in the decoder but run once per image, with the encoder: they are counted
# to it, so that a frozen encoder gives the same embedding however the decoder is trained.
_ENCODER = ("image_encoder.", "no_mem_embed", "sam_mask_decoder.conv_s0.", "sam_mask_decoder.conv_s1.")
PARTS = {
    "all": ("",),
    "encoder": _ENCODER,
    "decoder": ("sam_mask_decoder.",),
    "prompt_encoder": ("sam_prompt_encoder.",),
}
# A mask as prompt comes with correction clicks alone; its weights would get no gradient without.
_MASK_PROMPT = "sam_prompt_encoder.mask_downscaling."


def set_trainable(network: NativeSam2, settings: Sam2Settings) -> None:
    """Make trainable what the settings say, and freeze everything else."""
    if settings.tune == "lora":
        add_lora(network, settings)
    elif settings.tune == "full":
        choose_part(network, settings.train, mask_prompts=settings.correction_clicks > 0)
    else:
        network.requires_grad_(False)
    if settings.gradient_checkpointing:
        network.checkpoint_blocks()


def choose_part(network: NativeSam2, part: str, mask_prompts: bool = True) -> None:
    """Let only ``part`` of the network train; without ``mask_prompts``, nothing that embeds masks."""
    for name, parameter in network.named_parameters():
        chosen = name.startswith(PARTS[part])
        if part == "decoder" and name.startswith(_ENCODER):
            chosen = False
        if name.startswith(_MASK_PROMPT) and not mask_prompts:
            chosen = False
        parameter.requires_grad_(chosen)


def add_lora(module: nn.Module, settings: Sam2EncoderSettings) -> None:
    """Freeze ``module``, a NativeSam2 or what holds one, and put adapters on the settings' targets, in place."""
    from peft import LoraConfig, get_peft_model  # here, because its import takes seconds

    config = LoraConfig(
        r=settings.lora_rank,
        lora_alpha=settings.lora_alpha,
        lora_dropout=settings.lora_dropout,
        use_dora=settings.dora,
        use_rslora=settings.rslora,
        target_modules=TARGETS[settings.lora_target],
    )
    get_peft_model(module, config)
