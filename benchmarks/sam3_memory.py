"""What SAM 3 with LoRA keeps for the backward pass: counted, on tensors that hold no data, for a batch of one.

The full network is built and run forward on fake tensors (torch's FakeTensorMode), in mixed precision; every tensor
that autograd saves is counted once, weights left out. Run: python benchmarks/sam3_memory.py
"""

import argparse

import torch
from torch._subclasses.fake_tensor import FakeTensorMode
from transformers import Sam3Config, Sam3Model

from defectbench.config.families.sam3 import Sam3Settings
from defectbench.families.sam3.adapters import set_trainable
from defectbench.families.sam3.loss import Sam3Loss
from defectbench.families.sam3.network import PhraseSam3
from defectbench.families.sam3.phrases import letter_tokenizer, serialize_tokenizer

GIB = 2**30
FAKE = FakeTensorMode()  # one for all: transformers keeps position encodings from call to call
RUNS = {
    "all of q, k, v, o": {},
    "the same, checkpointed": {"gradient_checkpointing": True},
    "image encoder frozen": {"lora_target": r"(?!vision_encoder|text_encoder).*\.[qkvo]_proj"},
}


def main(argv: list[str] | None = None) -> None:
    """Print a line per setting."""
    argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter).parse_args(argv)
    for name, keys in RUNS.items():
        settings = Sam3Settings(tune="lora", **keys)
        weights, trained, kept = saved_bytes(settings)
        training = 3 * 4 * trained  # gradients and two moments of AdamW
        parts = {
            "weights": weights,
            "gradients and optimiser": training,
            "kept": kept,
            "sum": weights + training + kept,
        }
        print(f"{name}: " + ", ".join(f"{part} {size / GIB:.2f} GiB" for part, size in parts.items()))


class Step(torch.nn.Module):
    """The loss of one image."""

    def __init__(self, settings: Sam3Settings) -> None:
        """A network of the full size, without any data."""
        super().__init__()
        with torch.device("meta"):
            network = Sam3Model(Sam3Config())
            set_trainable(network, settings)
        self.phrased = PhraseSam3(
            network, serialize_tokenizer(letter_tokenizer()), {"merged": ["crack"]}, True, "semantic", 0.5
        )
        # The decoder asks tensors for the size of the grid, which hold none here.
        places = network.config.image_size // network.config.vision_config.backbone_config.patch_size
        network.detr_decoder._get_coords = lambda *_, dtype, device: (torch.arange(places, dtype=dtype) / places,) * 2
        self.loss = Sam3Loss(settings)
        if settings.gradient_checkpointing:
            self.phrased.checkpoint_layers()

    def forward(self, images: torch.Tensor, truth: torch.Tensor) -> torch.Tensor:
        """As in training: the network in mixed precision, the loss in float32."""
        phrased = self.phrased
        with torch.autocast("cpu", torch.bfloat16):
            pyramid = phrased.pyramid(phrased.encode(images))
            answer = phrased.stack_outputs([phrased.segment_phrase(pyramid, 0, phrased.text_features([0])[0])])
        return self.loss(answer, phrased.upsample(answer.semantic), truth)


def saved_bytes(settings: Sam3Settings) -> tuple[int, int, int]:
    """Bytes of all weights, number of trained ones, and bytes that autograd keeps in a training step of one image."""
    step, side = Step(settings).train(), int(settings.img_size)
    saved: dict[int, torch.Tensor] = {}
    with FAKE:
        values = {
            name: torch.empty(value.shape, dtype=value.dtype).requires_grad_(value.requires_grad)
            for name, value in (*step.named_parameters(), *step.named_buffers())
        }
        own = {value.untyped_storage()._cdata for value in values.values()}

        def keep(tensor: torch.Tensor) -> torch.Tensor:
            saved.setdefault(tensor.untyped_storage()._cdata, tensor)
            return tensor

        images = torch.zeros(1, 3, side, side, dtype=torch.uint8)
        truth = torch.zeros(1, 1, side, side)
        with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
            torch.func.functional_call(step, values, (images, truth))
    kept = sum(tensor.untyped_storage().nbytes() for key, tensor in saved.items() if key not in own)
    parameters = list(step.parameters())
    weights = sum(value.numel() * value.element_size() for value in parameters)
    return weights, sum(value.numel() for value in parameters if value.requires_grad), kept


if __name__ == "__main__":
    main()
