"""Pictures of the label audit: an image, its label and the model's masks, and the reason why it is shown."""

from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np

from defectbench.reporting import overlay

GAP, LINE, NARROWEST = 6, 22, 640  # pixels: between pictures, height of a line of text, least width
_INK, _BOX = (30, 30, 30), (255, 255, 255)


def audit_picture(
    image: np.ndarray, label: np.ndarray, model: np.ndarray, classes: Sequence[str], row: Any
) -> np.ndarray:
    """RGB picture (h, w, 3) of one row of label_audit.csv.

    ``image`` is (H, W) or (H, W, 3) uint8, ``label`` and ``model`` are masks (C, H, W) bool. A white box marks the
    finding with the highest score. Wide images are stacked, others are side by side.
    """
    colours = list(overlay.class_colours(classes).values())
    pictures = [overlay.as_rgb(image), *(overlay.draw_truth(image, masks, colours) for masks in (label, model))]
    for picture in pictures:
        corner = row.x - 2, row.y - 2
        cv2.rectangle(picture, corner, (row.x + row.width + 1, row.y + row.height + 1), _BOX, 1)
    height, width = image.shape[:2]
    axis = 0 if width > 2 * height else 1
    gap = np.full((GAP, width, 3) if axis == 0 else (height, GAP, 3), 255, np.uint8)
    body = np.concatenate([pictures[0], gap, pictures[1], gap, pictures[2]], axis=axis)
    present = [name for name, masks in zip(classes, zip(label, model, strict=True), strict=True) if np.any(masks)]
    lines = [
        f"{row.rank}. {row.image_id}: {explain(row)}, score {row.score:.2f}",
        f"image, label, model; classes: {', '.join(present)}",
    ]
    return np.concatenate([_text(lines, max(body.shape[1], NARROWEST)), _widened(body, NARROWEST)])


def explain(row: Any) -> str:
    """The reason of a row of label_audit.csv with its classes, in words."""
    if row.reason == "wrong class":
        return f"wrong class, labelled {row.label_class}, model sees {row.model_class}"
    return f"{row.reason}, {row.label_class or row.model_class}"


def _text(lines: Sequence[str], width: int) -> np.ndarray:
    canvas = np.full((LINE * len(lines) + GAP, width, 3), 255, np.uint8)
    for number, line in enumerate(lines, start=1):
        # OpenCV's fonts have ASCII only.
        plain = line.encode("ascii", "replace").decode()
        cv2.putText(canvas, plain, (4, LINE * number - 4), cv2.FONT_HERSHEY_SIMPLEX, 0.45, _INK, 1, cv2.LINE_AA)
    return canvas


def _widened(picture: np.ndarray, width: int) -> np.ndarray:
    missing = max(0, width - picture.shape[1])
    return cv2.copyMakeBorder(picture, 0, 0, 0, missing, cv2.BORDER_CONSTANT, value=(255, 255, 255))
