"""New images for models of deep images: of the same depth and channels, or refused."""

import numpy as np
import pytest
from deep_datasets import as_pages, as_png, as_tiff, noise

from defectbench.data.deep_images import Pixels
from defectbench.reporting.new_images import NewImagesError, read_images

DEEP = Pixels("uint16", None, False)
PLAIN = Pixels("uint8", None, False)


def read(tmp_path, name, data, kind, channels):
    (tmp_path / name).write_bytes(data)
    return next(read_images(tmp_path, [name], True, kind, channels))[1]


def test_values_are_those_of_the_file(tmp_path):
    grey, many = noise(1, "uint16"), noise(4, "float32")
    np.testing.assert_array_equal(read(tmp_path, "a.png", as_png(grey), DEEP, 1), grey)
    np.testing.assert_array_equal(read(tmp_path, "a.png", as_png(grey), DEEP, 3), np.dstack([grey] * 3))
    np.testing.assert_array_equal(read(tmp_path, "b.tif", as_pages(many), Pixels("float32", 4, True), 4), many)


@pytest.mark.parametrize(
    ("name", "data", "kind", "channels", "message"),
    [
        (
            "a.png",
            as_png(noise(1, "uint8")),
            DEEP,
            1,
            "the model was trained on images of 16-bit values",
        ),
        ("a.png", as_png(noise(1, "uint16")), PLAIN, 3, "16 bits per channel"),
        ("a.png", as_png(noise(3, "uint16")), DEEP, 1, "has colours; the model was trained on grey images"),
        ("a.tif", as_tiff(noise(4, "uint16")), Pixels("uint16", 5, False), 5, "of 4 channels; dataset.channels: 5"),
        ("a.tif", as_pages(noise(4, "uint16")), Pixels("uint16", 4, False), 4, "has 4 pages"),
    ],
)
def test_others_are_refused_by_name(tmp_path, name, data, kind, channels, message):
    with pytest.raises(NewImagesError, match=rf"{name}: .*{message}"):
        read(tmp_path, name, data, kind, channels)
