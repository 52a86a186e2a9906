"""YOLO networks of ultralytics: building, published weights, and prediction at the image's own pixels.

Ultralytics is under AGPL-3.0 and an extra: this is the only module of the library that imports it. Here it makes no
network access, sends no usage data, installs nothing, and has its settings in a folder that is removed with the
process; its own environment variables override this.
"""

import os
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from PIL import Image
from safetensors import SafetensorError
from safetensors.torch import load_file

from defectbench.config.families.yolo import YoloSettings
from defectbench.metrics.codes import align_half, codes_from_probabilities
from defectbench.script import UserError

_SETTINGS_FOLDER = tempfile.TemporaryDirectory(prefix="defectbench-ultralytics-")
for _name, _value in {
    "YOLO_CONFIG_DIR": _SETTINGS_FOLDER.name,
    "YOLO_OFFLINE": "true",
    "YOLO_AUTOINSTALL": "false",
    "YOLO_VERBOSE": "false",
    "NO_ALBUMENTATIONS_UPDATE": "1",
}.items():
    os.environ.setdefault(_name, _value)

_open_image = Image.open
try:
    # Other modules import these from here: ultralytics must not be imported before the variables above are set.
    from ultralytics.data import dataset as _dataset
    from ultralytics.data import utils as _ultralytics_data
    from ultralytics.data.augment import LetterBox
    from ultralytics.data.augment import RandomPerspective as RandomPerspective
    from ultralytics.models.yolo.detect import DetectionTrainer as DetectionTrainer
    from ultralytics.models.yolo.segment import SegmentationTrainer as SegmentationTrainer
    from ultralytics.nn.tasks import DetectionModel, SegmentationModel, yaml_model_load
    from ultralytics.utils import SETTINGS, plotting
    from ultralytics.utils.nms import non_max_suppression
    from ultralytics.utils.ops import process_mask, scale_masks
    from ultralytics.utils.torch_utils import EarlyStopping as EarlyStopping
except ImportError as error:
    raise UserError(
        f"YOLO needs ultralytics, an extra under AGPL-3.0 ({error}); install it with: pip install 'defectbench[yolo]'"
    ) from None

# Ultralytics replaces it by one that needs another package if a file is damaged.
Image.open = _open_image

# Plots are off, yet a font for them would be downloaded at each training, offline or not.
_ultralytics_data.check_font = plotting.check_font = lambda *_: None


def _no_cache(path: Path) -> dict[str, Any]:
    raise FileNotFoundError(path)


# Labels are read from their files: a cache of them is a pickle, which could run code.
_dataset.load_dataset_cache_file = _no_cache

# No usage data, and no hooks of installed trackers.
SETTINGS.update(dict.fromkeys([name for name, value in SETTINGS.items() if value is True], False))

N_COCO_CLASSES = 80
# As in ultralytics' own validation: so low a confidence that calibration and AUPRC see all instances.
CONFIDENCE = 0.001
NMS_IOU = 0.7
MAX_INSTANCES = 300
PROTO_STRIDE = 4
"""Pixels of the input per pixel of the mask prototypes."""


class YoloError(UserError):
    """Weights that do not fit, or a training that cannot continue."""


def build_network(
    settings: YoloSettings, classes: Sequence[str], coco: dict[str, torch.Tensor] | None = None
) -> DetectionModel:
    """The network with its initial weights, for RGB images (B, 3, H, W) in [0, 1], H and W multiples of 32.

    ``coco`` are the published weights, for all layers but the last of the class branch. Without them a network for
    ``weights: coco`` has the same layers with random weights, for loading trained ones.

    Raises:
        YoloError: if ``coco`` are the weights of another network.
    """
    network = _build_random(settings, len(classes))
    network.names = dict(enumerate(classes))
    if settings.weights == "coco":
        source = _build_random(settings, N_COCO_CLASSES)
        if coco is not None:
            load_weights(source, coco, f"the published weights of {settings.network_name}")
        # The class branch gets its width for 80 classes, so that its hidden layers fit.
        network.load(source, verbose=False)
    return network


def _build_random(settings: YoloSettings, n_classes: int) -> DetectionModel:
    config = yaml_model_load(f"{settings.model}.yaml")
    depth, width, channels = config["scales"]["n"]
    config["scales"]["p"] = [depth, width / 2, channels]
    config["scale"] = settings.scale
    kind = DetectionModel if settings.is_detector else SegmentationModel
    return kind(config, ch=3, nc=n_classes, verbose=False)


def load_weights(network: torch.nn.Module, weights: dict[str, torch.Tensor], name: str) -> None:
    """Load all of ``weights`` into ``network``; messages call them ``name``.

    Raises:
        YoloError: with the names of tensors that do not fit.
    """
    try:
        network.load_state_dict(weights)
    except RuntimeError as error:
        lines = str(error).splitlines()[1:6]
        raise YoloError("\n".join([f"{name} do not fit this network:", *lines])) from None


def cpu_state(network: torch.nn.Module) -> dict[str, torch.Tensor]:
    """All parameters and buffers, contiguous and on the CPU, as safetensors needs them."""
    return {name: value.detach().cpu().contiguous() for name, value in network.state_dict().items()}


def read_weights(path: Path) -> dict[str, torch.Tensor]:
    """Read a safetensors file.

    Raises:
        YoloError: if it cannot be read as one.
    """
    try:
        return load_file(path)
    except (OSError, SafetensorError) as error:
        raise YoloError(f"{path} cannot be read as weights: {error}") from None


@dataclass(frozen=True)
class Boxes:
    """Boxes of one image, in its own pixels: pixel (0, 0) spans 0 ... 1."""

    xyxy: np.ndarray
    """(N, 4) float64: left, top, right, bottom"""
    scores: np.ndarray
    """(N,) float64 in [0, 1], highest first within a class"""
    classes: np.ndarray
    """(N,) int64"""


@dataclass(frozen=True)
class _Frame:
    """Place of an image of ``height`` × ``width`` in the network's input."""

    top: int
    left: int
    inner: tuple[int, int]
    height: int
    width: int


class YoloPredictor:
    """Calls a network on one image at a time, in float32 whatever the training's precision."""

    def __init__(self, network: DetectionModel, settings: YoloSettings, n_classes: int, device: torch.device) -> None:
        """``network`` was built from ``settings`` for ``n_classes`` classes."""
        self.network = network.to(device).eval()
        self.device = device
        self.n_classes = n_classes
        self.score_threshold = settings.score_threshold
        size = int(settings.img_size)
        # rect: padded only to the next multiple of 32.
        self.letterbox = LetterBox(new_shape=(size, size), auto=settings.rect, stride=32)

    @torch.inference_mode()
    def predict_maps(self, image: np.ndarray) -> np.ndarray:
        """Codes (n_classes, H, W) of a uint8 image (H, W) or (H, W, 3) RGB, by a segmentation network.

        A pixel's probability is a fuzzy AND of soft mask and score, the maximum over the instances of its class. The
        mask is the sigmoid of its logits inside the instance's box and 0 outside; the logit of the score counts from
        that of the threshold. p >= 0.5 exactly where ultralytics draws a mask at this threshold.
        """
        instances, prototypes, frame, size = self._forward(image, multi_label=False)
        canvas = np.zeros((self.n_classes, *size), dtype=np.float32)
        logits = torch.einsum("nk,khw->nhw", instances[:, 6:], prototypes).float().cpu().numpy()
        for (x0, y0, x1, y1, score, index), mask in zip(instances[:, :6].cpu().tolist(), logits, strict=True):
            paint_mask(canvas[int(index)], mask, (x0, y0, x1, y1), shift_score(score, self.score_threshold))
        (height, width), target = frame.inner, (frame.width, frame.height)
        inside = canvas[:, frame.top : frame.top + height, frame.left : frame.left + width]
        if (width, height) != target:
            inside = np.stack([cv2.resize(plane, target, interpolation=cv2.INTER_LINEAR) for plane in inside])
        return align_half(codes_from_probabilities(inside), self._draw(instances, prototypes, frame, size))

    def _draw(
        self, instances: torch.Tensor, prototypes: torch.Tensor, frame: _Frame, size: tuple[int, int]
    ) -> np.ndarray:
        """Masks (n_classes, H, W), bool, of the instances above the threshold, as ultralytics draws them.

        It interpolates *binary* masks from the size of the input to that of the image, so an edge may be elsewhere than
        in interpolated probabilities.
        """
        found = instances[instances[:, 4] > self.score_threshold]
        masks = process_mask(prototypes, found[:, 6:], found[:, :4], size, upsample=True)
        masks = scale_masks(masks[None].float(), (frame.height, frame.width))[0] > 0.5
        drawn = np.zeros((self.n_classes, frame.height, frame.width), dtype=bool)
        for index, mask in zip(found[:, 5].int().tolist(), masks.cpu().numpy(), strict=True):
            drawn[index] |= mask
        return drawn

    @torch.inference_mode()
    def predict_boxes(self, image: np.ndarray) -> Boxes:
        """Boxes of a uint8 image (H, W) or (H, W, 3) RGB, inside it."""
        instances, _, frame, _ = self._forward(image, multi_label=True)
        rows = instances[:, :6].double().cpu().numpy()
        scale = np.array([frame.width / frame.inner[1], frame.height / frame.inner[0]] * 2)
        corners = (rows[:, :4] - [frame.left, frame.top] * 2) * scale
        limits = [frame.width, frame.height] * 2
        return Boxes(np.clip(corners, 0, limits), rows[:, 4], rows[:, 5].astype(np.int64))

    def _forward(
        self, image: np.ndarray, multi_label: bool
    ) -> tuple[torch.Tensor, torch.Tensor | None, _Frame, tuple[int, int]]:
        """Instances (N, 6 + k): input box, score, class, coefficients; prototypes (k, h, w); frame; input size.

        A box may have several classes if ``multi_label``, as in ultralytics' validation, or its best one, as in its
        prediction.
        """
        if image.ndim == 2:
            image = np.repeat(image[:, :, None], 3, axis=2)
        params = self.letterbox.get_params({"img": image})
        frame = _Frame(params["top"], params["left"], params["new_unpad"][::-1], *image.shape[:2])
        padded = self.letterbox(image=image)
        batch = torch.from_numpy(np.ascontiguousarray(padded.transpose(2, 0, 1)))[None].to(self.device).float() / 255
        outputs, _ = self.network(batch)
        outputs, prototypes = outputs if isinstance(outputs, tuple) else (outputs, None)
        instances = non_max_suppression(
            outputs,
            CONFIDENCE,
            NMS_IOU,
            multi_label=multi_label,
            max_det=MAX_INSTANCES,
            nc=self.n_classes,
            end2end=self.network.end2end,
        )[0]
        return instances, None if prototypes is None else prototypes[0], frame, padded.shape[:2]


def shift_score(score: float, threshold: float) -> float:
    """The probability whose logit is logit(``score``) - logit(``threshold``): 0.5 at the threshold."""
    odds = score * (1 - threshold)
    return odds / (odds + threshold * (1 - score))


def paint_mask(canvas: np.ndarray, logits: np.ndarray, box: tuple[float, float, float, float], limit: float) -> None:
    """Raise ``canvas`` (H, W), in place, to the soft mask of one instance, at most ``limit``, where that is higher.

    Args:
        canvas: Probabilities at the size of the network's input, float32.
        logits: Of the mask, (H / 4, W / 4), upsampled bilinearly; their pixels cover 4 × 4 of the canvas.
        box: Left, top, right, bottom on the canvas; pixels with the corner (x, y) inside belong to the instance.
        limit: The highest probability, by the instance's score.
    """
    x0, y0, x1, y1 = (max(0, int(np.ceil(edge))) for edge in box)
    x1, y1 = min(x1, canvas.shape[1]), min(y1, canvas.shape[0])
    if x0 >= x1 or y0 >= y1:
        return
    # Only the cells under the box, with the neighbours that interpolation needs.
    columns, rows = _cells(x0, x1, logits.shape[1]), _cells(y0, y1, logits.shape[0])
    cells = logits[rows, columns]
    size = (cells.shape[1] * PROTO_STRIDE, cells.shape[0] * PROTO_STRIDE)
    fine = cv2.resize(cells, size, interpolation=cv2.INTER_LINEAR)
    top, left = y0 - rows.start * PROTO_STRIDE, x0 - columns.start * PROTO_STRIDE
    fine = fine[top : top + y1 - y0, left : left + x1 - x0]
    part = canvas[y0:y1, x0:x1]
    np.maximum(part, np.minimum(1 / (1 + np.exp(-np.clip(fine, -60, 60))), limit), out=part)


def _cells(start: int, end: int, length: int) -> slice:
    return slice(max(start // PROTO_STRIDE - 1, 0), min(-(-end // PROTO_STRIDE) + 1, length))
