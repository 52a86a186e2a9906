"""A finished experiment as one predictor, whatever its family, for images that are in no dataset."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from defectbench.files import read_json
from defectbench.inference.ensemble import MeanPredictor
from defectbench.inference.tta import Predictor
from defectbench.script import UserError


class LoadError(UserError):
    """An experiment that cannot predict new images."""


def load_experiment(folder: Path) -> tuple[Predictor, tuple[str, ...]]:
    """The predictor of the finished experiment in ``folder``, and the classes of its maps.

    It maps a uint8 image (H, W), or (H, W, 3) if the experiment was trained on colour, to codes (C, H, W). The folds
    of a cross-validated experiment and the members of an ensemble are loaded together, and their mean is taken.

    Raises:
        LoadError: if the experiment is not finished, or its family cannot predict new images.
    """
    folder = Path(folder)
    if not (folder / "run.json").is_file():
        raise LoadError(f"{folder}: no run.json; is this the folder of a finished experiment?")
    run = read_json(folder / "run.json")
    if run.get("members"):
        # Paths in records start at the working folder of the workflow.
        loaded = [load_experiment(Path(member["folder"])) for member in run["members"]]
        return MeanPredictor([p for p, _ in loaded], [m["weight"] for m in run["members"]]), loaded[0][1]
    family = run["experiment"]["family"]
    if family not in _LOADERS:
        raise LoadError(f"{folder}: family {family} cannot predict new images; those that can: {', '.join(_LOADERS)}")
    return _LOADERS[family](folder, run)


def _unet(folder: Path, run: dict[str, Any]) -> tuple[Predictor, tuple[str, ...]]:
    import torch

    from defectbench.families.unet.predictor import load_unet

    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    predictor = load_unet(run, folder / "model" / "weights.safetensors", device)
    return _with_channels(predictor, run["in_channels"]), tuple(run["classes"])


def _yolo(folder: Path, run: dict[str, Any]) -> tuple[Predictor, tuple[str, ...]]:
    from defectbench.config.families.yolo import YoloSettings
    from defectbench.families.yolo.network import load_predictor
    from defectbench.inference.tta import augmented

    settings = YoloSettings.model_validate(run["settings"])
    if settings.is_detector:
        raise LoadError(f"{folder}: a detector gives boxes alone, no maps")
    predictor = load_predictor(settings, run["classes"], folder / "model" / "weights.safetensors")
    return augmented(predictor.maps, settings.tta), tuple(run["classes"])


def _reference(folder: Path, _: dict[str, Any]) -> tuple[Predictor, tuple[str, ...]]:
    from defectbench.families.reference.methods import from_dict
    from defectbench.inference.prediction_file import MERGED

    return from_dict(read_json(folder / "model" / "model.json")).codes, (MERGED,)


def _with_channels(predictor: Predictor, channels: int) -> Predictor:
    """``predictor`` for RGB images (H, W, 3): a network of grey images is given their first channel.

    Ingest calls images grey whose three channels are equal, so the first is all of them.
    """
    if channels == 3:
        return predictor
    return lambda image: predictor(image if image.ndim == 2 else image[:, :, 0])


# Families import their own libraries only when they are asked for.
_LOADERS: dict[str, Callable[[Path, dict[str, Any]], tuple[Predictor, tuple[str, ...]]]] = {
    "unet": _unet,
    "yolo": _yolo,
    "reference": _reference,
}
