"""Writer of CVAT's Segmentation mask 1.1, which is Pascal VOC's layout with the labels' colours in ``labelmap.txt``."""

from pathlib import Path

from defectbench.data.manifest import Manifest
from defectbench.data.voc_palette import voc_colour
from defectbench.data.writers.base import Exported, ExportError, label_names
from defectbench.data.writers.masks import png_name, write_index_masks
from defectbench.files import write_text


def write(manifest: Manifest, folder: Path) -> list[Exported]:
    """Write ``labelmap.txt``, ``SegmentationClass/*.png`` in Pascal VOC's palette, and the list of images.

    Classes are numbered from 1 in the manifest's order.

    Raises:
        ExportError: if classes overlap, or there are more than 254: 255 is Pascal VOC's void.
    """
    if len(manifest.class_names) > 254:
        raise ExportError(f"the palette has 254 classes, not {len(manifest.class_names)}; use masks_per_class")
    names = dict(enumerate(("background", *manifest.class_names)))
    lines = [f"{name}:{','.join(map(str, voc_colour(value)))}::\n" for value, name in names.items()]
    write_text(folder / "labelmap.txt", "".join(["# label:color_rgb:parts:actions\n", *lines]))
    masks = label_names(manifest, png_name)
    lists = [f"{name.with_suffix('')}\n" for name in masks]
    write_text(folder / "ImageSets" / "Segmentation" / "default.txt", "".join(lists))
    palette = [part for value in range(256) for part in voc_colour(value)]
    paths = [folder / "SegmentationClass" / name for name in masks]
    return write_index_masks(manifest, paths, range(1, len(names)), palette)
