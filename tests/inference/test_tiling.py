"""Tiles cover every pixel, and stitching changes nothing where there is only one tile."""

import itertools
import tracemalloc

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from defectbench.data.tiles import source_image_id, tile_id, tile_origins, tile_windows
from defectbench.inference.geometry import Geometry
from defectbench.inference.network import NetworkPredictor
from defectbench.inference.tiling import Tiling, axis_weights

RNG = np.random.default_rng(0)
sides = st.integers(1, 90)


@pytest.mark.parametrize(
    ("length", "tile", "stride", "expected"),
    [
        (1600, 512, 256, [0, 256, 512, 768, 1024, 1088]),
        (256, 256, 256, [0]),
        (200, 256, 256, [0]),
        (1024, 512, 256, [0, 256, 512]),
        (1025, 512, 512, [0, 512, 513]),
        (513, 512, 256, [0, 1]),
    ],
)
def test_origins_step_by_stride_and_end_at_the_edge(length, tile, stride, expected):
    assert tile_origins(length, tile, stride) == expected


def test_a_severstal_image_gives_six_tiles():
    windows = tile_windows(256, 1600, (256, 512), 256)
    assert windows == [(slice(0, 256), slice(x, x + 512)) for x in (0, 256, 512, 768, 1024, 1088)]


@given(sides, sides, st.tuples(st.integers(1, 60), st.integers(1, 60)), st.integers(1, 60))
def test_tiles_cover_every_pixel_at_full_size_inside_the_image(height, width, tile, stride):
    covered = np.zeros((height, width), int)
    for rows, columns in tile_windows(height, width, tile, min(stride, *tile)):
        assert covered[rows, columns].shape == (min(tile[0], height), min(tile[1], width))
        covered[rows, columns] += 1
    assert covered.min() >= 1


@given(st.text("a#_/.0"), st.integers(0, 9999), st.integers(0, 9999))
def test_a_tiles_id_names_its_image(image_id, y, x):
    assert source_image_id(tile_id(image_id, y, x)) == image_id


def test_weights_fall_off_to_the_edges_as_computed_by_hand():
    (first, left), (second, right) = axis_weights(6, 4, 2)
    assert (first, second) == (slice(0, 4), slice(2, 6))
    np.testing.assert_allclose(left, [1, 1, 2 / 3, 1 / 3])
    np.testing.assert_allclose(right, [1 / 3, 2 / 3, 1, 1])


@given(st.integers(1, 300), st.integers(1, 70), st.data())
def test_weights_add_up_to_one_and_are_exactly_one_in_pixels_of_one_tile(length, tile, data):
    overlap = data.draw(st.integers(0, 2 * tile))
    total, count = np.zeros(length), np.zeros(length, int)
    parts = axis_weights(length, tile, overlap)
    for part, weights in parts:
        assert (weights > 0).all()
        total[part] += weights
        count[part] += 1
    np.testing.assert_allclose(total, 1, rtol=1e-12)
    assert (total[count == 1] == 1).all()
    least = overlap if overlap < tile else tile // 2
    assert all(a[0].stop - b[0].start >= least for a, b in itertools.pairwise(parts))


def test_tiles_of_a_strip_as_high_as_a_tile_overlap_by_half_of_their_width():
    windows = []

    def predict(window):
        windows.append(window)
        return np.zeros((1, window[0].stop - window[0].start, window[1].stop - window[1].start))

    list(Tiling((256, 512), 256).bands(256, 1600, predict))
    assert windows == [(slice(0, 256), slice(x, x + 512)) for x in (0, 256, 512, 768, 1024, 1088)]


def stitch(tiling, height, width, predict):
    rows, bands = zip(*tiling.bands(height, width, predict), strict=True)
    assert [row for part in rows for row in range(part.start, part.stop)] == list(range(height))
    return np.concatenate(bands, axis=1)


@given(sides, sides, st.tuples(st.integers(1, 50), st.integers(1, 50)), st.data())
def test_stitching_equal_logits_is_exact(height, width, tile, data):
    overlap = data.draw(st.integers(0, min(tile) - 1))
    image = RNG.normal(size=(height, width, 3)).astype(np.float32)
    stitched = stitch(Tiling(tile, overlap), height, width, lambda window: image[window].transpose(2, 0, 1))
    assert stitched.dtype == np.float32
    np.testing.assert_array_equal(stitched, image.transpose(2, 0, 1))


@given(sides, sides, st.tuples(st.integers(1, 50), st.integers(1, 50)), st.data())
def test_one_tile_is_exact_and_overlaps_are_between_their_tiles(height, width, tile, data):
    overlap = data.draw(st.integers(0, min(tile) - 1))
    rng, maps = np.random.default_rng(1), []

    def predict(window):
        part = image[window]
        logits = rng.normal(size=(2, *part.shape)).astype(np.float32)
        maps.append((divmod(int(part[0, 0]), width), logits))
        return logits

    image = np.arange(height * width).reshape(height, width)
    stitched = stitch(Tiling(tile, overlap), height, width, predict)
    low, high = np.full(stitched.shape, np.inf), np.full(stitched.shape, -np.inf)
    count = np.zeros((height, width), int)
    for (y, x), logits in maps:
        part = np.s_[:, y : y + logits.shape[1], x : x + logits.shape[2]]
        low[part], high[part] = np.minimum(low[part], logits), np.maximum(high[part], logits)
        count[part[1:]] += 1
    single = np.broadcast_to(count == 1, stitched.shape)
    np.testing.assert_array_equal(stitched[single], low[single])
    assert (stitched >= low - 1e-6).all()
    assert (stitched <= high + 1e-6).all()


class Pointwise(torch.nn.Module):
    """Logits that depend on a pixel alone: tiling must change nothing."""

    def forward(self, images):
        return images.float() / 8 - 16


class Local(torch.nn.Module):
    """Logits that depend on the neighbours, and so on where a tile ends."""

    def __init__(self, in_channels):
        super().__init__()
        torch.manual_seed(0)
        self.layer = torch.nn.Conv2d(in_channels, 4, 5, padding=2)

    def forward(self, images):
        return self.layer(images.float() / 255)


def predictor(network, tiling=None):
    return NetworkPredictor(network, Geometry.of("native", "native"), torch.device("cpu"), tiling)


@pytest.mark.parametrize("shape", [(40, 70), (33, 131, 3), (7, 5), (64, 96, 3), (100, 20)])
@pytest.mark.parametrize("tiling", [Tiling((32, 64), 16), Tiling((30, 41), 7), Tiling((32, 32), 0)])
def test_tiling_changes_nothing_for_a_network_that_sees_single_pixels(shape, tiling):
    image = RNG.integers(0, 256, shape, dtype=np.uint8)
    codes = predictor(Pointwise(), tiling)(image)
    assert codes.shape == (3 if len(shape) == 3 else 1, *shape[:2])
    np.testing.assert_array_equal(codes, predictor(Pointwise())(image))


@pytest.mark.parametrize("channels", [1, 3])
def test_without_overlap_each_tile_is_predicted_as_an_image_of_its_own(channels):
    image = RNG.integers(0, 256, (60, 90, 3)[: 2 if channels == 1 else 3], dtype=np.uint8)
    network = Local(channels)
    codes = predictor(network, Tiling((30, 45), 0))(image)
    for rows, columns in tile_windows(60, 90, (30, 45), 45):
        tile = np.ascontiguousarray(image[rows, columns])
        np.testing.assert_array_equal(codes[:, rows, columns], predictor(network)(tile))


def test_an_image_no_larger_than_a_tile_is_predicted_whole():
    image = RNG.integers(0, 256, (50, 70), dtype=np.uint8)
    network = Local(1)
    np.testing.assert_array_equal(predictor(network, Tiling((64, 128), 32))(image), predictor(network)(image))


def test_blended_maps_differ_from_the_whole_only_near_seams():
    image = RNG.integers(0, 256, (32, 200), dtype=np.uint8)
    network = Local(1)
    tiled, whole = (predictor(network, tiling)(image) for tiling in (Tiling((32, 96), 16), None))
    starts = tile_origins(200, 96, 80)
    near = np.zeros(200, bool)
    for start in starts:
        near[max(0, start - 2) : start + 2] = near[start + 94 : start + 98] = True
    # Elsewhere equal logits are blended: a code can round the other way, as sums of floats may.
    difference = np.abs(tiled.astype(int) - whole.astype(int))
    assert difference[:, :, ~near].max() <= 1
    assert difference[:, :, near].max() > 1


def test_logits_of_a_large_image_are_never_in_memory_together():
    image = np.zeros((3000, 2000), np.uint8)
    network = predictor(Pointwise(), Tiling((128, 128), 32))
    tracemalloc.start()
    codes = network(image)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < codes.nbytes + 64 * 128 * 2000  # a few float64 copies of a row of tiles
