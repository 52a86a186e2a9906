"""A trained segmentation head on SAM 2's encoder as a predictor."""

from typing import Any

from defectbench.config.families.sam2_head import Sam2HeadSettings
from defectbench.families.sam2_head.network import build_head
from defectbench.inference.network import configure_torch, make_network_predictor
from defectbench.inference.predictor import ModelFiles, Predictor
from defectbench.models.adapters import load_trained, merge_lora
from defectbench.script import required


def load_predictor(run: dict[str, Any], files: ModelFiles, device: str) -> Predictor:
    """The network of a run record (run.json) with its weights; see :mod:`defectbench.families.contract`."""
    settings = Sam2HeadSettings.model_validate(run["settings"])
    configure_torch(settings.threads)
    network, origin = build_head(settings, required(files.base, "--base"), len(run["classes"]))
    load_trained(network, files.weights, origin["base_sha256"])
    merge_lora(network)
    return make_network_predictor(network, settings, device)
