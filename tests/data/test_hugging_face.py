"""Datasets of Hugging Face, written as its library does, unpacked and read."""

import csv
import io
import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import unpack_hugging_face as script
from foreign_datasets import CLASSES, shape
from PIL import Image
from small_datasets import HEIGHT, WIDTH

from defectbench.config.ingest import MaskFolder
from defectbench.data.hugging_face import HuggingFaceError, unpack
from defectbench.data.ingest import ingest

NAMES = ("a.png", "lot/b.png", "c.jpg")
FILE = pa.struct([("bytes", pa.binary()), ("path", pa.string())])


def encoded(pixels: np.ndarray, form: str = "PNG") -> bytes:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, form)
    return file.getvalue()


def picture(number: int, name: str) -> bytes:
    noise = np.random.default_rng(number).integers(0, 256, (HEIGHT, WIDTH), np.uint8)
    return encoded(noise, "JPEG" if name.endswith("jpg") else "PNG")


IMAGES = [picture(number, name) for number, name in enumerate(NAMES)]
MASKS = [encoded(shape(number) * (number + 1 if number < 2 else 0)) for number in range(3)]


def table_of(names=NAMES, masks=MASKS, mask_column: str = "mask") -> pa.Table:
    images = [{"bytes": content, "path": name} for content, name in zip(IMAGES, names, strict=True)]
    cells = [mask and {"bytes": mask, "path": None} for mask in masks]
    return pa.table(
        {"id": pa.array(range(3)), "image": pa.array(images, FILE), mask_column: pa.array(cells, FILE)},
        metadata={"huggingface": json.dumps({"info": {"features": {"image": {"_type": "Image"}}}})},
    )


def write_parquet(root, **more):
    (root / "data").mkdir(parents=True)
    table = table_of(**more)
    pq.write_table(table[:2], root / "data" / "train-00000-of-00001.parquet")
    pq.write_table(table[2:], root / "data" / "test-00000-of-00001-0123456789abcdef.parquet")


def write_arrow(root, new_stream=pa.ipc.new_stream, **more):
    for split, part in (("train", slice(0, 2)), ("test", slice(2, 3))):
        (root / split).mkdir(parents=True)
        (root / split / "state.json").write_text("{}")
        table = table_of(**more)[part.start : part.stop]
        with new_stream(root / split / "data-00000-of-00001.arrow", table.schema) as writer:
            writer.write_table(table)


def write_folder(root, form: str):
    for split, part in (("train", slice(0, 2)), ("test", slice(2, 3))):
        rows = []
        for name, image, mask in list(zip(NAMES, IMAGES, MASKS, strict=True))[part]:
            row = {"file_name": name, "mask_file_name": f"masks/{name}.png"}
            for path, content in zip(row.values(), (image, mask), strict=True):
                (root / split / path).parent.mkdir(parents=True, exist_ok=True)
                (root / split / path).write_bytes(content)
            rows.append(row)
        with (root / split / f"metadata.{form}").open("w", encoding="utf-8-sig", newline="") as file:
            if form == "csv":
                writer = csv.DictWriter(file, list(rows[0]))
                writer.writeheader()
                writer.writerows(rows)
            else:
                file.writelines(json.dumps(row) + "\n" for row in rows)


WAYS = {
    "parquet": write_parquet,
    "arrow": write_arrow,
    "arrow file": lambda root: write_arrow(root, pa.ipc.new_file),
    "csv": lambda root: write_folder(root, "csv"),
    "jsonl": lambda root: write_folder(root, "jsonl"),
    "label": lambda root: write_parquet(root, mask_column="label"),
}


@pytest.mark.parametrize("way", WAYS)
def test_images_and_masks_are_what_they_were(tmp_path, capsys, way):
    WAYS[way](tmp_path / "data")
    script.main(["--data", str(tmp_path / "data"), "--out-dir", str(tmp_path / "out")])
    assert "3 images of column" in capsys.readouterr().out
    expected = ["test/c.jpg", "train/a.png", "train/b.png"]
    dataset = MaskFolder(name="parts", format="mask_folder", root=tmp_path / "out", classes=CLASSES)
    manifest, problems, notes = ingest(dataset, tmp_path / "found.csv", threads=1)
    assert (problems, notes, manifest.frame["image_id"].tolist()) == ([], [], expected)
    for row, number in zip(manifest.frame.itertuples(), (2, 0, 1), strict=True):
        assert (tmp_path / "out" / row.path).read_bytes() == IMAGES[number]
        truth = np.zeros((2, HEIGHT, WIDTH), np.uint8)
        if number < 2:
            truth[number] = shape(number)
        np.testing.assert_array_equal(manifest.masks(row), truth)


def test_rows_without_names_or_masks(tmp_path, capsys):
    write_parquet(tmp_path / "data", names=["x/same.png", "y/same.png", None], masks=[MASKS[0], None, MASKS[2]])
    script.main(["--data", str(tmp_path / "data"), "--out-dir", str(tmp_path / "out")])
    assert "1 rows have no mask: if these images are clean, set missing_mask: clean" in capsys.readouterr().out
    files = sorted(path.relative_to(tmp_path / "out").as_posix() for path in (tmp_path / "out").rglob("*.*"))
    images = ["images/test/row_000001.jpg", "images/train/same.png", "images/train/same_000002.png"]
    assert files == [*images, "masks/test/row_000001.png", "masks/train/same.png"]


@pytest.mark.parametrize(
    ("write", "options", "message"),
    [
        (lambda root: root.mkdir(), {}, "no Parquet files, Arrow files of save_to_disk, or metadata.csv or .jsonl"),
        (
            WAYS["parquet"],
            {"mask_column": "masque"},
            "no column .masque.; name it with --mask-column, one of id",
        ),
        (WAYS["parquet"], {"mask_column": "id"}, "row 1: holds int, not an image; name other columns"),
        (lambda root: write_parquet(root, mask_column="truth"), {}, "no column of masks is known by its name; name it"),
        (
            lambda root: write_parquet(root, masks=[b"?", None, None]),
            {},
            "train-.*, row 1: image cannot be read",
        ),
    ],
)
def test_refusals(tmp_path, write, options, message):
    write(tmp_path / "data")
    with pytest.raises(HuggingFaceError, match=message):
        unpack(tmp_path / "data", tmp_path / "out", **options)
    assert [path.name for path in tmp_path.iterdir()] == ["data"]


def test_damaged_files_and_paths_that_lead_out_are_refused(tmp_path):
    write_arrow(tmp_path / "arrow")
    file = tmp_path / "arrow" / "train" / "data-00000-of-00001.arrow"
    file.write_bytes(file.read_bytes()[:300])
    with pytest.raises(HuggingFaceError, match=r"data-00000-of-00001.arrow: cannot be read"):
        unpack(tmp_path / "arrow", tmp_path / "out")
    (tmp_path / "lines").mkdir()
    (tmp_path / "lines" / "metadata.jsonl").write_text("[1]\n")
    with pytest.raises(HuggingFaceError, match=r"metadata.jsonl: cannot be read: row 1 is no object with columns"):
        unpack(tmp_path / "lines", tmp_path / "out")
    write_folder(tmp_path / "folder", "csv")
    (tmp_path / "secret.png").write_bytes(IMAGES[0])
    (tmp_path / "folder" / "test" / "metadata.csv").write_text("file_name,mask_file_name\n../../secret.png,\n")
    with pytest.raises(HuggingFaceError, match=r"row 1: no file '../../secret.png' beside the table or in"):
        unpack(tmp_path / "folder", tmp_path / "out")


def test_tables_that_are_links_out_of_the_data_are_told(tmp_path, capsys):
    write_parquet(tmp_path / "blobs")
    (tmp_path / "data").mkdir()
    for path in (tmp_path / "blobs/data").iterdir():
        (tmp_path / "data" / path.name).symlink_to(path)
    script.main(["--data", str(tmp_path / "data"), "--out-dir", str(tmp_path / "out")])
    assert f"links out of {tmp_path / 'data'}, followed: test-00000-of-00001-0123" in capsys.readouterr().out


def test_a_name_that_no_disk_takes_becomes_a_number(tmp_path):
    write_parquet(tmp_path / "data", names=["a" * 300 + ".png", "ok.png", "b\n.png"])
    unpack(tmp_path / "data", tmp_path / "out")
    images = sorted(path.name for path in (tmp_path / "out/images").rglob("*.*"))
    assert images == ["ok.png", "row_000001.jpg", "row_000001.png"]


@pytest.mark.parametrize("compression", ["snappy", "zstd", "none"])
def test_compressed_parquet_is_read(tmp_path, compression):
    (tmp_path / "data").mkdir()
    pq.write_table(table_of(), tmp_path / "data/train.parquet", compression=compression)
    assert unpack(tmp_path / "data", tmp_path / "out").images == 3


@pytest.mark.parametrize("new_stream", [pa.ipc.new_stream, pa.ipc.new_file])
@pytest.mark.parametrize("compression", ["lz4", "zstd", None])
def test_compressed_arrow_is_refused(tmp_path, new_stream, compression):
    (tmp_path / "data").mkdir()
    table = table_of().append_column("of", pa.array(["a", "b", "a"]).dictionary_encode())
    options = pa.ipc.IpcWriteOptions(compression=compression)
    with new_stream(tmp_path / "data/data.arrow", table.schema, options=options) as writer:
        writer.write_table(table)
    if compression is None:
        assert unpack(tmp_path / "data", tmp_path / "out").images == 3
    else:
        with pytest.raises(HuggingFaceError, match="is compressed; save it"):
            unpack(tmp_path / "data", tmp_path / "out")
