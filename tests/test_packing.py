"""Packs hold exactly the pixels of the files and the masks of the manifest."""

import pickle

import cv2
import numpy as np
import pack as pack_script
import pyarrow.parquet as pq
import pytest
from small_datasets import HEIGHT, WIDTH, write_image, write_severstal

from defectbench.data.ingest import ingest
from defectbench.data.manifest import write_manifest
from defectbench.data.packing import ImagePack, MaskPack
from defectbench.data.write_packs import PackError, pack_images, pack_masks

ROWS = ["0.png,1,1 5", "0.png,3,100 7", "2.png,4,30 60"]
SIZES = {1: (HEIGHT + 3, WIDTH - 7), 3: (5, 7)}


@pytest.fixture
def dataset(tmp_path):
    """Four images, two of them of other sizes, so that masks do not end at whole bytes."""
    settings = write_severstal(tmp_path, ROWS)
    for index, size in SIZES.items():
        write_image(tmp_path / "train_images" / f"{index}.png", seed=index, size=size)
    return settings


def pack(dataset):
    manifest, _ = ingest(dataset, dataset.root / "found.csv")
    folder = dataset.root / "packed"
    pack_images(manifest, dataset.root, folder)
    pack_masks(manifest, folder)
    return manifest, folder


def test_grey_images_keep_one_channel(dataset):
    manifest, folder = pack(dataset)
    images = ImagePack(folder)
    assert images.image_ids == ("0.png", "1.png", "2.png", "3.png")
    assert (images.channels, images.largest) == (1, (HEIGHT + 3, WIDTH))
    assert images.digest == manifest.digest()
    for image_id in images.image_ids:
        truth = cv2.imread(str(dataset.root / "train_images" / image_id), cv2.IMREAD_GRAYSCALE)
        np.testing.assert_array_equal(images[image_id], truth)
        assert images[image_id].dtype == np.uint8


def test_one_coloured_image_makes_all_rgb(dataset):
    write_image(dataset.root / "train_images" / "2.png", seed=9, colour=True)
    _, folder = pack(dataset)
    images = ImagePack(folder)
    assert images.channels == 3
    for image_id in images.image_ids:
        truth = cv2.imread(str(dataset.root / "train_images" / image_id), cv2.IMREAD_COLOR)
        np.testing.assert_array_equal(images[image_id], truth[..., ::-1])


def test_masks_are_those_of_the_manifest(dataset):
    manifest, folder = pack(dataset)
    masks = MaskPack(folder)
    assert masks.class_names == manifest.class_names
    for row in manifest.frame.itertuples():
        np.testing.assert_array_equal(masks[row.image_id], manifest.masks(row))
        assert masks[row.image_id].dtype == np.uint8


def test_image_pack_needs_no_label_file(dataset):
    _, folder = pack(dataset)
    (folder / "masks.bin").unlink()
    (folder / "masks.parquet").unlink()
    assert ImagePack(folder)["0.png"].shape == (HEIGHT, WIDTH)
    assert pq.read_schema(folder / "images.parquet").names == ["image_id", "height", "width", "offset", "channels"]


def test_packs_travel_to_workers_as_a_path(dataset):
    _, folder = pack(dataset)
    for kind in (ImagePack, MaskPack):
        sent = pickle.dumps(kind(folder))
        assert len(sent) < 1000
        np.testing.assert_array_equal(pickle.loads(sent)["0.png"], kind(folder)["0.png"])


def test_images_cannot_be_written_through_the_pack(dataset):
    _, folder = pack(dataset)
    with pytest.raises(ValueError, match="read-only"):
        ImagePack(folder)["0.png"][0, 0] = 1


def test_changed_and_missing_files_are_noticed(dataset):
    manifest, _ = ingest(dataset, dataset.root / "found.csv")
    folder = dataset.root / "packed"
    write_image(dataset.root / "train_images" / "2.png", seed=99)
    with pytest.raises(PackError, match=r"2\.png: changed since ingest\. Run ingest again"):
        pack_images(manifest, dataset.root, folder)
    (dataset.root / "train_images" / "2.png").unlink()
    with pytest.raises(PackError, match=r"2\.png: cannot be read: No such file"):
        pack_images(manifest, dataset.root, folder)
    assert list(folder.iterdir()) == []


def test_script(dataset, capsys):
    manifest, _ = ingest(dataset, dataset.root / "found.csv")
    write_manifest(dataset.root / "m.parquet", manifest)
    dataset.write(dataset.root / "ingest.yaml")
    arguments = {"dataset": "ingest.yaml", "manifest": "m.parquet", "out-dir": "packed"}
    pack_script.main([text for key, name in arguments.items() for text in (f"--{key}", str(dataset.root / name))])
    assert capsys.readouterr().out == "steel: 4 images as grey, 4 classes of masks\n"
    assert len(MaskPack(dataset.root / "packed").image_ids) == 4
