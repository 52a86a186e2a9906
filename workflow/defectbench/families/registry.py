"""Families by name, for code that works with any family: prediction of new images, ensembles, conformance tests.

Modules are imported by name, so that a program which uses one family imports only that one. Code digests follow static
imports only: a rule that calls :func:`load_experiment` adds the digest of the family's prediction script.
"""

import importlib
import importlib.util
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from defectbench.config.families.registry import FAMILIES
from defectbench.data.packing import select_channels
from defectbench.data.scaling import Scaling
from defectbench.files import read_json
from defectbench.inference.ensemble import MeanPredictor
from defectbench.inference.predictor import ModelFiles, Predictor
from defectbench.script import UserError

WEIGHTS_FOLDER = Path("weights")
"""Where base weights are, relative to the working folder of the workflow."""


class LoadError(UserError):
    """An experiment that cannot predict new images."""


def family_module(family: str, part: str) -> ModuleType:
    """The module ``part`` ('training' or 'predictor') of a family, or the family's one module."""
    name = f"{__package__}.{family}"
    spec = importlib.util.find_spec(name)
    is_folder = spec is not None and spec.submodule_search_locations is not None
    return importlib.import_module(f"{name}.{part}" if is_folder else name)


def load_experiment(folder: Path, device: str = "auto") -> tuple[Callable[[np.ndarray], np.ndarray], tuple[str, ...]]:
    """The predictor of the finished experiment in ``folder``, and the classes of its maps.

    It maps a uint8 image (H, W), or (H, W, 3) if the experiment was trained on colour, to codes (C, H, W): for the
    folds of a cross-validated experiment and the members of an ensemble the mean of their codes.

    Raises:
        LoadError: if the experiment is not finished, or needs more than an image to predict.
    """
    folder = Path(folder)
    if not (folder / "run.json").is_file():
        raise LoadError(f"{folder}: no run.json; is this the folder of a finished experiment?")
    run = read_json(folder / "run.json")
    if run.get("members"):
        # Paths in records are relative to the working folder of the workflow.
        members = [load_experiment(Path(member["folder"]), device) for member in run["members"]]
        return MeanPredictor([p for p, _ in members], [m["weight"] for m in run["members"]]), members[0][1]
    return load_model(folder, run, device), tuple(run["classes"])


def load_model(folder: Path, run: dict[str, Any], device: str) -> Predictor | Callable[[np.ndarray], np.ndarray]:
    """The predictor of one trained model, for images with the channels that it was trained on."""
    family = run["experiment"]["family"]
    if family not in FAMILIES:
        raise LoadError(f"{folder}: family {family} is unknown; known: {', '.join(FAMILIES)}")
    settings = FAMILIES[family].model_validate(run["settings"])
    traits = settings.traits
    if not traits.sees_image_alone:
        raise LoadError(f"{folder}: cannot predict new images: it needs prompts, or predicts only boxes")
    files = ModelFiles(
        weights=folder / "model" / settings.weights_file,
        base=WEIGHTS_FOLDER / f"{traits.base_name}.safetensors" if traits.predicts_with_base else None,
        features=Path("runs", run["experiment"]["dataset"], "embeddings"),
    )
    load_predictor = family_module(family, "predictor").load_predictor
    predictor = convert_channels(load_predictor(run, files, device), run.get("in_channels", 3))
    return scale_values(predictor, run)


def scale_values(
    predictor: Callable[[np.ndarray], np.ndarray], run: dict[str, Any]
) -> Callable[[np.ndarray], np.ndarray]:
    """``predictor`` for images as they are stored: values scaled, and channels chosen, as in the training ``run``."""
    scaling, channels = run.get("scaling"), run["settings"].get("input_channels")
    if not scaling and not channels:
        return predictor
    limits = Scaling.of_record(scaling) if scaling else None

    def codes(image: np.ndarray) -> np.ndarray:
        scaled = image if limits is None else limits.apply(image)
        return predictor(scaled if channels is None else select_channels(scaled, channels))

    return codes


def convert_channels(predictor: Predictor, channels: int) -> Callable[[np.ndarray], np.ndarray]:
    """``predictor`` for RGB images (H, W, 3) too, if it is one of grey images: it gets their first channel.

    Ingest stores images as grey only if their three channels are equal, so nothing is lost.
    """
    if channels != 1:
        return predictor
    return lambda image: predictor(image if image.ndim == 2 else image[:, :, 0])
