"""Audit of a manifest: findings about its images and labels. It only reports, and excludes nothing."""

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import cv2
import numpy as np
import pandas as pd

from defectbench.data.duplicates import find_label_conflicts
from defectbench.data.images import ROTATED, UPRIGHT
from defectbench.data.manifest import Manifest, areas
from defectbench.data.pixel_formats import DEEP_FORMATS
from defectbench.data.rle import decode_coco

FULL_SHARE = 0.99
"""Share of the image from which the mask of a class is full."""
SPECK_PART, SPECK_PIXELS = 20_000, 4
"""A region below 1 / SPECK_PART of the image, or below SPECK_PIXELS, is a speck: below 20 pixels of 256 x 1600."""
USUAL_SHARE = 0.9
"""If at least this share of the images have one size, any other size is odd."""
SIDE_RATIO = 2
"""Otherwise, a height or width is odd if it differs from the median by more than this factor."""

FINDINGS = {
    "exact copy": "the same file under another name",
    "near-duplicate": "the same picture as another: re-encoded, resized, mirrored, turned or moved a little",
    "different labels": "the same picture as another, but labelled differently, or moved a little with its labels",
    "overlapping classes": "pixels that belong to several classes",
    "full mask": f"a class covers at least {FULL_SHARE:.0%} of the image",
    "tiny specks": f"connected regions below 1/{SPECK_PART:,} of the image, or below {SPECK_PIXELS} pixels",
    "odd size": "not of the usual size",
    "unusual pixel format": "neither grey nor RGB with 8 bits: palettes are expanded, alpha is dropped",
    "rotated by EXIF": "viewers turn the image, but it is used as stored, as its labels are",
    "turned upright": "stored otherwise, but used as viewers show it, as its labels are",
    "name written differently": "an image or its labels were found under a name in another case or Unicode form",
    "shape left out": "a labelled shape with too few points to be drawn; the image stays",
    "one of several annotations": "an image was annotated several times; which annotation was taken",
    "passed over": "files and folders of systems and tools, and files that are no images that can be read",
    "link out of the data": "links to files or folders outside of the dataset's root; they are followed",
}
"""Kinds of findings, in the order of the audit, and their meaning."""
OF_AREAS = ("full mask", "odd size")
"""Kinds that can be found where only areas are known."""
_PLAIN_FORMATS = {"grey 8-bit", "RGB 8-bit"}
NOTED = (
    "name written differently",
    "shape left out",
    "one of several annotations",
    "passed over",
    "link out of the data",
)
"""Kinds that ingest notes; the others are found in the manifest."""

Finding = tuple[str, str, str]
"""Image id, kind (a key of FINDINGS) and detail."""


@dataclass(frozen=True)
class Audit:
    """Findings about a dataset."""

    findings: pd.DataFrame
    """Columns image_id, finding, detail: by kind in the order of FINDINGS, then by image."""
    regions: pd.DataFrame
    """Columns class (position in ``class_names``), area and box_area, the area of the bounding box (pixels): a row per
    8-connected region of a class's mask."""


def audit(manifest: Manifest, notes: Iterable[Finding] = ()) -> Audit:
    """Audit a dataset for all of FINDINGS; where only areas are known, for full masks and odd sizes.

    ``notes`` are those of ingest.

    Masks are decoded one image at a time, and only where there is a defect.
    """
    frame = manifest.frame.sort_values("image_id")
    findings: list[Finding] = [*_full_masks(frame, manifest.class_names), *_sizes(frame), *_formats(frame), *notes]
    findings += [*_same_pictures(frame), *_conflicts(manifest)]
    regions: list[np.ndarray] = [np.empty((0, 3), np.int64)]
    for row in frame[frame["rle"].notna()].itertuples(index=False):
        masks = {c: decode_coco(row.rle[c], row.height, row.width) for c, area in enumerate(row.area) if area}
        for c, mask in masks.items():
            class_regions = _regions(mask)
            regions.append(np.insert(class_regions, 0, c, axis=1))
            if specks := _specks(class_regions[:, 0], speck_limit(row.height, row.width)):
                findings.append((row.image_id, "tiny specks", f"{manifest.class_names[c]}: {specks}"))
        if len(masks) > 1 and (overlap := _overlap(masks, manifest.class_names)):
            findings.append((row.image_id, "overlapping classes", overlap))
    order = {kind: number for number, kind in enumerate(FINDINGS)}
    findings.sort(key=lambda finding: (order[finding[1]], finding[0]))
    return Audit(
        pd.DataFrame(findings, columns=["image_id", "finding", "detail"], dtype=str),
        pd.DataFrame(np.concatenate(regions), columns=["class", "area", "box_area"]),
    )


def only_areas(manifest: Manifest) -> bool:
    """Whether the manifest is of a table of areas, without images and masks."""
    return bool(manifest.frame["rle"].isna().any())


def speck_limit(height: int, width: int) -> int:
    """Pixels below which a region of an image of this size is a speck."""
    return max(height * width // SPECK_PART, SPECK_PIXELS)


def _regions(mask: np.ndarray) -> np.ndarray:
    """Areas of the 8-connected regions of ``mask`` and of their bounding boxes: (R, 2) int64, pixels."""
    left, top, width, height = cv2.boundingRect(mask)
    part = np.ascontiguousarray(mask[top : top + height, left : left + width])
    stats = cv2.connectedComponentsWithStats(part, connectivity=8)[2][1:].astype(np.int64)
    return np.stack([stats[:, cv2.CC_STAT_AREA], stats[:, cv2.CC_STAT_WIDTH] * stats[:, cv2.CC_STAT_HEIGHT]], axis=1)


def picture_clusters(frame: pd.DataFrame) -> pd.DataFrame:
    """Pictures shown by several images of a manifest's ``frame``.

    Returns columns images (how many) and near (whether their files are not all equal), the group as index.
    """
    files = frame.groupby("group")["sha256"].agg(["size", "nunique"])
    files = files[files["size"] > 1]
    return pd.DataFrame({"images": files["size"], "near": files["nunique"] > 1})


def _specks(region_areas: np.ndarray, limit: int) -> str | None:
    """Description of the regions below ``limit``, if there are any."""
    specks = region_areas[region_areas < limit]
    if not len(specks):
        return None
    return f"{len(specks)} of {len(region_areas)} regions below {limit} pixels, the smallest of {specks.min()}"


def _overlap(masks: dict[int, np.ndarray], names: tuple[str, ...]) -> str | None:
    """Description of the pixels shared by several of ``masks``, by class, if there are any."""
    first, *others = masks.values()
    seen, several = first.astype(bool), np.zeros(first.shape, bool)
    for mask in others:
        several |= seen & mask.view(bool)
        seen |= mask.view(bool)
    if not several.any():
        return None
    sharing = [names[c] for c, mask in masks.items() if mask[several].any()]
    return f"{np.count_nonzero(several)} pixels belong to several of {', '.join(sharing)}"


def _full_masks(frame: pd.DataFrame, names: tuple[str, ...]) -> Iterator[Finding]:
    share = areas(frame) / (frame["height"].astype(np.int64) * frame["width"]).to_numpy()[:, None]
    for row, c in np.argwhere(share >= FULL_SHARE):
        yield frame["image_id"].iloc[row], "full mask", f"{names[c]} covers {share[row, c]:.2%} of the image"


def _same_pictures(frame: pd.DataFrame) -> Iterator[Finding]:
    original = frame.groupby("sha256")["image_id"].transform("min").fillna(frame["image_id"])
    for image_id, first, group in zip(frame["image_id"], original, frame["group"], strict=True):
        if image_id != first:
            yield image_id, "exact copy", f"the same file as {first}"
        elif image_id != group:
            yield image_id, "near-duplicate", f"the same picture as {group}"


def _conflicts(manifest: Manifest) -> Iterator[Finding]:
    for first, other in find_label_conflicts(manifest):
        yield other, "different labels", f"the same picture as {first}, labelled differently"


def _sizes(frame: pd.DataFrame) -> Iterator[Finding]:
    sizes = frame[["height", "width"]].to_numpy()
    (usual, count), *_ = Counter(map(tuple, sizes.tolist())).most_common(1)
    if count >= USUAL_SHARE * len(frame):
        odd = (sizes != usual).any(axis=1)
        norm = f"{count / len(frame):.1%} of the images are {usual[0]} x {usual[1]}"
    else:
        median = np.median(sizes, axis=0)
        odd = (np.maximum(sizes / median, median / sizes) > SIDE_RATIO).any(axis=1)
        norm = f"the median height is {median[0]:g}, the median width {median[1]:g}"
    for image_id, (height, width) in zip(frame["image_id"][odd], sizes[odd], strict=True):
        yield image_id, "odd size", f"{height} x {width}, height x width; {norm}"


def _formats(frame: pd.DataFrame) -> Iterator[Finding]:
    columns = ["image_id", "stored_as", "channels"]
    for image_id, stored_as, channels in frame[columns].dropna().itertuples(index=False):
        plain = stored_as.removesuffix(ROTATED).removesuffix(UPRIGHT)
        drops_nothing = channels not in (1, 3) or plain in DEEP_FORMATS
        if plain not in _PLAIN_FORMATS and not drops_nothing:
            yield image_id, "unusual pixel format", f"stored as {stored_as}"
        if stored_as.endswith(ROTATED):
            yield image_id, "rotated by EXIF", f"stored as {stored_as}"
        if stored_as.endswith(UPRIGHT):
            yield image_id, "turned upright", f"stored as {stored_as}"
