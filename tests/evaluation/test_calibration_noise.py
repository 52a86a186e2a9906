"""Noise of calibration: a slow bootstrap of whole groups, and what other images would or would not have chosen."""

import numpy as np
import pytest
from evaluation_fixtures import constant_maps, make_dataset, noisy_maps, random_truth

from defectbench.config.base import MERGED
from defectbench.config.calibrate import CalibrateSettings
from defectbench.evaluation.calibration import calibrate
from defectbench.evaluation.calibration_noise import DRAWS, SEED, bootstrap_choice
from defectbench.evaluation.objective import Objective


def counts(seed, n=9):
    """Counts of n images at 255 thresholds: fewer predicted pixels at each higher one."""
    rng = np.random.default_rng(seed)
    true = rng.integers(0, 60, n) * (rng.random(n) < 0.7)
    tp = -np.sort(-rng.integers(0, true[:, None] + 1, (n, 255)), axis=1)
    fp = -np.sort(-rng.integers(0, 40, (n, 255)), axis=1)
    return tp, fp, true[:, None] - tp, np.full(n, 200)


@pytest.mark.parametrize("name", ["dice_all", "f1", "youden", "recall_at_least"])
def test_the_range_is_that_of_a_slow_bootstrap_of_whole_groups(name):
    objective = Objective(name, 0.6 if name == "recall_at_least" else None)
    tp, fp, fn, n_pixels = counts(1)
    groups = np.array(list("aabbbcdee"))
    found = bootstrap_choice(objective, objective.terms(tp, fp, fn, n_pixels), list(groups))
    rng, ks, values = np.random.default_rng(SEED), [], []
    for draw in rng.multinomial(5, [0.2] * 5, size=DRAWS):
        images = np.concatenate(
            [np.flatnonzero(groups == g) for g, n in zip("abcde", draw, strict=True) for _ in range(n)]
        )
        curve = np.round(objective(tp[images], fp[images], fn[images], n_pixels[images]), 12)
        ks.append(objective.best_candidate(curve))
        values.append(curve.max())
    ks, values = np.sort(ks), np.sort(values)
    # 200 draws: the 6th from below and from above bound 95 %, taken outwards the 5th.
    assert found.k == (ks[4], ks[-5])
    assert found.value == pytest.approx((values[4], values[-5]))


def test_draws_without_a_defective_image_do_not_choose():
    objective = Objective("f1")
    tp, fp, fn, n_pixels = np.zeros((2, 255), int), np.zeros((2, 255), int), np.zeros((2, 255), int), np.array([9, 9])
    tp[0, :40], fn[0, 40:] = 5, 5
    found = bootstrap_choice(objective, objective.terms(tp, fp, fn, n_pixels), ["a", "b"])
    assert found.k == (40, 40)
    assert bootstrap_choice(objective, objective.terms(tp[1:], fp[1:], fn[1:], n_pixels[1:]), ["b"]) is None
    clean = objective.terms(tp[[1, 1]], fp[[1, 1]], fn[[1, 1]], n_pixels)
    assert bootstrap_choice(objective, clean, ["a", "b"]) is None


def test_images_that_all_agree_leave_no_range_and_few_that_differ_a_wide_one(tmp_path):
    objective = Objective("dice_all")
    tp = np.zeros((30, 255), int)
    tp[:, 99] = 10
    fn = 10 - tp
    same = bootstrap_choice(objective, objective.terms(tp, 0 * tp, fn, np.full(30, 99)), list(map(str, range(30))))
    assert same.k == (100, 100)
    tp = np.zeros((4, 255), int)
    tp[[0, 1, 2, 3], [20, 90, 160, 230]] = 10
    wide = bootstrap_choice(objective, objective.terms(tp, 0 * tp, 10 - tp, np.full(4, 99)), list("abcd"))
    assert wide.k == (21, 231)


def test_calibration_records_the_range_around_its_choice(tmp_path):
    dataset = make_dataset(tmp_path, random_truth(n=30))
    val, _ = dataset.predict_both(noisy_maps(dataset.truth, merged=True))
    found = calibrate(val, CalibrateSettings())
    low, high = found.threshold_range[MERGED]
    assert 0 < low <= found.threshold[MERGED] <= high < 1
    assert found.value_range[MERGED][0] <= found.value[MERGED] <= found.value_range[MERGED][1]
    assert found.noise_draws == DRAWS
    val, _ = dataset.predict_both(constant_maps(dataset.truth, 65535), has_scores=False)
    assert calibrate(val, CalibrateSettings()).threshold_range == {MERGED: None}
