"""The run record of a training, run.json, from which the columns of the results are taken."""

import hashlib
import importlib.metadata
import os
import platform
import sys
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from defectbench.config.base import Settings, is_elsewhere
from defectbench.config.identity import ExperimentIdentity
from defectbench.files import file_sha256

Track = Literal["automatic", "oracle", "reference"]

PACKAGES = ("torch", "lightning", "segmentation-models-pytorch", "albumentations", "numpy", "opencv-python-headless")
# Packages of single families, recorded if they were imported.
EXTRAS = ("sam2", "transformers", "peft", "ultralytics")


def run_record(
    identity: ExperimentIdentity,
    settings: Settings,
    track: Track,
    prompt_source: str,
    **facts: Any,
) -> dict[str, Any]:
    """The record of one finished training.

    ``track`` and ``prompt_source`` are set by the family's code from the origin of its prompts, never by the user.
    ``facts`` are the remaining columns; a column that does not apply is omitted, and null in the results.
    """
    return {
        "experiment": {**identity.model_dump(mode="json"), "track": track, "prompt_source": prompt_source},
        "settings": recorded_settings(settings),
        **facts,
        # Set by defectbench.on_gpu.
        "gpu": os.environ.get("CUDA_VISIBLE_DEVICES"),
        "finished_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "versions": {"python": platform.python_version()}
        | {package: importlib.metadata.version(package) for package in (*PACKAGES, *filter(sys.modules.get, EXTRAS))},
    }


def recorded_settings(settings: Settings) -> dict[str, Any]:
    """Values of ``settings`` as JSON, for records: of a file elsewhere on this machine the name and SHA-256."""
    values = settings.model_dump(mode="json", exclude=settings.inactive_keys)
    for key, value in settings:
        if isinstance(value, Path) and key in values and is_elsewhere(value):
            values[key] = f"{value.name} (SHA-256 {file_sha256(value)})"
    return values


def images_seen(*image_ids: Iterable[str]) -> dict[str, str]:
    """Digest of the images of training and early stopping, those of the initial weights included.

    Cross-validation accepts predictions only of models with the right digest.
    """
    seen = sorted({image_id for ids in image_ids for image_id in ids})
    return {"seen_ids_sha256": hashlib.sha256("\n".join(seen).encode()).hexdigest()}


def file_facts(path: Path) -> dict[str, Any]:
    """Path, size and digest of a weights file."""
    return {
        "weights_path": path.as_posix(),
        "weights_bytes": path.stat().st_size,
        "weights_sha256": file_sha256(path),
    }


def parameter_facts(network: Any) -> dict[str, Any]:
    """Numbers of parameters of a torch module: all, trainable, and trainable per child module."""
    root = getattr(network, "network", network)
    return {
        "params_total": sum(p.numel() for p in network.parameters()),
        "params_trainable": sum(p.numel() for p in network.parameters() if p.requires_grad),
        "params_by_module": {
            name: sum(p.numel() for p in child.parameters() if p.requires_grad) for name, child in root.named_children()
        }
        | {name: p.numel() for name, p in root.named_parameters(recurse=False) if p.requires_grad},
    }
