"""Pictures of the best and worst val images."""

from types import SimpleNamespace

import cv2
import numpy as np
import pytest

from defectbench.metrics.codes import codes_from_logits
from defectbench.training.extremes import N_PICTURES, TRUTH, Extremes, write_pictures

SIZE = (20, 30)


def mask(width):
    extremes = np.zeros((1, *SIZE), np.uint8)
    extremes[:, 5:15, :width] = 1
    return extremes


def codes(width):
    return codes_from_logits(np.where(mask(width), 4.0, -4.0))


@pytest.fixture
def extremes():
    """Six defective images, each better than the one before; a clean one left clean and two with false alarms."""
    extremes = Extremes()
    for index in range(6):
        extremes.add(index, codes(3 + index), mask(10))
    extremes.add(6, codes(0), mask(0))
    extremes.add(7, codes(2), mask(0))
    extremes.add(8, codes(9), mask(0))
    return extremes


def test_the_best_are_defective_images_and_the_worst_come_first(extremes):
    assert [scored.index for scored in extremes.best] == [5, 4, 3, 2]
    assert extremes.best[0].dice == pytest.approx(2 * 8 / (8 + 10))
    # Dice 0 twice: the larger false alarm first.
    assert [scored.index for scored in extremes.worst] == [8, 7, 0, 1]
    assert len(extremes.worst) == N_PICTURES


@pytest.mark.parametrize("channels", [1, 3])
def test_pictures_show_images_with_the_truth_outlined(extremes, tmp_path, channels):
    shape = SIZE if channels == 1 else (*SIZE, 3)
    images = {str(index): np.full(shape, 10 * index, np.uint8) for index in range(9)}
    val = SimpleNamespace(images=images, image_ids=list(images), true_masks=lambda index: mask(10))
    paths = write_pictures(extremes, val, tmp_path / "samples")
    assert [path.name for path in paths] == ["best.png", "worst.png"]
    sheet = cv2.imread(str(paths[0]))
    # The first picture lies below its caption: image 5, its truth outlined at the left edge of the square.
    # Each of its pixels is a square of 640 // 30 pixels.
    assert tuple(sheet[24 + 5 * 21, 9 * 21]) == TRUTH
    assert tuple(sheet[24 + 10 * 21, 5 * 21]) == (50, 50, 50)


def test_without_a_defective_image_there_is_no_best(tmp_path):
    extremes = Extremes()
    extremes.add(0, codes(3), mask(0))
    val = SimpleNamespace(images={"0": np.zeros(SIZE, np.uint8)}, image_ids=["0"], true_masks=lambda index: mask(0))
    assert [path.name for path in write_pictures(extremes, val, tmp_path)] == ["worst.png"]
