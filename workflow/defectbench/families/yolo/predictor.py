"""A trained YOLO network as a predictor of maps, or of boxes."""

from typing import TYPE_CHECKING, Any

from defectbench.config.families.yolo import YoloSettings
from defectbench.inference.network import configure_torch, device_name, resolve_device
from defectbench.inference.predictor import ModelFiles, Predictor
from defectbench.inference.tta import add_tta

if TYPE_CHECKING:
    from defectbench.families.yolo.network import YoloPredictor


def load_predictor(run: dict[str, Any], files: ModelFiles, device: str) -> Predictor:
    """The segmentation network of a run record (run.json); see :mod:`defectbench.families.contract`."""
    settings = YoloSettings.model_validate(run["settings"])
    network = load_network(run, files, device)
    return Predictor(add_tta(network.predict_maps, settings.tta), device_name(network.device))


def load_network(run: dict[str, Any], files: ModelFiles, device: str) -> "YoloPredictor":
    """The network of a run record (run.json), which predicts maps and boxes, or boxes alone.

    Raises:
        YoloError: if the weights do not fit.
    """
    # Here, because ultralytics is an extra: without it, importing this module raises no error.
    from defectbench.families.yolo.network import YoloPredictor, build_network, load_weights, read_weights

    settings = YoloSettings.model_validate(run["settings"])
    configure_torch(settings.threads)
    network = build_network(settings, run["classes"])
    load_weights(network, read_weights(files.weights), str(files.weights))
    network.fuse(verbose=False)  # as ultralytics does before it predicts
    return YoloPredictor(network, settings, len(run["classes"]), resolve_device(device))
