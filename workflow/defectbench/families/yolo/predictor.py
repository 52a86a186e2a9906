"""A trained YOLO network as a predictor of maps, or of boxes."""

from typing import TYPE_CHECKING, Any

from defectbench.config.families.yolo import YoloSettings
from defectbench.inference.network import device_name, resolve_device, set_up_torch
from defectbench.inference.predictor import ModelFiles, Predictor
from defectbench.inference.tta import augmented

if TYPE_CHECKING:
    from defectbench.families.yolo.network import YoloPredictor


def load_predictor(run: dict[str, Any], files: ModelFiles, device: str) -> Predictor:
    """The segmentation network of a run record (run.json); see :mod:`defectbench.families.contract`."""
    settings = YoloSettings.model_validate(run["settings"])
    network = load_network(run, files, device)
    return Predictor(augmented(network.maps, settings.tta), device_name(network.device))


def load_network(run: dict[str, Any], files: ModelFiles, device: str) -> "YoloPredictor":
    """The network of a run record (run.json), which gives maps and boxes, or boxes alone.

    Raises:
        YoloError: if the weights are not of this network.
    """
    # An extra: its absence is a message.
    from defectbench.families.yolo.network import YoloPredictor, build, fill, read_weights

    settings = YoloSettings.model_validate(run["settings"])
    set_up_torch(settings.threads)
    network = build(settings, run["classes"])
    fill(network, read_weights(files.weights), str(files.weights))
    return YoloPredictor(network, settings, len(run["classes"]), resolve_device(device))
