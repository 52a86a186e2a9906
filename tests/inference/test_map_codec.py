"""Stored maps: masks, swept components and scores exactly as they were, average precision within 1e-4."""

import tracemalloc

import cv2
import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from sklearn.metrics import average_precision_score

from defectbench.families.reference.methods import Constant, TopHatOtsu
from defectbench.inference import map_codec
from defectbench.inference.map_codec import choose_cells, compress, decompress
from defectbench.metrics.codes import codes_from_logits, count_codes, threshold_code
from defectbench.metrics.component_sweep import CUTS

SIZE = (96, 160)
THRESHOLDS = [threshold_code(k) for k in range(1, 256)]


def smooth_map(seed: int, size: tuple[int, int] = SIZE, noise: float = 0.1) -> tuple[np.ndarray, np.ndarray]:
    """Logits (H, W) of a plausible network, mostly at -6, and the truth (H, W) bool, which they overlap."""
    rng = np.random.default_rng(seed)
    height, texture, miss = (cv2.GaussianBlur(rng.normal(size=size), (0, 0), s) for s in (8, 1, 8))
    height /= height.std()
    logits = np.maximum(4 * (height + 0.3 * miss / miss.std() - 2), -6 + 0.2 * height) + noise * texture / texture.std()
    return logits, height > 1.8


def stored(codes: np.ndarray) -> np.ndarray:
    """The map as it is read again."""
    return decompress(compress(codes), *codes.shape)


MAPS = {
    "network": codes_from_logits(smooth_map(0)[0]),
    "overconfident": codes_from_logits(20 * smooth_map(1)[0]),
    "hardly trained": codes_from_logits(0.03 * smooth_map(2)[0] - 2),
    "noise": np.random.default_rng(3).integers(0, 65536, SIZE).astype(np.uint16),
    "every code": np.arange(65536, dtype=np.uint16).reshape(256, 256),
    "mostly one code": np.where(smooth_map(4)[1], codes_from_logits(smooth_map(4)[0]), 0).astype(np.uint16),
    "clean": codes_from_logits(np.minimum(smooth_map(5)[0], -5.6)),
}


@pytest.mark.parametrize("codes", MAPS.values(), ids=MAPS)
def test_masks_at_every_threshold_swept_components_and_the_score_of_the_image_are_exact(codes):
    read = stored(codes)
    assert read.dtype == np.uint16
    for cut in [*THRESHOLDS, *codes_from_logits(CUTS).tolist()]:
        np.testing.assert_array_equal(read >= cut, codes >= cut)
    assert read.max() == codes.max()
    assert np.abs(read.astype(int) - codes).max() < 32  # 1/16 logit


@given(arrays(np.uint16, st.tuples(st.integers(1, 40), st.integers(1, 40))))
def test_small_maps_are_kept_exactly(codes):
    np.testing.assert_array_equal(stored(codes), codes)


@pytest.mark.parametrize("shape", [(1, 5000), (5000, 1), (67, 131)])
def test_maps_of_any_shape_are_read_in_that_shape(shape):
    codes = np.random.default_rng(0).integers(30000, 30016, shape).astype(np.uint16)
    assert stored(codes).shape == shape
    assert (stored(codes) // 16 == codes // 16).all()


@pytest.mark.parametrize("codes", MAPS.values(), ids=MAPS)
def test_cells_are_ascending_hold_every_pixel_and_none_too_many(codes):
    start, width = (part.astype(int) for part in choose_cells(count_codes(codes)))
    assert (start[1:] >= (start + width)[:-1]).all()
    cell = np.searchsorted(start, codes.ravel(), side="right") - 1
    assert (codes.ravel() - start[cell] < width[cell]).all()
    # Pixels that lose their order: all but those with the most frequent code of their cell.
    for index in range(len(start)):
        counts = np.bincount(codes.ravel()[cell == index] - start[index])
        assert counts.sum() - counts.max() <= codes.size / 8


def test_ties_stay_ties():
    image = np.random.default_rng(0).integers(90, 160, (128, 256)).astype(np.uint8)
    codes = TopHatOtsu(9, "both").codes(image)[0]
    values, counts = np.unique(codes, return_counts=True)
    frequent = values[(counts > codes.size / 1000) & (np.diff(values, append=65536) >= 64)]
    assert len(frequent) > 5
    read = stored(codes)
    for value in frequent:
        np.testing.assert_array_equal(read == value, codes == value)
    for method in (Constant(defect=False), Constant(defect=True)):
        constant = method.codes(image)[0]
        np.testing.assert_array_equal(stored(constant), constant)


@pytest.mark.parametrize("scale", [0.25, 1, 4])
@pytest.mark.parametrize("noise", [0.05, 0.5])
def test_average_precision_of_all_pixels_changes_by_less_than_1e_4(scale, noise):
    maps = [smooth_map(seed, (256, 400), noise) for seed in range(10)]
    codes = [codes_from_logits(scale * logits) for logits, _ in maps]
    truth = np.concatenate([truth.ravel() for _, truth in maps])
    exact = average_precision_score(truth, np.concatenate([plane.ravel() for plane in codes]))
    found = average_precision_score(truth, np.concatenate([stored(plane).ravel() for plane in codes]))
    assert 2 * truth.mean() < exact < 0.99
    assert found == pytest.approx(exact, abs=1e-4)


def test_a_map_takes_less_than_a_third_of_its_bytes_compressed_without_rounding():
    logits, _ = smooth_map(0, (256, 800))
    codes = codes_from_logits(logits)
    planes = np.stack([(codes >> 8).astype(np.uint8), codes.astype(np.uint8)])
    plain = pa.Codec("zstd", compression_level=3).compress(planes, asbytes=True)
    assert 3 * len(compress(codes)) < len(plain)


def test_a_large_map_is_stored_and_read_in_strips(monkeypatch):
    codes = codes_from_logits(smooth_map(0, (1600, 1000))[0])
    whole = stored(codes)
    monkeypatch.setattr(map_codec, "_PIXELS_PER_STRIP", 50_000)
    tracemalloc.start()
    blob = compress(codes)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.reset_peak()
    read = decompress(blob, *codes.shape)
    peak_of_reading = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert (read // 64 == whole // 64).all()
    strip, tables = 30 * 50_000, 5_000_000  # bytes: a strip with its differences; what is kept of each code
    assert peak < 2 * len(blob) + strip + tables
    assert peak_of_reading < codes.nbytes + len(blob) + strip + tables
