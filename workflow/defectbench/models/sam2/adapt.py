"""What of a SAM 2 trains: everything, a part, or LoRA adapters; and files that hold just that."""

import shutil
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file
from torch import nn

from defectbench.config.sam2 import Sam2EncoderSettings
from defectbench.config.train_sam2 import Sam2Settings
from defectbench.files import atomic
from defectbench.models.sam2.base import WeightsError
from defectbench.models.sam2.native import NativeSam2

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


def set_up(network: NativeSam2, settings: Sam2Settings) -> None:
    """Let what the settings say train, and nothing else."""
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


def merge_lora(module: nn.Module) -> None:
    """Add the adapters to the weights that they adapt, and put the plain layers back, in place."""
    from peft.tuners.lora import LoraLayer

    for name, layer in list(module.named_modules()):
        if isinstance(layer, LoraLayer):
            layer.merge(safe_merge=True)
            module.set_submodule(name, layer.get_base_layer())


def trained_tensors(module: nn.Module) -> dict[str, torch.Tensor]:
    """The parameters that train, by name."""
    return {name: value.detach() for name, value in module.named_parameters() if value.requires_grad}


def save_trained(path: Path, values: Mapping[str, torch.Tensor], base_sha256: str) -> None:
    """Write what was trained, with the digest of the base that it belongs on, atomically."""
    with atomic(path) as temporary:
        save_file({name: value.contiguous() for name, value in values.items()}, temporary, {"base_sha256": base_sha256})


def load_trained(module: nn.Module, path: Path, base_sha256: str) -> None:
    """Fill the parameters that train with the file's; the others must be those of the base it was trained on.

    Raises:
        WeightsError: if the file cannot be read, belongs on another base, or holds other tensors.
    """
    try:
        values = load_file(path)
        with safe_open(path, "pt") as file:
            metadata = file.metadata() or {}
    except (OSError, SafetensorError) as error:
        raise WeightsError(f"{path} is no file of weights: {error}") from None
    if metadata.get("base_sha256") != base_sha256:
        raise WeightsError(
            f"{path} was trained on a base with the SHA-256 {metadata.get('base_sha256')}, "
            f"and is given one with {base_sha256}: take the base that it was trained on, or train again"
        )
    own = trained_tensors(module)
    wrong = sorted(set(own) ^ set(values))
    wrong += [name for name in own if name in values and own[name].shape != values[name].shape]
    if wrong:
        raise WeightsError(f"{path}: {len(wrong)} tensors do not fit, the first is {wrong[0]}: other settings?")
    module.load_state_dict(values, strict=False)


def save_kept(
    network: nn.Module, kept: Mapping[str, Mapping[str, torch.Tensor]], folder: Path, base_sha256: str
) -> Path:
    """Write what was trained in every kept checkpoint, best first, and the best again as model/weights.safetensors.

    Returns the latter's path; without checkpoints (zero-shot) it holds no tensor, only the digest of its base.
    """
    names = trained_tensors(network).keys()
    shutil.rmtree(folder / "checkpoints", ignore_errors=True)
    for checkpoint, values in kept.items():
        path = folder / "checkpoints" / f"{checkpoint}.safetensors"
        save_trained(path, {name: values[name] for name in names}, base_sha256)
    best = folder / "model" / "weights.safetensors"
    values = next(iter(kept.values())) if kept else {}
    save_trained(best, {name: values[name] for name in names if kept}, base_sha256)
    return best
