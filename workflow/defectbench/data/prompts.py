"""Prompts for promptable models: drawn once from true masks, kept as files, shared by every model.

A prompt is a set of points with SAM's labels: 0 outside, 1 inside the object, 2 and 3 the upper left and the lower
right corner of its box. Coordinates are (x, y) in pixels of the image, the centre of the first pixel being (0, 0).
"""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from scipy.sparse.csgraph import connected_components

from defectbench.config.prompts import SOURCES, PromptSettings
from defectbench.data.manifest import Manifest
from defectbench.files import atomic
from defectbench.script import UserError

OUTSIDE, INSIDE, UPPER_LEFT, LOWER_RIGHT = 0, 1, 2, 3
SCHEMA = pa.schema(
    [
        ("image_id", pa.string()),
        ("prompt_id", pa.int32()),  # from 0 up in each image
        ("kind", pa.string()),  # box, points
        ("coordinates", pa.list_(pa.float32())),  # x0, y0, x1, y1, ...
        ("labels", pa.list_(pa.int8())),  # one for each point
        ("source", pa.string()),  # oracle, fixed, or the model that made it
        ("score", pa.float32()),  # of the model that made it; 1 for all others
    ]
)
# Candidates among which the next point of an object is the one farthest from those it has.
_CANDIDATES = 256


class PromptError(UserError):
    """Prompts that are absent or not what they should be."""


@dataclass(frozen=True)
class Prompt:
    """One question to the model: which object lies at these points?"""

    points: np.ndarray
    """(n, 2) float32, x and y."""
    labels: np.ndarray
    """(n,) int8."""

    def scaled(self, height: float, width: float) -> "Prompt":
        """The same prompt in an image whose sides are ``height`` and ``width`` times as long."""
        return Prompt(self.points * np.array([width, height], np.float32), self.labels)


def box_prompt(left: float, top: float, right: float, bottom: float) -> Prompt:
    """The prompt of a box; its corners are the centres of its first and last pixel."""
    points = np.array([[left, top], [right, bottom]], np.float32)
    return Prompt(points, np.array([UPPER_LEFT, LOWER_RIGHT], np.int8))


def objects(mask: np.ndarray, merge_distance: int) -> list[np.ndarray]:
    """Masks (H, W) bool of the objects in ``mask`` (H, W): 8-connected components, joined where they are close.

    Two components belong to one object if at most ``merge_distance`` pixels lie between them, directly or by others.
    """
    binary = np.ascontiguousarray(mask != 0).view(np.uint8)
    n, labels, boxes, _ = cv2.connectedComponentsWithStats(binary, connectivity=8)
    near = np.eye(n, dtype=bool)
    # Pixels with d between them are d + 1 apart.
    reach = merge_distance + 1
    for label in range(1, n if merge_distance > 0 else 0):
        left, top, width, height = boxes[label, :4]
        rows = slice(max(0, top - reach), top + height + reach)
        around = labels[rows, max(0, left - reach) : left + width + reach]
        distance = cv2.distanceTransform((around != label).view(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
        near[label, np.unique(around[(distance <= reach) & (around > 0)])] = True
    _, object_of = connected_components(near[1:, 1:], directed=False)
    groups = np.concatenate([[-1], object_of])[labels]
    return [groups == number for number in range(object_of.max(initial=-1) + 1)]


def tight_box(mask: np.ndarray) -> tuple[int, int, int, int]:
    """Left, top, right and bottom pixel of ``mask`` (H, W), which is not empty; the last ones included."""
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    return int(columns[0]), int(rows[0]), int(columns[-1]), int(rows[-1])


def spread_points(region: np.ndarray, n: int, rng: np.random.Generator) -> np.ndarray:
    """``n`` points (x, y), float32, spread over ``region`` (H, W) bool; fewer if it has fewer pixels.

    The first is drawn at random; each further one is, of random candidates, the one farthest from those before it.
    """
    pixels = np.argwhere(region)[:, ::-1].astype(np.float32)
    if not len(pixels) or n == 0:
        return np.empty((0, 2), np.float32)
    candidates = pixels[rng.choice(len(pixels), min(_CANDIDATES, len(pixels)), replace=False)]
    chosen = [candidates[0]]
    distance = np.full(len(candidates), np.inf)
    for _ in range(min(n, len(candidates)) - 1):
        distance = np.minimum(distance, np.linalg.norm(candidates - chosen[-1], axis=1))
        chosen.append(candidates[distance.argmax()])
    return np.stack(chosen)


def points_prompt(target: np.ndarray, mask: np.ndarray, settings: PromptSettings, rng: np.random.Generator) -> Prompt:
    """Points inside the object ``target``, and points near it that lie in no defect of ``mask``; both (H, W)."""
    n_inside, n_outside = rng.integers(settings.min_points, settings.max_points, size=2, endpoint=True)
    inside = spread_points(target, n_inside, rng)
    distance = cv2.distanceTransform((~target).view(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    outside = spread_points((distance <= settings.near) & (mask == 0), n_outside, rng)
    labels = np.array([INSIDE] * len(inside) + [OUTSIDE] * len(outside), np.int8)
    return Prompt(np.concatenate([inside, outside]), labels)


def draw_prompts(kind: str, mask: np.ndarray, image_id: str, settings: PromptSettings) -> list[Prompt]:
    """Prompts of one image with the true ``mask`` (H, W): a function of mask, id and settings alone.

    ``full_box`` does not look at the mask; of the others an image without a defect has none.
    """
    height, width = mask.shape
    if kind == "full_box":
        return [box_prompt(0, 0, width - 1, height - 1)]
    found = objects(mask, settings.merge_distance)
    if kind == "box":
        return [box_prompt(*tight_box(target)) for target in found]
    seed = hashlib.blake2b(f"{settings.seed} {image_id}".encode(), digest_size=8).digest()
    rng = np.random.default_rng(int.from_bytes(seed))
    return [points_prompt(target, mask, settings, rng) for target in found]


def draw_all(kind: str, manifest: Manifest, settings: PromptSettings) -> Iterable[tuple[str, list[Prompt]]]:
    """Image ids and prompts of all images of ``manifest``, any defect being one class."""
    for row in manifest.frame.itertuples(index=False):
        yield row.image_id, draw_prompts(kind, manifest.masks(row).max(axis=0), row.image_id, settings)


def write_prompts(path: Path, kind: str, prompts: Iterable[tuple[str, list[Prompt]]]) -> int:
    """Write ``prompts`` of one ``kind`` as Parquet, atomically; return their number."""
    rows = [
        {
            "image_id": image_id,
            "prompt_id": number,
            "kind": "points" if kind == "points" else "box",
            "coordinates": prompt.points.ravel().tolist(),
            "labels": prompt.labels.tolist(),
            "source": SOURCES[kind],
            "score": 1.0,
        }
        for image_id, found in prompts
        for number, prompt in enumerate(found)
    ]
    with atomic(path) as temporary:
        pq.write_table(pa.Table.from_pylist(rows, schema=SCHEMA), temporary)
    return len(rows)


def read_prompts(path: Path, source: str) -> dict[str, list[Prompt]]:
    """Prompts by image; images without any are not in the result.

    Raises:
        PromptError: if the file cannot be read, or holds prompts of another ``source``.
    """
    try:
        table = pq.read_table(path, schema=SCHEMA)
    except (OSError, pa.ArrowInvalid) as error:
        raise PromptError(f"{path}: no file of prompts: {error}") from None
    found: dict[str, list[Prompt]] = {}
    for row in table.to_pylist():
        if row["source"] != source:
            raise PromptError(f"{path}: {row['image_id']} has a prompt of source {row['source']!r}, not {source!r}")
        points = np.array(row["coordinates"], np.float32).reshape(-1, 2)
        found.setdefault(row["image_id"], []).append(Prompt(points, np.array(row["labels"], np.int8)))
    return found
