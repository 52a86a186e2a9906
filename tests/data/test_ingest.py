"""Ingest and the manifest."""

import dataclasses
import hashlib
import io
import threading
import time
import tracemalloc

import cv2
import ingest as ingest_script
import numpy as np
import pandas as pd
import pytest
from PIL import Image, ImageOps
from small_datasets import HEIGHT, WIDTH, write_image, write_masks, write_severstal

from defectbench.config.ingest import SeverstalCsv
from defectbench.data import images
from defectbench.data.decoders import ImageError
from defectbench.data.duplicates import fingerprint
from defectbench.data.images import decode_image, read_header, stream, turn
from defectbench.data.ingest import BadSamplesError, ingest
from defectbench.data.manifest import SCHEMA, areas, read_manifest, write_manifest
from defectbench.data.rle import decode_severstal

ROWS = ["0.png,1,1 5", "0.png,3,100 7", "2.png,4,30 60"]


def run_ingest(settings, tmp_path):
    """Run the script; returns manifest and issues."""
    settings.write(tmp_path / "ingest.yaml")
    out = tmp_path / "runs"
    names = {"settings": tmp_path / "ingest.yaml", "manifest": out / "m.parquet", "issues": out / "issues.csv"}
    names["notes"] = out / "notes.csv"
    ingest_script.main([text for key, path in names.items() for text in (f"--{key}", str(path))])
    return read_manifest(out / "m.parquet"), pd.read_csv(out / "issues.csv", keep_default_na=False)


# decoding --------------------------------------------------------------------------------------------------------


def encoded(image: np.ndarray, suffix: str) -> bytes:
    return cv2.imencode(suffix, image)[1].tobytes()


NOISE = np.random.default_rng(0).integers(0, 256, (60, 80, 3), dtype=np.uint8)


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".bmp", ".tif"])
@pytest.mark.parametrize("share", [0.0, 0.3, 0.9, 0.99])
def test_truncated_image_is_refused(suffix, share):
    data = encoded(NOISE, suffix)
    with pytest.raises(ImageError, match="cannot be decoded"):
        decode_image(data[: int(share * len(data))])


def test_progressive_truncated_jpeg_is_refused():
    data = cv2.imencode(".jpg", NOISE, [cv2.IMWRITE_JPEG_PROGRESSIVE, 1])[1].tobytes()
    decode_image(data)
    with pytest.raises(ImageError, match="cannot be decoded"):
        decode_image(data[: len(data) // 2])


def test_truncated_jpeg_is_refused_whatever_opencv_does(monkeypatch):
    data = encoded(NOISE, ".jpg")
    monkeypatch.setattr(cv2, "imdecode", lambda *_: np.full_like(NOISE, 128))  # as OpenCV 4 does
    with pytest.raises(ImageError, match="cannot be decoded"):
        decode_image(data[: len(data) // 2])


def test_jpeg_with_data_behind_it_is_whole():
    data = encoded(NOISE, ".jpg")
    np.testing.assert_array_equal(decode_image(data + b"made by a camera"), decode_image(data))


@pytest.mark.parametrize(("mode", "suffix"), [("L", "PNG"), ("L", "JPEG"), ("LA", "PNG"), ("L", "TIFF")])
def test_a_grey_file_decoded_in_grey_is_each_channel_of_it_in_colour(mode, suffix):
    pixels = np.random.default_rng(0).integers(0, 256, (37, 53, len(mode)), np.uint8).squeeze()
    file = io.BytesIO()
    Image.fromarray(pixels, mode).save(file, suffix)
    assert read_header(file.getvalue()).stored_as.startswith("grey")
    grey, colour = decode_image(file.getvalue(), grey=True), decode_image(file.getvalue())
    assert (grey[..., None] == colour).all()
    assert all(np.array_equal(*pair) for pair in zip(fingerprint(grey), fingerprint(colour), strict=True))


def test_decoded_image_is_rgb_uint8():
    np.testing.assert_array_equal(decode_image(encoded(NOISE, ".png")), NOISE[..., ::-1])
    np.testing.assert_array_equal(decode_image(encoded(NOISE[..., 0], ".png")), np.dstack([NOISE[..., 0]] * 3))


def test_rotation_flag_is_not_followed(tmp_path):
    exif = Image.Exif()
    exif[274] = 6  # orientation: a quarter turn
    Image.fromarray(NOISE).save(tmp_path / "a.jpg", exif=exif)
    assert decode_image((tmp_path / "a.jpg").read_bytes()).shape == NOISE.shape


def test_16_bit_image_is_refused():
    with pytest.raises(ImageError, match="16 bits per channel"):
        decode_image(encoded(NOISE.astype(np.uint16), ".png"))


def test_stream_keeps_order_and_bounds_what_waits():
    lock, started = threading.Lock(), []

    def note(item: int) -> int:
        with lock:
            started.append(item)
        return item

    results = stream(note, range(1000), threads=3)
    assert [next(results) for _ in range(5)] == [0, 1, 2, 3, 4]
    assert len(started) < 20
    assert list(results) == list(range(5, 1000))


def test_items_that_are_alone_share_the_memory_with_no_other():
    lock, running, together = threading.Lock(), set(), []

    def note(item: int) -> int:
        with lock:
            running.add(item)
            together.append(set(running))
        time.sleep(0.001)
        with lock:
            running.remove(item)
        return item

    results = stream(note, range(60), threads=4, alone=lambda item: item % 10 == 0)
    assert list(results) == list(range(60))
    assert all(len(items) == 1 for items in together if any(item % 10 == 0 for item in items))
    assert max(map(len, together)) > 1  # the others do run together


def test_large_images_are_known_by_their_header(tmp_path, monkeypatch):
    monkeypatch.setattr(images, "LARGE", 600)
    for height in (30, 31):
        Image.new("L", (20, height)).save(tmp_path / f"{height}.bmp")
    (tmp_path / "other.png").write_bytes(b"no image" * 100)
    names = ("30.bmp", "31.bmp", "other.png", "missing.png")
    assert [name for name in names if images.is_large(tmp_path / name)] == ["31.bmp"]


def test_ingest_of_large_images_holds_one_at_a_time(tmp_path, monkeypatch):
    monkeypatch.setattr(images, "LARGE", 10**6)
    size = (1000, 1500)
    for index in range(8):
        write_image(tmp_path / "train_images" / f"{index}.png", seed=index, size=size)
    (tmp_path / "train.csv").write_text("ImageId,ClassId,EncodedPixels\n0.png,1,1 5\n", encoding="utf-8")
    settings = SeverstalCsv(name="x", format="severstal_csv", root=tmp_path, classes={1: "a"})
    tracemalloc.start()
    ingest(settings, tmp_path / "found.csv", threads=4)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 4 * size[0] * size[1]  # bytes: its file, its pixels, and what comes and goes


@pytest.mark.parametrize(
    ("mode", "expected"),
    [
        ("L", "grey 8-bit"),
        ("RGB", "RGB 8-bit"),
        ("RGBA", "RGB 8-bit with alpha"),
        ("P", "palette"),
        ("I;16", "grey 16-bit"),
    ],
)
@pytest.mark.parametrize("orientation", [None, 1, 6])
def test_header_says_how_pixels_are_stored(mode, expected, orientation):
    file = io.BytesIO()
    exif = Image.Exif()
    if orientation:
        exif[0x0112] = orientation
    Image.new(mode, (8, 6)).save(file, "PNG", exif=exif)
    header = read_header(file.getvalue())
    assert (header.stored_as, header.orientation, header.size) == (expected, orientation or 1, (6, 8))


def test_header_of_a_jpeg_and_of_no_image():
    file = io.BytesIO()
    exif = Image.Exif()
    exif[0x0112] = 3
    Image.new("L", (8, 6)).save(file, "JPEG", exif=exif)
    assert read_header(file.getvalue())[:2] == ("grey 8-bit", 3)
    for data in (b"no image", b"", b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n"):
        with pytest.raises(ImageError, match="cannot be read as BMP, JPEG, PNG, TIFF, WEBP"):
            read_header(data)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("form", ["JPEG", "PNG", "TIFF", "WEBP"])
def test_images_are_decoded_as_stored_or_as_viewers_show_them(orientation, form):
    file = io.BytesIO()
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(NOISE).save(file, form, exif=exif, lossless=True, quality=100)
    stored, shown = decode_image(file.getvalue()), decode_image(file.getvalue(), upright=True)
    assert read_header(file.getvalue()).size == stored.shape[:2] == NOISE.shape[:2]
    viewer = np.asarray(ImageOps.exif_transpose(Image.open(file)).convert("RGB")).astype(int)
    assert shown.shape == viewer.shape
    assert np.abs(shown - viewer).max() <= 3  # two decoders
    np.testing.assert_array_equal(turn(stored, orientation), shown)


@pytest.mark.parametrize("form", ["TIFF", "WEBP", "PNG"])
def test_files_of_several_pictures_are_refused(form):
    file = io.BytesIO()
    pages = [Image.fromarray(NOISE // part) for part in (1, 2, 3)]
    pages[0].save(file, form, save_all=True, append_images=pages[1:])
    with pytest.raises(ImageError, match="has 3 pages or frames"):
        read_header(file.getvalue())


@pytest.mark.parametrize(
    ("mode", "form", "options"),
    [
        ("1", "PNG", {"compress_level": 9}),
        ("L", "JPEG", {"optimize": True, "quality": 1}),
        ("L", "JPEG", {"optimize": True, "progressive": True}),
        ("RGB", "JPEG", {"optimize": True, "progressive": True, "subsampling": 2}),
        ("1", "TIFF", {"compression": "group4"}),
        ("L", "WEBP", {"lossless": True}),
    ],
)
def test_few_bytes_may_hold_many_equal_pixels(mode, form, options):
    file = io.BytesIO()
    Image.new(mode, (5000, 5000)).save(file, form, **options)
    assert read_header(file.getvalue()).size == (5000, 5000)
    assert decode_image(file.getvalue(), grey=True).max() <= 1


def test_the_second_picture_of_a_cameras_jpeg_is_a_preview():
    file = io.BytesIO()
    Image.fromarray(NOISE).save(file, "MPO", save_all=True, append_images=[Image.fromarray(NOISE[::2, ::2])])
    assert read_header(file.getvalue()).size == NOISE.shape[:2]


def test_line_scan_images_are_read_and_larger_ones_named():
    file = io.BytesIO()
    Image.new("1", (16_400, 12_000)).save(file, "PNG")
    assert read_header(file.getvalue()).size == (12_000, 16_400)
    Image.new("1", (2**15 + 1, 2**15)).save(file := io.BytesIO(), "PNG")
    with pytest.raises(ImageError, match="has 32768 x 32769 pixels"):
        read_header(file.getvalue())


# ingest ----------------------------------------------------------------------------------------------------------


def test_manifest_holds_what_was_read(tmp_path):
    manifest, issues = run_ingest(write_severstal(tmp_path, ROWS), tmp_path)
    frame = manifest.frame
    assert list(frame.columns) == SCHEMA.names
    assert frame["image_id"].tolist() == ["0.png", "1.png", "2.png", "3.png"]
    assert frame["path"].tolist() == [f"train_images/{index}.png" for index in range(4)]
    assert set(frame["height"]) == {HEIGHT}
    assert set(frame["width"]) == {WIDTH}
    assert set(frame["channels"]) == {1}
    assert set(frame["stored_as"]) == {"grey 8-bit"}
    data = (tmp_path / "train_images" / "2.png").read_bytes()
    assert frame["sha256"][2] == hashlib.sha256(data).hexdigest()
    assert frame["phash"].notna().all()
    assert str(frame["phash"].dtype) == "UInt64"
    assert frame["group"].tolist() == frame["image_id"].tolist()
    assert areas(frame).tolist() == [[5, 0, 7, 0], [0] * 4, [0, 0, 0, 60], [0] * 4]
    masks = manifest.masks(frame.iloc[0])
    assert masks.shape == (4, HEIGHT, WIDTH)
    np.testing.assert_array_equal(masks[2], decode_severstal("100 7", HEIGHT, WIDTH))
    assert (manifest.dataset, manifest.class_values, manifest.n_quarantined) == ("steel", (1, 2, 3, 4), 0)
    assert manifest.class_names == ("pitted", "inclusion", "scratch", "patch")
    assert issues.empty
    assert list(issues.columns) == ["file", "row", "problem"]


def test_colour_is_noticed(tmp_path):
    settings = write_severstal(tmp_path, ROWS)
    write_image(tmp_path / "train_images" / "1.png", colour=True)
    assert run_ingest(settings, tmp_path)[0].frame["channels"].tolist() == [1, 3, 1, 1]


def test_equal_files_share_a_group(tmp_path):
    settings = write_severstal(tmp_path, ROWS)
    (tmp_path / "train_images" / "3.png").write_bytes((tmp_path / "train_images" / "1.png").read_bytes())
    manifest, _ = run_ingest(settings, tmp_path)
    assert manifest.frame["group"].tolist() == ["0.png", "1.png", "2.png", "1.png"]


def test_defective_only(tmp_path):
    manifest, _ = run_ingest(write_severstal(tmp_path, ROWS, images="defective"), tmp_path)
    assert manifest.frame["image_id"].tolist() == ["0.png", "2.png"]


def bad_dataset(tmp_path, **settings):
    """Six samples of which two are good: a truncated image, a code too long, and classes 5 and 7."""
    rows = [*ROWS, f"1.png,1,{HEIGHT * WIDTH} 2", "3.png,5,1 1", "5.png,7,1 1"]
    dataset = write_severstal(tmp_path, rows, n_images=6, **settings)
    truncated = tmp_path / "train_images" / "4.jpg"
    (tmp_path / "train_images" / "4.png").unlink()
    write_image(truncated, seed=4)
    truncated.write_bytes(truncated.read_bytes()[:-200])
    return dataset


ISSUES = [
    ("train.csv", "5", "beyond the image"),
    ("train.csv", "6", "ClassId '5' is not in classes"),
    ("train.csv", "7", "ClassId '7' is not in classes"),
    ("train_images/4.jpg", "", "image cannot be decoded"),
]


def assert_issues(issues: pd.DataFrame) -> None:
    for found, (file, row, problem) in zip(issues.astype(str).itertuples(index=False), ISSUES, strict=True):
        assert (found.file, found.row) == (file, row)
        assert problem in found.problem


def test_bad_samples_stop_the_run(tmp_path, capsys):
    with pytest.raises(SystemExit) as exit_status:
        run_ingest(bad_dataset(tmp_path), tmp_path)
    assert exit_status.value.code == 1
    message = capsys.readouterr().err
    assert "dataset steel: 4 samples cannot be used, 4 problems" in message
    assert "train.csv, row 6: ClassId '5' is not in classes: 1, 2, 3, 4" in message
    assert "Traceback" not in message
    found = tmp_path / "runs" / "issues_found.csv"
    assert str(found) in message
    assert_issues(pd.read_csv(found, keep_default_na=False))
    assert not (tmp_path / "runs" / "m.parquet").exists()


def test_quarantine_goes_on_without_bad_samples(tmp_path):
    (tmp_path / "runs").mkdir()
    stale = tmp_path / "runs" / "issues_found.csv"
    stale.write_text("of a run before")
    manifest, issues = run_ingest(bad_dataset(tmp_path, on_bad_sample="quarantine"), tmp_path)
    assert manifest.frame["image_id"].tolist() == ["0.png", "2.png"]
    assert manifest.n_quarantined == 4
    assert_issues(issues)
    assert not stale.exists()


def test_only_five_problems_are_shown(tmp_path):
    settings = write_severstal(tmp_path, [f"x{index}.png,1,1 1" for index in range(9)])
    with pytest.raises(BadSamplesError, match="13 samples") as error:
        ingest(settings, tmp_path / "found.csv")
    assert "x4.png" in str(error.value)
    assert "x5.png" not in str(error.value)


def test_nothing_left_is_an_error(tmp_path):
    settings = write_severstal(tmp_path, ["0.png,,"], images="defective")
    with pytest.raises(BadSamplesError, match="no usable image is left"):
        ingest(settings, tmp_path / "found.csv")


def test_masks_of_another_size_are_quarantined(tmp_path):
    mask = np.eye(HEIGHT, WIDTH, dtype=np.uint8)
    settings = write_masks(tmp_path, {"a": mask, "b": mask.T, "c": mask * 2}, on_bad_sample="quarantine")
    manifest, issues = run_ingest(settings, tmp_path)
    assert manifest.frame["image_id"].tolist() == ["a.png", "c.png"]
    assert areas(manifest.frame).tolist() == [[HEIGHT, 0], [0, HEIGHT]]
    assert issues["file"].tolist() == ["masks/b.png"]


def test_digest_follows_the_data_alone(tmp_path):
    settings = write_severstal(tmp_path, ROWS)
    manifest, *_ = ingest(settings, tmp_path / "found.csv")
    shuffled = dataclasses.replace(manifest, frame=manifest.frame.iloc[[2, 0, 3, 1]], dataset="other")
    assert shuffled.digest() == manifest.digest()
    write_manifest(tmp_path / "m.parquet", shuffled)
    assert read_manifest(tmp_path / "m.parquet").digest() == manifest.digest()
    assert read_manifest(tmp_path / "m.parquet").frame["image_id"].is_monotonic_increasing
    for changed in (["0.png,1,1 6", *ROWS[1:]], ["0.png,2,1 5", *ROWS[1:]], ROWS[:-1]):
        other, *_ = ingest(write_severstal(tmp_path, changed), tmp_path / "found.csv")
        assert other.digest() != manifest.digest()


def test_manifest_of_some_columns(tmp_path):
    manifest, *_ = ingest(write_severstal(tmp_path, ROWS), tmp_path / "found.csv")
    write_manifest(tmp_path / "m.parquet", manifest)
    part = read_manifest(tmp_path / "m.parquet", columns=["image_id", "area"])
    assert list(part.frame.columns) == ["image_id", "area"]
    assert part.class_names == manifest.class_names


def test_real_severstal_images(tmp_path, real_data):
    settings = SeverstalCsv(
        name="mini",
        format="severstal_csv",
        root=real_data / "severstal_mini",
        classes={value: f"class_{value}" for value in range(1, 5)},
    )
    manifest, issues = run_ingest(settings, tmp_path)
    assert len(manifest.frame) == 15
    assert issues.empty
    known = pd.read_csv(real_data / "severstal_labels" / "class_areas_12568.csv", index_col="ImageId")
    np.testing.assert_array_equal(areas(manifest.frame), known.loc[manifest.frame["image_id"]].to_numpy())
