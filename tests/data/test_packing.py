"""Packs hold exactly the pixels of the files and the masks of the manifest."""

import pickle
import tracemalloc

import cv2
import numpy as np
import pack as pack_script
import pack_tiles as tiles_script
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from small_datasets import HEIGHT, WIDTH, write_image, write_severstal
from small_disk import small_disk

from defectbench.data import write_packs
from defectbench.data.ingest import ingest
from defectbench.data.manifest import write_manifest
from defectbench.data.packing import ImagePack, MaskPack
from defectbench.data.tiles import tile_windows
from defectbench.data.write_packs import PackError, pack_images, pack_masks, pack_tiles

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
    manifest, *_ = ingest(dataset, dataset.root / "found.csv")
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


def test_packing_of_large_images_holds_one_at_a_time(dataset, monkeypatch):
    size = (1000, 1500)
    for index in range(4):
        write_image(dataset.root / "train_images" / f"{index}.png", seed=index, size=size)
    manifest, *_ = ingest(dataset, dataset.root / "found.csv")
    peaks = []
    for largest_together in (10**6, 10**7):
        monkeypatch.setattr(write_packs, "LARGE", largest_together)
        tracemalloc.start()
        pack_images(manifest, dataset.root, dataset.root / str(largest_together), threads=4)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[0] < 3.5 * size[0] * size[1]  # bytes: the file and the grey pixels of one, and the next one's
    alone, together = (dataset.root / name / "images.bin" for name in ("1000000", "10000000"))
    assert alone.read_bytes() == together.read_bytes()


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


@pytest.fixture(scope="module")
def packed_masks(tmp_path_factory):
    manifest, folder = pack(write_severstal(tmp_path_factory.mktemp("masks"), ROWS))
    return manifest, MaskPack(folder)


@given(st.tuples(st.integers(0, HEIGHT - 1), st.integers(0, WIDTH - 1)), st.integers(1, 40), st.integers(1, 40))
def test_a_window_of_masks_is_that_part_of_the_whole(packed_masks, start, height, width):
    manifest, masks = packed_masks
    window = slice(start[0], min(start[0] + height, HEIGHT)), slice(start[1], min(start[1] + width, WIDTH))
    for row in manifest.frame.itertuples():
        truth = manifest.masks(row)[:, *window]
        np.testing.assert_array_equal(masks.read(row.image_id, window), truth)
        np.testing.assert_array_equal(masks.read(row.image_id, window, merged=True), truth.max(axis=0, keepdims=True))


def test_areas_are_those_of_the_manifest(dataset):
    manifest, folder = pack(dataset)
    assert MaskPack(folder).areas() == {row.image_id: list(row.area) for row in manifest.frame.itertuples()}


@pytest.mark.parametrize("colour", [False, True])
def test_tiles_hold_the_pixels_and_masks_of_their_windows(dataset, colour):
    write_image(dataset.root / "train_images" / "2.png", seed=9, colour=colour)
    manifest, folder = pack(dataset)
    tiles = dataset.root / "tiles"
    n_tiles = pack_tiles(folder, tiles, (16, 18), 11)
    images, masks = ImagePack(tiles), MaskPack(tiles)
    whole_images, whole_masks = ImagePack(folder), MaskPack(folder)
    expected = [
        (f"{image_id}#{rows.start}_{columns.start}", image_id, rows, columns)
        for image_id in whole_images.image_ids
        for rows, columns in tile_windows(*whole_images[image_id].shape[:2], (16, 18), 11)
    ]
    assert images.image_ids == masks.image_ids == tuple(tile for tile, *_ in expected)
    assert len(expected) == n_tiles
    assert (images.channels, images.largest) == (3 if colour else 1, (16, 18))
    assert (images.digest, masks.class_names) == (manifest.digest(), manifest.class_names)
    areas = masks.areas()
    for tile, image_id, rows, columns in expected:
        np.testing.assert_array_equal(images[tile], whole_images[image_id][rows, columns])
        np.testing.assert_array_equal(masks[tile], whole_masks[image_id][:, rows, columns])
        assert areas[tile] == whole_masks[image_id][:, rows, columns].sum(axis=(1, 2)).tolist()


def test_an_image_smaller_than_a_tile_is_a_tile_of_its_own_size(dataset):
    _, folder = pack(dataset)
    pack_tiles(folder, dataset.root / "tiles", (16, 18), 11)
    images = ImagePack(dataset.root / "tiles")
    assert [tile for tile in images.image_ids if tile.startswith("3.png")] == ["3.png#0_0"]
    assert images["3.png#0_0"].shape == SIZES[3]


def test_the_index_of_tiles_says_where_they_lie(dataset):
    _, folder = pack(dataset)
    pack_tiles(folder, dataset.root / "tiles", (16, 18), 11)
    place = ["tile_id", "image_id", "y", "x", "height", "width"]
    for name, own in (("images", ["offset", "channels"]), ("masks", ["area", "offset", "n_classes"])):
        index = pq.read_table(dataset.root / "tiles" / f"{name}.parquet").to_pandas()
        assert list(index.columns) == place + own
        assert (index["tile_id"] == [f"{row.image_id}#{row.y}_{row.x}" for row in index.itertuples()]).all()


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
    manifest, *_ = ingest(dataset, dataset.root / "found.csv")
    folder = dataset.root / "packed"
    write_image(dataset.root / "train_images" / "2.png", seed=99)
    with pytest.raises(PackError, match=r"2\.png: changed since ingest\. Run ingest again"):
        pack_images(manifest, dataset.root, folder)
    (dataset.root / "train_images" / "2.png").unlink()
    with pytest.raises(PackError, match=r"2\.png: cannot be read: No such file"):
        pack_images(manifest, dataset.root, folder)
    assert list(folder.iterdir()) == []


def test_script(dataset, capsys):
    manifest, *_ = ingest(dataset, dataset.root / "found.csv")
    write_manifest(dataset.root / "m.parquet", manifest)
    dataset.write(dataset.root / "ingest.yaml")
    arguments = {"dataset": "ingest.yaml", "manifest": "m.parquet", "out-dir": "packed"}
    pack_script.main([text for key, name in arguments.items() for text in (f"--{key}", str(dataset.root / name))])
    assert capsys.readouterr().out == "steel: 4 images as grey, 4 classes of masks\n"
    assert len(MaskPack(dataset.root / "packed").image_ids) == 4


def test_tile_script(dataset, capsys):
    _, folder = pack(dataset)
    out = dataset.root / "tiles"
    tiles_script.main(["--pack", str(folder), "--tile", "24x20", "--stride", "20", "--out-dir", str(out)])
    # 24 x 40 gives 2 tiles, twice; 27 x 33 gives 2 rows of 2; 5 x 7 gives one.
    assert capsys.readouterr().out == "4 images cut into 9 tiles of 24 x 20, stride 20\n"
    assert len(MaskPack(out).image_ids) == 9


def test_a_full_disk_keeps_no_half_pack(dataset):
    for index in range(4):
        write_image(dataset.root / "train_images" / f"{index}.png", seed=index, size=(200, 200))
    manifest, *_ = ingest(dataset, dataset.root / "found.csv")
    folder = dataset.root / "packed"
    folder.mkdir()
    with small_disk(folder, "64k"):
        with pytest.raises(OSError, match="No space left") as failure:
            pack_images(manifest, dataset.root, folder)
        assert failure.value.__notes__ == [f"while writing {folder / 'images.bin'}"]
        assert list(folder.iterdir()) == []
    pack_images(manifest, dataset.root, folder)
    assert ImagePack(folder).image_ids == ("0.png", "1.png", "2.png", "3.png")
