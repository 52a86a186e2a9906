"""What looks like Pascal VOC: masks in SegmentationClass, without the colours of labels of CVAT."""

from collections.abc import Iterator
from pathlib import PurePosixPath

from defectbench.data.discovery.folder import UNNAMED, Candidate, Folder, name_classes
from defectbench.data.discovery.ignored import doubt_void
from defectbench.data.discovery.pairs import find_pairs, look_at_masks
from defectbench.data.readers.mask_pixels import VOID
from defectbench.data.voc_palette import voc_colour

MASKS_DIR = "SegmentationClass"


def looks_like(folder: Folder) -> Iterator[Candidate]:
    """Yield folders SegmentationClass whose masks have the numbers or the colours of the palette."""
    numbers = {voc_colour(value): value for value in range(256)}
    label_maps = folder.names(".txt")
    for pair in find_pairs(folder):
        root = PurePosixPath(pair.masks).parent
        if PurePosixPath(pair.masks).name != MASKS_DIR or (root / "labelmap.txt").as_posix() in label_maps:
            continue
        looks = look_at_masks(folder, pair)
        found = {value for look in looks for value in look.values}
        found |= {numbers[colour] for look in looks for colour in look.colours if colour in numbers}
        missing, doubts = pair.leave_out()
        if n_void := sum(VOID in look.values or voc_colour(VOID) in look.colours for look in looks):
            missing, doubts = missing | {"ignore": VOID}, [*doubts, doubt_void(n_void)]
        if classes := found - {0, VOID}:
            yield Candidate(
                "pascal_voc",
                pair.masks,
                f"{pair.masks}: {len(pair.files):,} masks for {pair.n_images:,} images in {pair.images},"
                f" in Pascal VOC's palette with the numbers {', '.join(map(str, sorted(classes)))}",
                {"images_dir": pair.images, "masks_dir": pair.masks, **missing, "classes": name_classes(classes)},
                (UNNAMED, *doubts),
                instead_of=frozenset({pair.key}),
            )
