"""Pixels that nobody decided: read from every format that can mark them, kept apart from the classes, never lost."""

import base64
import io
import json
from dataclasses import replace

import cv2
import numpy as np
import pandas as pd
import pytest
from foreign_datasets import CLASSES, annotation, bitmap, compressed, rectangle, write_coco, write_supervisely
from mask_files import with_palette
from PIL import Image
from pydantic import ValidationError
from small_datasets import HEIGHT, WIDTH, write_image, write_masks
from study_config import changed
from written_by_tools import brush_code, cvat_run_lengths

from defectbench.config.ingest import FORMATS, read_dataset_settings
from defectbench.config.study import load_study
from defectbench.data.audit import audit
from defectbench.data.ingest import BadSamplesError, ingest
from defectbench.data.manifest import read_manifest, write_manifest
from defectbench.data.packing import MaskPack
from defectbench.data.stripes import DARK, LIGHT, mark_ignored
from defectbench.data.voc_palette import voc_colour
from defectbench.data.write_packs import pack_images, pack_masks, pack_tiles
from defectbench.data.writers import MARKING, WRITERS, export_labels
from defectbench.data.writers.base import ExportError
from defectbench.reporting.dataset_card import dataset_card

DENT, STAIN, VOID = rectangle(2, 8, 3, 9), rectangle(10, HEIGHT, 20, WIDTH), rectangle(4, 12, 6, 25)
INDEX = DENT + 2 * STAIN
INDEX[VOID == 1] = 255
DECIDED = np.stack([DENT, STAIN]) * (VOID == 0)


def index_masks(root):
    return write_masks(root, {"0": INDEX}, ignore=255)


def mask_file(form, folder, suffix=""):
    def write(root):
        settings = FORMATS[form](name="parts", format=form, root=root, classes=CLASSES, ignore=255)
        write_image(root / settings.images_dir / "0.png")
        (root / folder).mkdir()
        mask = Image.fromarray(INDEX)
        if form == "pascal_voc":
            mask = with_palette(INDEX, *(voc_colour(value) for value in range(256))).convert("RGB")
            assert mask.getpixel((10, 5)) == (224, 224, 192)
        else:
            (root / "data.yaml").write_text("names: {0: background, 1: dent, 2: stain}\n")
        mask.save(root / folder / "0.png")
        return settings

    return write


def coco(ignore, category, **crowd):
    def write(root):
        shapes = [(DENT, 7, {}), (STAIN, 3, {}), (VOID, category, crowd)]
        settings = write_coco(
            root, [annotation(n, compressed(mask), 0, c, **more) for n, (mask, c, more) in enumerate(shapes)], 1
        )
        return settings.model_copy(update={"ignore": ignore})

    return write


def supervisely(root):
    objects = {"0.png": [bitmap(DENT), bitmap(STAIN, "stain"), bitmap(VOID, "other")]}
    return write_supervisely(root, objects).model_copy(update={"ignore": "other"})


def cvat(root):
    shapes = [(DENT, "dent", ""), (STAIN, "stain", ""), (VOID, "ignore", "")]
    return write_cvat(root, shapes)


def cvat_attribute(root):
    """A checkbox of the shapes: the void is drawn as a dent of which it is set."""
    checkbox = '<attribute name="ignore">{}</attribute><attribute name="note">true story</attribute>'
    shapes = [(DENT, "dent", checkbox.format("false")), (STAIN, "stain", ""), (VOID, "dent", checkbox.format("true"))]
    return write_cvat(root, shapes)


def write_cvat(root, shapes):
    write_image(root / "images" / "0.png")
    masks = [
        f'<mask label="{label}" rle="{", ".join(map(str, cvat_run_lengths(mask)))}" left="0" top="0" width="{WIDTH}"'
        f' height="{HEIGHT}">{inside}</mask>'
        for mask, label, inside in shapes
    ]
    image = f'<image id="0" name="0.png" width="{WIDTH}" height="{HEIGHT}">{"".join(masks)}</image>'
    (root / "annotations.xml").write_text(f"<annotations>{image}</annotations>")
    return of_format("cvat_images", root, "ignore")


def cvat_colours(root):
    """Segmentation mask 1.1, in which no pixel has two labels."""
    write_image(root / "JPEGImages" / "0.png")
    colours = {"background": (0, 0, 0), "dent": (250, 50, 83), "stain": (51, 221, 255), "ignore": (9, 9, 9)}
    lines = [f"{name}:{','.join(map(str, colour))}::" for name, colour in colours.items()]
    (root / "labelmap.txt").write_text("\n".join(["# label:color_rgb:parts:actions", *lines]))
    picture = np.array(list(colours.values()), np.uint8)[np.where(INDEX == 255, 3, INDEX)]
    (root / "SegmentationClass").mkdir()
    Image.fromarray(picture).save(root / "SegmentationClass" / "0.png")
    return of_format("cvat_masks", root, "ignore", images_dir="JPEGImages")


def labelme(*shapes):
    """Shapes of (mask, label, set flags)."""

    def write(root):
        write_image(root / "images" / "0.png")
        drawn = []
        for mask, label, flags in shapes:
            file = io.BytesIO()
            Image.fromarray(mask * np.uint8(255)).save(file, "PNG")
            of_shape = {"label": label, "shape_type": "mask", "points": [[0, 0], [WIDTH - 1, HEIGHT - 1]]}
            of_shape |= {"mask": base64.b64encode(file.getvalue()).decode(), "flags": flags}
            drawn.append(of_shape)
        content = {"shapes": drawn, "imagePath": "0.png", "imageHeight": HEIGHT, "imageWidth": WIDTH}
        (root / "images" / "0.json").write_text(json.dumps(content))
        return of_format("labelme", root, "ignore")

    return write


def label_studio(root):
    write_image(root / "images" / "0.png")
    size = {"original_width": WIDTH, "original_height": HEIGHT, "image_rotation": 0}
    results = []
    for number, (mask, label) in enumerate([(DENT, "dent"), (STAIN, "stain"), (VOID, "ignore")]):
        value = {"format": "rle", "rle": brush_code(mask, literal=False), "brushlabels": [label]}
        results.append({"id": f"r{number}", "type": "brushlabels", "value": value, **size})
    (root / "project.json").write_text(
        json.dumps([{"id": 5, "data": {"image": "0.png"}, "annotations": [{"id": 1, "result": results}]}])
    )
    return of_format("label_studio", root, "ignore")


def of_format(form, root, ignore, **more):
    return FORMATS[form](name="parts", format=form, root=root, classes=CLASSES, ignore=ignore, **more)


WAYS = {
    "CVAT label": cvat,
    "CVAT attribute": cvat_attribute,
    "CVAT colours": cvat_colours,
    "LabelMe label": labelme((DENT, "dent", {}), (STAIN, "stain", {}), (VOID, "ignore", {})),
    "LabelMe flag": labelme((DENT, "dent", {"ignore": False}), (STAIN, "stain", {}), (VOID, "dent", {"ignore": True})),
    "Label Studio": label_studio,
    "index": index_masks,
    "Pascal VOC's border": mask_file("pascal_voc", "SegmentationClass"),
    "ultralytics": mask_file("yolo_semantic", "masks"),
    "COCO category": coco("other", 9),
    "Supervisely": supervisely,
    "COCO crowd": coco("crowd", 7, iscrowd=1),
}


@pytest.mark.parametrize("way", WAYS)
def test_every_way_to_mark_them_gives_the_same_manifest(tmp_path, way):
    manifest, problems, _ = ingest(WAYS[way](tmp_path), tmp_path / "found.csv")
    assert (problems, manifest.class_names, manifest.class_values) == ([], ("dent", "stain"), (1, 2))
    assert manifest.has_ignored
    (row,) = manifest.frame.itertuples(index=False)
    np.testing.assert_array_equal(manifest.masks(row), DECIDED)
    np.testing.assert_array_equal(manifest.ignored(row), VOID)
    assert list(row.area) == DECIDED.sum(axis=(1, 2)).tolist()


def test_crowds_are_defects_unless_they_are_to_be_ignored(tmp_path):
    manifest, *_ = ingest(coco(None, 7, iscrowd=1)(tmp_path), tmp_path / "found.csv")
    (row,) = manifest.frame.itertuples(index=False)
    np.testing.assert_array_equal(manifest.masks(row), [DENT | VOID, STAIN])
    assert not manifest.has_ignored


def test_an_image_without_a_decided_pixel_cannot_be_used(tmp_path):
    settings = write_masks(tmp_path, {"0": INDEX, "1": np.full((HEIGHT, WIDTH), 255, np.uint8)}, ignore=255)
    with pytest.raises(BadSamplesError, match=r"images/1\.png: every pixel is ignored"):
        ingest(settings, tmp_path / "found.csv")


def test_an_image_whose_defects_are_all_ignored_is_clean(tmp_path):
    manifest, *_ = ingest(write_masks(tmp_path, {"0": VOID * 255}, ignore=255), tmp_path / "found.csv")
    (row,) = manifest.frame.itertuples(index=False)
    assert list(row.area) == [0, 0]
    assert manifest.ignored(row).sum() == VOID.sum()


def test_the_digest_knows_which_pixels_are_ignored(tmp_path):
    digests = set()
    for name, void in {"none": VOID * 0, "some": VOID, "others": rectangle(0, 2, 0, 2)}.items():
        mask = np.where(void == 1, 255, 0).astype(np.uint8)
        digests.add(ingest(write_masks(tmp_path / name, {"0": mask}, ignore=255), tmp_path / "f.csv")[0].digest())
    assert len(digests) == 3


def test_without_the_key_settings_manifest_and_packs_are_what_they_were(tmp_path):
    settings = write_masks(tmp_path, {"0": DENT + 0 * STAIN})
    settings.write(tmp_path / "ingest.yaml")
    assert "ignore" not in (tmp_path / "ingest.yaml").read_text()
    manifest, *_ = ingest(settings, tmp_path / "found.csv")
    (row,) = manifest.frame.itertuples(index=False)
    assert len(row.rle) == 2
    pack_masks(manifest, tmp_path)
    assert (tmp_path / "masks.bin").read_bytes() == np.packbits(np.stack([DENT, 0 * DENT]), axis=-1).tobytes()
    assert b"ignored" not in (tmp_path / "masks.parquet").read_bytes()
    assert MaskPack(tmp_path).ignored("0.png") is None


def test_the_key_survives_its_file(tmp_path):
    settings = index_masks(tmp_path)
    settings.write(tmp_path / "ingest.yaml")
    assert read_dataset_settings(tmp_path / "ingest.yaml") == settings


def test_packs_and_tiles_hold_them_beside_the_classes(tmp_path):
    manifest, *_ = ingest(index_masks(tmp_path), tmp_path / "found.csv")
    write_manifest(tmp_path / "manifest.parquet", manifest)
    manifest = read_manifest(tmp_path / "manifest.parquet")
    pack_images(manifest, tmp_path, tmp_path / "pack")
    pack_masks(manifest, tmp_path / "pack")
    pack_tiles(tmp_path / "pack", tmp_path / "tiles", (13, 19), 11)
    masks, tiles = MaskPack(tmp_path / "pack"), MaskPack(tmp_path / "tiles")
    window = slice(3, 20), slice(5, 31)
    np.testing.assert_array_equal(masks["0.png"], DECIDED)
    np.testing.assert_array_equal(masks.ignored("0.png"), VOID)
    np.testing.assert_array_equal(masks.ignored("0.png", window), VOID[window])
    for tile in tiles.image_ids:
        top, left = map(int, tile.rpartition("#")[2].split("_"))
        cut = slice(top, top + 13), slice(left, left + 19)
        np.testing.assert_array_equal(tiles.ignored(tile), VOID[cut])
        np.testing.assert_array_equal(tiles[tile], DECIDED[:, *cut])


@pytest.mark.parametrize("form", sorted(WRITERS.keys() - MARKING))
def test_writers_refuse_what_they_cannot_mark(tmp_path, form):
    manifest, *_ = ingest(index_masks(tmp_path), tmp_path / "found.csv")
    with pytest.raises(ExportError, match=f"ignored pixels, which {form} cannot mark"):
        export_labels(manifest, form, tmp_path / "out")


@pytest.mark.parametrize(
    ("form", "read_as", "ignore"),
    [("coco", "coco", "crowd"), ("masks", "mask_folder", 255), ("yolo_semantic", "mask_folder", 255)],
)
def test_what_writers_mark_is_read_again(tmp_path, form, read_as, ignore):
    original, *_ = ingest(index_masks(tmp_path), tmp_path / "found.csv")
    exported = export_labels(original, form, tmp_path / "export")
    assert exported["objects"].tolist() == [2]
    (tmp_path / "images").rename(tmp_path / "export" / "images")
    dataset = FORMATS[read_as](
        name="again", format=read_as, root=tmp_path / "export", classes=CLASSES, ignore=ignore, images_dir="images"
    )
    again, *_ = ingest(dataset, tmp_path / "again.csv")
    (row,), (before,) = (manifest.frame.itertuples() for manifest in (again, original))
    assert row.rle == before.rle
    np.testing.assert_array_equal(again.ignored(row), VOID)


def test_a_class_of_the_value_of_ignored_pixels_is_refused(tmp_path):
    manifest, *_ = ingest(index_masks(tmp_path), tmp_path / "found.csv")
    with pytest.raises(ExportError, match="255 is a class, and would mark the dataset's ignored pixels"):
        export_labels(replace(manifest, class_values=(1, 255)), "masks", tmp_path / "out")


@pytest.mark.parametrize(
    ("form", "values", "problem"),
    [
        ("mask_folder", {"ignore": "void"}, "need the value of such pixels, got 'void'"),
        ("mask_folder", {"ignore": 2}, "2 is the background, a class or no name"),
        ("mask_folder", {"ignore": 0}, "0 is the background, a class or no name"),
        ("mask_folder", {"ignore": True}, "ignore"),
        ("mask_folder", {"ignore": 9, "classes": {1: "dent"}, "mask_kind": "binary"}, "only for mask_kind: index"),
        ("coco", {"ignore": 255}, "need the name of a class, got 255"),
        ("coco", {"ignore": "dent"}, "'dent' is the background, a class or no name"),
        ("coco", {"ignore": "merged"}, "'merged' is the background, a class or no name"),
        ("coco", {"ignore": "un\nclear"}, "is empty, has outer blanks or control characters"),
        ("coco", {"ignore": " "}, "is empty, has outer blanks or control characters"),
        ("severstal_csv", {"ignore": 255}, "no mark for pixels that nobody decided"),
        ("yolo", {"ignore": "void"}, "no mark for pixels that nobody decided"),
    ],
)
def test_marks_that_labels_cannot_have_are_refused(tmp_path, form, values, problem):
    with pytest.raises(ValidationError, match=problem):
        FORMATS[form](**{"name": "parts", "format": form, "root": tmp_path, "classes": CLASSES} | values)


def test_card_and_pictures_show_them(tmp_path):
    settings = index_masks(tmp_path)
    manifest, *_ = ingest(settings, tmp_path / "found.csv")
    text = dataset_card(manifest, audit(manifest), pd.DataFrame(columns=["file", "row", "problem"]), settings, [])
    share = VOID.sum() / VOID.size
    assert f"{VOID.sum():,} pixels ({share:.2%}) in 1 of 1 images" in text
    for shape in [(HEIGHT, WIDTH), (HEIGHT, WIDTH, 3)]:
        for metal in (30, DARK, 128, LIGHT, 240):
            image = np.full(shape, metal, np.uint8)
            seen = abs(mark_ignored(image, VOID == 1).reshape(HEIGHT, WIDTH, -1).astype(int) - metal).max(axis=-1) > 30
            assert not seen[VOID == 0].any()
            assert 0.2 < seen[VOID == 1].mean() < 0.8
    assert mark_ignored(image, None) is image


def test_stripes_of_large_images_are_seen_when_they_are_made_small():
    marked = mark_ignored(np.full((2000, 6400), 128, np.uint8), np.ones((2000, 6400), bool))
    small = cv2.resize(marked, (800, 250), interpolation=cv2.INTER_AREA)
    assert {DARK, LIGHT, 128} <= {*small.ravel().tolist()}
    assert len(np.unique(marked[::8, ::8])) == 3


def test_a_study_that_ignores_pixels_may_train(tmp_path):
    dataset = index_masks(tmp_path).model_dump(mode="json", exclude_unset=True)
    assert load_study(changed(dataset=dataset)).dataset.ignore == 255
