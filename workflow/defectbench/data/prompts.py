"""Prompts for promptable models, made from true or predicted masks.

A prompt is a set of points with SAM's labels: 0 outside, 1 inside the object, 2 and 3 the upper left and the lower
right corner of its box; and, of kind 'mask', the mask of the object. Coordinates are (x, y) in pixels of the image, the
centre of the first pixel being (0, 0).
"""

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import cv2
import numpy as np
from scipy.sparse.csgraph import connected_components

from defectbench.config.prompts import PromptSettings
from defectbench.data.manifest import Manifest
from defectbench.data.packing import IGNORED
from defectbench.data.rle import decode_coco, encode_coco
from defectbench.data.tiles import Window

OUTSIDE, INSIDE, UPPER_LEFT, LOWER_RIGHT = 0, 1, 2, 3
# Candidates, among which the next point of an object is the one farthest from its other points.
_CANDIDATES = 256


@dataclass(frozen=True)
class Prompt:
    """A prompt for one object."""

    points: np.ndarray
    """(n, 2) float32, x and y."""
    labels: np.ndarray
    """(n,) int8."""
    rle: bytes | None = None
    """COCO counts of the object's mask in the image's own pixels; None of kinds without a mask."""
    score: float = 1.0
    """Confidence in the object, in [0, 1], of the model that made the prompt; 1 if no model did."""
    threshold: float = 0.5
    """Score from which that model's objects count, in (0, 1)."""
    mask: np.ndarray | None = None
    """(H, W) uint8, 255 inside the object: ``rle`` in pixels of the network's input; None until it is needed there."""

    @property
    def margin(self) -> float:
        """logit(score) - logit(threshold): not negative if the object counts; infinite for a score of 1."""
        return _logit(self.score) - _logit(self.threshold)

    def scaled(self, height: float, width: float) -> "Prompt":
        """The same prompt in an image whose sides are ``height`` and ``width`` times as long; ``rle`` stays."""
        return replace(self, points=self.points * np.array([width, height], np.float32))

    def inside(self, window: Window, shape: tuple[int, int]) -> "Prompt | None":
        """The prompt in a window (rows, columns) of the image, whose shape is (height, width), in the window's pixels.

        The box is cut at the edges, and points outside are dropped. None if neither box nor an inner point is there.
        """
        (rows, columns), is_corner = window, np.isin(self.labels, (UPPER_LEFT, LOWER_RIGHT))
        points = self.points - np.array([columns.start, rows.start], np.float32)
        last = np.array([columns.stop - columns.start - 1, rows.stop - rows.start - 1], np.float32)
        cut = points.clip(0, last)
        inner = is_corner | (cut == points).all(axis=1)
        if is_corner.any():
            corners = points[is_corner]
            touches = (corners.max(axis=0) >= 0).all() and (corners.min(axis=0) <= last).all()
        else:
            touches = (self.labels[inner] == INSIDE).any()
        if not touches:
            return None
        mask = None if self.rle is None else decode_coco(self.rle, *shape)[window]
        rle = None if mask is None else encode_coco(mask)
        return replace(self, points=cut[inner], labels=self.labels[inner], rle=rle)


def box_prompt(left: float, top: float, right: float, bottom: float) -> Prompt:
    """The prompt of a box; its corners are the centres of its first and last pixel."""
    points = np.array([[left, top], [right, bottom]], np.float32)
    return Prompt(points, np.array([UPPER_LEFT, LOWER_RIGHT], np.int8))


def join_prompts(parts: Sequence[Prompt]) -> Prompt:
    """One prompt with the points of all ``parts``; a box goes first, as in SAM 2's own predictor."""
    return Prompt(np.concatenate([part.points for part in parts]), np.concatenate([part.labels for part in parts]))


def find_objects(mask: np.ndarray, merge_distance: int) -> list[np.ndarray]:
    """Masks (H, W) bool of the objects in ``mask`` (H, W): 8-connected components, joined where they are close.

    Two components belong to one object if at most ``merge_distance`` pixels are between them, directly or through
    others.
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

    The first is drawn at random; each further one is the random candidate farthest from the points before it.
    """
    pixels = np.argwhere(region)[:, ::-1].astype(np.float32)
    if not len(pixels) or n == 0:
        return np.empty((0, 2), np.float32)
    candidates = pixels[rng.choice(len(pixels), min(_CANDIDATES, len(pixels)), replace=False)]
    points = [candidates[0]]
    distance = np.full(len(candidates), np.inf)
    for _ in range(min(n, len(candidates)) - 1):
        distance = np.minimum(distance, np.linalg.norm(candidates - points[-1], axis=1))
        points.append(candidates[distance.argmax()])
    return np.stack(points)


def make_points_prompt(
    target: np.ndarray, mask: np.ndarray, settings: PromptSettings, rng: np.random.Generator
) -> Prompt:
    """Points inside the object ``target``, and points near it where ``mask`` is 0; both (H, W)."""
    n_inside, n_outside = rng.integers(settings.min_points, settings.max_points, size=2, endpoint=True)
    inside = spread_points(target, n_inside, rng)
    distance = cv2.distanceTransform((~target).view(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    outside = spread_points((distance <= settings.near) & (mask == 0), n_outside, rng)
    labels = np.array([INSIDE] * len(inside) + [OUTSIDE] * len(outside), np.int8)
    return Prompt(np.concatenate([inside, outside]), labels)


def move_box(box: Sequence[float], noise: float, shape: tuple[int, int], rng: np.random.Generator) -> tuple[float, ...]:
    """``box`` (left, top, right, bottom), each side moved by N(0, ``noise`` · side length) and clipped to the image.

    From the same state of the generator, a larger ``noise`` moves each side further in the same direction.
    """
    left, top, right, bottom = box
    lengths = np.array([right - left + 1, bottom - top + 1] * 2)
    last = np.array([shape[1], shape[0]] * 2) - 1
    x0, y0, x1, y1 = (np.array(box) + rng.normal(size=4) * noise * lengths).clip(0, last).tolist()
    return min(x0, x1), min(y0, y1), max(x0, x1), max(y0, y1)


def full_box_prompt(height: int, width: int) -> Prompt:
    """The box of a whole image: the prompt that no label is needed for."""
    return box_prompt(0, 0, width - 1, height - 1)


def draw_prompts(
    kind: str, mask: np.ndarray, image_id: str, settings: PromptSettings, noise: float = 0.0
) -> list[Prompt]:
    """Prompts of one image with the ``mask`` (H, W), 0, 1 and IGNORED: a function of mask, id and settings alone.

    ``full_box`` ignores the mask; for the other kinds an image without a defect has no prompts. ``noise`` moves boxes.
    """
    if kind == "full_box":
        return [full_box_prompt(*mask.shape)]
    defect = mask == 1
    if kind == "points" and settings.points_per == "image":
        targets = [defect] if defect.any() else []
    else:
        targets = find_objects(defect, settings.merge_distance)
    return make_prompts(kind, targets, mask, image_id, settings, noise)


def make_prompts(
    kind: str,
    targets: Sequence[np.ndarray],
    mask: np.ndarray,
    image_id: str,
    settings: PromptSettings,
    noise: float = 0.0,
) -> list[Prompt]:
    """A prompt for each of ``targets``, masks (H, W) bool of objects in ``mask``.

    ``mask`` prompts include the box: in its training SAM 2 has seen masks only together with other prompts.
    """
    points_rng, box_rng = _generator(f"{settings.seed} {image_id}"), _generator(f"{settings.seed} {image_id} box")
    prompts = []
    for target in targets:
        parts = []
        if kind in ("box", "box_points", "mask"):
            box = tight_box(target)
            parts.append(box_prompt(*(move_box(box, noise, mask.shape, box_rng) if noise else box)))
        if kind in ("points", "box_points"):
            parts.append(make_points_prompt(target, mask, settings, points_rng))
        prompts.append(replace(join_prompts(parts), rle=encode_coco(target) if kind == "mask" else None))
    return prompts


def draw_dataset_prompts(
    kind: str, manifest: Manifest, settings: PromptSettings, noise: float = 0.0
) -> Iterable[tuple[str, list[Prompt]]]:
    """Image ids and prompts of all images of ``manifest``, any defect being one class.

    No point is on an ignored pixel; boxes may span some.
    """
    for row in manifest.frame.itertuples(index=False):
        mask = manifest.masks(row).max(axis=0)
        if manifest.has_ignored:
            mask[manifest.ignored(row) > 0] = IGNORED
        yield row.image_id, draw_prompts(kind, mask, row.image_id, settings, noise)


def _logit(p: float) -> float:
    with np.errstate(divide="ignore"):
        return float(np.log(np.float64(p)) - np.log1p(-np.float64(p)))


def _generator(text: str) -> np.random.Generator:
    return np.random.default_rng(int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest()))
