"""Duplicates: the same picture copied, re-encoded, resized, mirrored or turned by quarters.

Candidates come from a 64-bit perceptual hash; the pixels of a small picture decide, first in place, then block by
block, each shifted a little. So most copies that were shifted by 2 %, cropped to 95 % of the sides, or turned by 2
degrees are found too, but few that were moved further.
"""

from collections.abc import Iterator
from itertools import product
from typing import Any

import cv2
import numpy as np
import pandas as pd
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from defectbench.data.manifest import Manifest

MAX_DISTANCE = 8
"""Bits, of 64, in which the hashes of one picture may differ."""
MIN_CORRELATION = 0.6
"""Correlation of the details from which two pictures are the same."""
MIN_BLOCK_CORRELATION, MOST_MISSES = 0.5, 5
"""Correlation that each block must reach once shifted, and blocks, of 16, that may miss it. Common borders
fill fewer blocks."""
_SIDE, _HASHED, _LOW = 64, 32, 8
_BLOCK, _SHIFT = 16, 4  # of the small picture: side of a block, and how far it is shifted, pixels
_UNIT = 32  # mean absolute detail; int8 then has room for four times that, so that a few strong edges do not dominate
_COMPARISONS = 2**19  # hashes compared, and pixels correlated, at a time: memory stays flat

# Steps along rows and columns: as it is, mirrored left to right, upside down, turned by 180 degrees. The four other
# orientations, quarter turns among them, belong to the transposed picture.
_STEPS = ((1, 1), (1, -1), (-1, 1), (-1, -1))


def _pack(bits: np.ndarray) -> np.uint64:
    """64 bits of any shape as one number."""
    return np.packbits(bits).view(">u8")[0].astype(np.uint64)


def _changed_signs(row_step: int, column_step: int) -> np.uint64:
    """Bits of the hash that mirroring inverts: it changes the signs of the odd coefficients of a DCT alone."""
    row, column = np.indices((_LOW, _LOW))
    return _pack((row * (row_step < 0) + column * (column_step < 0)) % 2)


_CHANGED = np.array([_changed_signs(*steps) for steps in _STEPS])


def turn_hashes(phash: np.ndarray) -> np.ndarray:
    """Hashes (8, N) that the pictures of the hashes ``phash``, (N,) uint64, would have in each orientation."""
    rows = phash.astype(">u8").view(np.uint8).reshape(-1, _LOW, 1)
    columns = np.packbits(np.unpackbits(rows, axis=2).swapaxes(1, 2), axis=2)
    transposed = columns.reshape(-1, _LOW).view(">u8")[:, 0].astype(np.uint64)
    return np.concatenate([phash ^ _CHANGED[:, None], transposed ^ _CHANGED[:, None]])


def turn_pictures(pictures: np.ndarray, orientation: int) -> np.ndarray:
    """``pictures``, (..., H, W), in the orientation of a row of :func:`turn_hashes`."""
    transpose, steps = divmod(orientation, len(_STEPS))
    row_step, column_step = _STEPS[steps]
    return (pictures.swapaxes(-1, -2) if transpose else pictures)[..., ::row_step, ::column_step]


def fingerprint(image: np.ndarray) -> tuple[int, np.ndarray]:
    """Fingerprint of an image, uint8 (H, W) or RGB (H, W, 3).

    Returns the perceptual hash, 64 signs of the lowest frequencies, and the detail, (64, 64) int8: brightness less
    that of the surroundings, in units that do not depend on contrast; all 0 if the image is flat.
    """
    grey = image if image.ndim == 2 else cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
    small = cv2.resize(grey, (_SIDE, _SIDE), interpolation=cv2.INTER_AREA).astype(np.float32)
    frequencies = cv2.dct(cv2.resize(small, (_HASHED, _HASHED), interpolation=cv2.INTER_AREA))[:_LOW, :_LOW]
    detail = small - cv2.blur(small, (5, 5))
    scale = _UNIT / max(float(np.abs(detail).mean()), 1e-3)
    return int(_pack(frequencies > 0)), np.clip(detail * scale, -127, 127).astype(np.int8)


def find_same_pictures(phash: np.ndarray, detail: np.ndarray) -> np.ndarray:
    """Pairs of images that show the same picture in one of eight orientations.

    ``phash`` is (N,) uint64 and ``detail`` (N, 64, 64) int8, both of :func:`fingerprint`. Flat images are like all
    other flat ones and never reported. Returns (P, 2) int64 indices, the lower first.
    """
    textured = np.flatnonzero(detail.any(axis=(1, 2)))
    verified = [textured[pairs] for pairs in _verified_pairs(phash[textured], detail, textured)]
    return np.concatenate([np.empty((0, 2), np.int64), *verified])


def _verified_pairs(phash: np.ndarray, detail: np.ndarray, index: np.ndarray) -> Iterator[np.ndarray]:
    """Pairs, (P, 2), of places in ``phash`` whose details, at ``index`` of the same places, correlate."""
    block = max(1, _COMPARISONS // max(1, len(phash)))
    hashes = turn_hashes(phash)
    for start in range(0, len(phash), block):
        for orientation, others in enumerate(hashes):
            different = phash[start : start + block, None] ^ others[None, start:]
            pairs = np.argwhere(np.bitwise_count(different) <= MAX_DISTANCE) + start
            pairs = pairs[pairs[:, 0] < pairs[:, 1]]
            for part in np.array_split(pairs, 1 + len(pairs) * _SIDE**2 // _COMPARISONS):
                yield part[_same(detail[index[part[:, 0]]], turn_pictures(detail[index[part[:, 1]]], orientation))]


def _same(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Whether the details ``first`` and ``second``, each (P, 64, 64), are of the same pictures: (P,) bool."""
    same = _correlation(first, second) >= MIN_CORRELATION
    for pair in np.flatnonzero(~same):
        same[pair] = _same_but_moved(first[pair], second[pair])
    return same


def _correlation(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Correlation, (P,), of the details ``first`` and ``second``, each (P, 64, 64)."""
    first = first.reshape(-1, _SIDE**2).astype(np.float32)
    second = second.reshape(-1, _SIDE**2).astype(np.float32)
    norms = np.linalg.norm(first, axis=1) * np.linalg.norm(second, axis=1)
    return np.einsum("pk,pk->p", first, second) / norms


def _same_but_moved(first: np.ndarray, second: np.ndarray) -> bool:
    """Whether the blocks of the detail ``first`` are in the detail ``second``, each near its place.

    A picture moved, cropped or turned a little is shifted a little everywhere, though not equally. A flat block is
    never found.
    """
    around = np.pad(second, _SHIFT).astype(np.float32)
    misses = 0
    for row, column in product(range(0, _SIDE, _BLOCK), repeat=2):
        block = first[row : row + _BLOCK, column : column + _BLOCK].astype(np.float32)
        reach = around[row : row + _BLOCK + 2 * _SHIFT, column : column + _BLOCK + 2 * _SHIFT]
        misses += cv2.matchTemplate(reach, block, cv2.TM_CCORR_NORMED).max() < MIN_BLOCK_CORRELATION
        if misses > MOST_MISSES:
            return False
    return True


def label_components(n: int, edges: np.ndarray) -> np.ndarray:
    """Number of the connected component of each of ``n`` nodes, (n,), joined by ``edges``, (E, 2)."""
    graph = coo_array((np.ones(len(edges), bool), (edges[:, 0], edges[:, 1])), shape=(n, n))
    return connected_components(graph, directed=False)[1]


def group_pictures(frame: pd.DataFrame, detail: np.ndarray) -> pd.Series:
    """Group of each row of a manifest's ``frame``: the first id of the same picture.

    ``detail`` is (N, 64, 64) int8, of :func:`fingerprint`. Files of equal bytes are one picture, flat or not.
    """
    _, first, inverse = np.unique(frame["sha256"], return_index=True, return_inverse=True)
    copies = np.stack([np.arange(len(frame)), first[inverse]], axis=1)
    pairs = find_same_pictures(frame["phash"].to_numpy(np.uint64), detail)
    return frame.groupby(label_components(len(frame), np.concatenate([copies, pairs])))["image_id"].transform("min")


def find_label_conflicts(manifest: Manifest) -> list[tuple[str, str]]:
    """Ids of the first image of a group and another one of it that is labelled differently.

    Labels are compared pixel by pixel, after turning one picture to the orientation of the other, even if it is moved a
    little; labels of pictures of different sizes only by the classes they show.
    """
    frame = manifest.frame.sort_values("image_id")
    conflicts = []
    for _, group in frame[frame["group"].duplicated(keep=False)].groupby("group"):
        first, *others = group.itertuples(index=False)
        masks = manifest.masks(first)
        conflicts += [(first.image_id, other.image_id) for other in others if not _agree(masks, first, manifest, other)]
    return conflicts


def _agree(masks: np.ndarray, first: Any, manifest: Manifest, other: Any) -> bool:
    """Whether ``masks`` (C, H, W) of the row ``first`` equal those of ``other`` once both have one orientation."""
    hashes = turn_hashes(np.array([other.phash], np.uint64))[:, 0]
    others = turn_pictures(manifest.masks(other), int(np.bitwise_count(np.uint64(first.phash) ^ hashes).argmin()))
    if masks.shape != others.shape:
        return np.array_equal(masks.any(axis=(1, 2)), others.any(axis=(1, 2)))
    return np.array_equal(masks, others)
