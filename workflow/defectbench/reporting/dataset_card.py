"""The dataset card: contents and oddities of a dataset on one page."""

from collections.abc import Collection, Iterable, Iterator, Sequence

import numpy as np
import pandas as pd

from defectbench.config.dataset import DatasetSettings
from defectbench.config.ingest import YoloFolder
from defectbench.data.audit import FINDINGS, OF_AREAS, Audit, only_areas, picture_clusters
from defectbench.data.manifest import Manifest, areas
from defectbench.data.pixel_formats import value_type
from defectbench.data.rle import coco_area
from defectbench.data.splits import export_note
from defectbench.reporting.markdown import as_text

PICTURES = {
    "examples": "A typical image of each class",
    "classes": "Images and pixels of each class",
    "areas": "Areas of the defects of each class",
    "sizes": "Sizes of the images",
    "duplicates": "How many images show the same picture",
}
"""Pictures of the card: file name -> title."""
UNKNOWN = "–"
_NOT_RECOGNISED = (
    "Copies shifted or cropped by more than some 2 % of the side, or turned by more than some 2 degrees other than by "
    "quarters, are often not recognised, and other images of the same part never: split.group_by can name those."
)
_MOST_CLASSES = 12  # classes that the summary names; of more it gives only the number
_MOST_EXAMPLES = 3  # examples in the text; all are in the tables beside it


def dataset_card(
    manifest: Manifest, audit: Audit, issues: pd.DataFrame, settings: DatasetSettings, pictures: Collection[str]
) -> str:
    """Write the card, Markdown.

    ``issues`` has the columns file, row, problem of issues.csv; ``pictures`` names the ones of PICTURES
    that exist as card/NAME.png.
    """
    figures = {name: f"![{title}](card/{name}.png)" for name, title in PICTURES.items() if name in pictures}
    parts = [
        f"# Dataset {manifest.dataset}",
        *_warnings(manifest, audit, settings),
        _summary(manifest, settings),
        figures.get("examples"),
        _table(["", ""], _facts(manifest)),
        "## Classes",
        _class_table(manifest, audit),
        *_without_images(manifest),
        figures.get("classes"),
        figures.get("areas"),
        "## Sizes" if "sizes" in figures else None,
        figures.get("sizes"),
        "## Same picture more than once",
        _repeated(manifest),
        export_note(manifest.frame["image_id"]),
        figures.get("duplicates"),
        "## Audit",
        _findings(audit.findings, OF_AREAS if only_areas(manifest) else FINDINGS),
        "## Left out at ingest",
        _left_out(manifest, issues),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _ignored_pixels(manifest: Manifest) -> str:
    frame = manifest.frame
    areas = [coco_area(row.rle[-1], row.height, row.width) for row in frame.itertuples(index=False)]
    share = sum(areas) / int((frame["height"].astype(int) * frame["width"]).sum())
    return (
        f"> **Ignored pixels.** {sum(areas):,} pixels ({share:.2%}) in {np.count_nonzero(areas):,} of {len(areas):,} "
        "images were marked as undecided: they are neither defect nor background, count in no area below, "
        "and are striped in the pictures."
    )


def _warnings(manifest: Manifest, audit: Audit, settings: DatasetSettings) -> Iterator[str]:
    if isinstance(settings, YoloFolder) and settings.boxes == "fill":
        n_filled = int((audit.regions["area"] == audit.regions["box_area"]).sum())
        yield (
            "> **Boxes were filled.** `boxes: fill` is set: a box in the label files was read as a filled rectangle, "
            f"far more than the defect inside it. {n_filled:,} of {len(audit.regions):,} regions of the masks are full "
            "rectangles: scores against such masks say how well a model draws boxes."
        )
    if manifest.has_ignored:
        yield _ignored_pixels(manifest)
    if only_areas(manifest):
        yield "> **Areas only.** The dataset is a table of areas, without images and masks."
    if not _n_clean(manifest):
        reason = ", since `images: defective` is set" if settings.images == "defective" else ""
        yield f"> **No clean images**{reason}: false alarms on clean surfaces cannot be measured."


def _n_clean(manifest: Manifest) -> int:
    return int((areas(manifest.frame).sum(axis=1) == 0).sum())


def _summary(manifest: Manifest, settings: DatasetSettings) -> str:
    n, n_clean, names = len(manifest.frame), _n_clean(manifest), manifest.class_names
    classes = f"{len(names)} classes" if len(names) > _MOST_CLASSES else f"Classes: {', '.join(map(as_text, names))}"
    return (
        f"**{n:,} images**: {n - n_clean:,} with a defect ({(n - n_clean) / n:.1%}), {n_clean:,} clean "
        f"({n_clean / n:.1%}). {classes}. Labels: `{settings.format}`."
    )


def _facts(manifest: Manifest) -> Iterator[Sequence[str]]:
    frame = manifest.frame
    sizes = frame.groupby(["height", "width"]).size().sort_values(ascending=False, kind="stable")
    most = [f"{height} x {width}: {count:,} images" for (height, width), count in sizes.head(_MOST_EXAMPLES).items()]
    if len(sizes) > _MOST_EXAMPLES:
        most.append(f"{len(sizes) - _MOST_EXAMPLES:,} other sizes: {sizes.iloc[_MOST_EXAMPLES:].sum():,} images")
    yield "height x width", "<br>".join(most)
    yield "quarantined samples", f"{manifest.n_quarantined:,}"
    if not only_areas(manifest):
        formats = frame["stored_as"].value_counts()
        yield "stored as", "<br>".join(f"{as_text(name)}: {count:,} images" for name, count in formats.items())
        n_grey, channels = int((frame["channels"] == 1).sum()), int(frame["channels"].max())
        if channels in (1, 3):
            yield "colours", f"grey: {n_grey:,} images, coloured: {len(frame) - n_grey:,} images"
        else:
            yield "channels", f"{channels}; pictures show {'the first three' if channels > 3 else 'the first'}"
        if value_type(frame["stored_as"].iloc[0]) != "uint8":
            yield "values", "scaled to 0 … 255 by limits of the training images, `packed/scaling.json`; here by its own"
        yield "data digest", f"`{manifest.digest()}`"


def _class_table(manifest: Manifest, audit: Audit) -> str:
    area, n = areas(manifest.frame), len(manifest.frame)
    pixels = int((manifest.frame["height"].astype(np.int64) * manifest.frame["width"]).sum())
    rows = []
    for c, (name, value) in enumerate(zip(manifest.class_names, manifest.class_values, strict=True)):
        regions = audit.regions.loc[audit.regions["class"] == c, "area"]
        n_images, total = int((area[:, c] > 0).sum()), int(area[:, c].sum())
        median = f"{regions.median():,.0f}" if len(regions) else UNKNOWN
        n_regions = UNKNOWN if only_areas(manifest) else f"{len(regions):,}"
        counts = [f"{n_images:,}", f"{n_images / n:.1%}", n_regions, median]
        rows.append([as_text(name), str(value), *counts, f"{total:,}", f"{total / pixels:.3%}"])
    header = [
        "class",
        "label value",
        "images",
        "share of images",
        "regions",
        "median area",
        "pixels",
        "share of pixels",
    ]
    note = "A region is a connected part of a class's mask (8 neighbours); median area: of the regions, in pixels."
    return f"{_table(header, rows)}\n\n{note}"


def _without_images(manifest: Manifest) -> Iterator[str]:
    empty = areas(manifest.frame).sum(axis=0) == 0
    if empty.any():
        names = [as_text(name) for name, none in zip(manifest.class_names, empty, strict=True) if none]
        yield f"**No image shows {', '.join(names)}**: nothing can be learned or measured there."


def _repeated(manifest: Manifest) -> str:
    if only_areas(manifest):
        return "Not known without the images."
    clusters = picture_clusters(manifest.frame)
    if clusters.empty:
        return f"No picture was found twice. {_NOT_RECOGNISED}"
    n_near = int(clusters["near"].sum())
    return (
        f"Pictures that come at least twice: {len(clusters):,}, in {clusters['images'].sum():,} images. "
        f"Re-encoded, resized, mirrored, turned or moved a little: {n_near:,}; as exact copies alone: "
        f"{len(clusters) - n_near:,}. The images of one picture are never in two roles of a split. {_NOT_RECOGNISED}"
    )


def _findings(findings: pd.DataFrame, looked_for: Collection[str]) -> str:
    rows = []
    for kind, meaning in FINDINGS.items():
        rows_of_kind = findings[findings["finding"] == kind]
        if len(rows_of_kind):
            first = [as_text(f"{row.image_id}: {row.detail}") for row in rows_of_kind.head(_MOST_EXAMPLES).itertuples()]
            rows.append([f"**{kind}**", f"{rows_of_kind['image_id'].nunique():,}", meaning, "<br>".join(first)])
    parts = []
    if rows:
        parts.append(_table(["finding", "images", "meaning", "first of them"], rows))
        parts.append(
            f"Every finding, {len(findings):,} in all: [audit.csv](audit.csv). None of them excludes an image."
        )
    absent = [kind for kind in looked_for if kind not in set(findings["finding"])]
    if absent:
        parts.append(f"Looked for and not found: {', '.join(absent)}.")
    return "\n\n".join(parts)


def _left_out(manifest: Manifest, issues: pd.DataFrame) -> str:
    if issues.empty:
        return "Nothing: every sample could be used."
    places = [
        f"{issue.file}{'' if pd.isna(issue.row) else f', row {issue.row:.0f}'}: {issue.problem}"
        for issue in issues.head(_MOST_EXAMPLES).itertuples()
    ]
    first = [f"- {as_text(place)}" for place in places]
    samples = f"Samples that cannot be used: {manifest.n_quarantined:,}; problems: {len(issues):,}. The first of them:"
    return "\n\n".join([samples, "\n".join(first), "All of them: [issues.csv](issues.csv)."])


def _table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = (header, ["---"] * len(header), *rows)
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)
