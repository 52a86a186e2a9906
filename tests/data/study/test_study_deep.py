"""Studies of folders of deep images and of channels: depth and channels are found and told, odd images doubted."""

import cv2
from deep_datasets import as_pages, as_tiff, noise
from study_folders import N_IMAGES, counts, doubts, make_study, mask


def write(root, image_of, suffix="tif"):
    for folder in ("images", "masks"):
        (root / folder).mkdir(parents=True, exist_ok=True)
    for number in range(N_IMAGES):
        (root / "images" / f"{number:02}.{suffix}").write_bytes(image_of(number))
        cv2.imwrite(str(root / "masks" / f"{number:02}.png"), mask(number))
    return root


def test_16_bit_images_among_which_two_have_8(tmp_path):
    root = write(tmp_path / "data", lambda n: as_tiff(noise(1, "uint8" if n in (3, 7) else "uint16", n)))
    config = make_study(root)
    assert config["dataset"]["scaling"] == {}
    assert "18 images are grey 16-bit: scaled between percentiles" in doubts()
    assert "2 samples cannot be used, the first: images/03.tif: image is 8-bit, most are 16-bit" in doubts()


def test_8_bit_images_among_which_two_have_16(tmp_path):
    root = write(tmp_path / "data", lambda n: as_tiff(noise(1, "uint16" if n in (3, 7) else "uint8", n)))
    config = make_study(root)
    assert "scaling" not in config["dataset"]
    assert "2 samples cannot be used, the first: images/03.tif: image is grey 16-bit" in doubts()


def test_channels_are_counted_and_families_of_three_are_told_theirs(tmp_path):
    config = make_study(write(tmp_path / "data", lambda n: as_tiff(noise(5, "uint16", n))))
    assert (config["dataset"]["scaling"], config["dataset"]["channels"]) == ({}, 5)
    assert "20 images have 5 channels" in doubts()
    by_model = {str(entry["model"]): entry.get("input_channels") for entry in config["experiments"]}
    assert by_model["yolov8-seg"] == [0, 1, 2]
    assert by_model["unet"] is None
    assert counts(config)[0] == N_IMAGES


def test_pages_are_not_taken_for_channels_in_silence(tmp_path, capsys):
    try:
        make_study(write(tmp_path / "data", lambda n: as_pages(noise(4, "uint16", n))))
    except SystemExit:
        assert "dataset.pages: channels" in capsys.readouterr().err
    else:
        raise AssertionError("pages were read")
