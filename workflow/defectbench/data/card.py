"""The dataset card: what a dataset holds, on half a page."""

from collections.abc import Sequence

import numpy as np

from defectbench.data.duplicates import different_labels
from defectbench.data.manifest import Manifest, areas


def dataset_card(manifest: Manifest) -> str:
    """Markdown that sums up ``manifest``: images, classes, sizes, duplicates, and what was left out."""
    frame = manifest.frame
    area = areas(frame)
    pixels = int((frame["height"].astype(np.int64) * frame["width"]).sum())
    n_clean = int((area.sum(axis=1) == 0).sum())
    sharing = frame[frame["group"].duplicated(keep=False)].groupby("group")
    clusters = [_same(group["image_id"].tolist()) for _, group in sharing if group["sha256"].nunique() > 1]
    conflicts = [_same(pair) for pair in different_labels(manifest)]
    sizes = frame.groupby(["height", "width"]).size().sort_values(ascending=False)
    shown = [f"{height} x {width} ({count} images)" for (height, width), count in sizes.head(5).items()]
    if len(sizes) > len(shown):
        shown.append(f"and {len(sizes) - len(shown)} other sizes")
    lines = [
        f"# {manifest.dataset}",
        "",
        f"- images: {len(frame)}",
        f"- clean images (no defect): {n_clean} ({n_clean / len(frame):.1%})",
        f"- grey images: {int((frame['channels'] == 1).sum())}",
        f"- sizes, height x width: {', '.join(shown)}",
        f"- same picture more than once: {len(sharing)} groups, {int(sharing.size().sum())} images",
        f"- of these, near-duplicates (re-encoded, resized or mirrored): {_some(clusters)}",
        f"- same picture with different labels: {_some(conflicts)}",
        f"- quarantined samples: {manifest.n_quarantined}",
        f"- data digest: {manifest.digest()}",
        "",
        "| class | label value | images | share of images | area, pixels | share of all pixels |",
        "|---|---|---|---|---|---|",
    ]
    for name, value, column in zip(manifest.class_names, manifest.class_values, area.T, strict=True):
        n, total = int((column > 0).sum()), int(column.sum())
        lines.append(f"| {name} | {value} | {n} | {n / len(frame):.1%} | {total} | {total / pixels:.3%} |")
    return "\n".join(lines) + "\n"


def _some(names: Sequence[str]) -> str:
    """How many ``names`` there are, and the first five."""
    return f"{len(names)}{': ' if names else ''}{', '.join(names[:5])}{', ...' if len(names) > 5 else ''}"


def _same(ids: Sequence[str]) -> str:
    """That ``ids`` are the same picture; only the first three are named."""
    return " = ".join([*ids[:3], *(["..."] if len(ids) > 3 else [])])
