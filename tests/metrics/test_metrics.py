"""Metrics against independent implementations, hand-computed cases and the invariants that must always hold."""

import tracemalloc

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from pycocotools import mask as coco
from sklearn.metrics import average_precision_score, f1_score, precision_score, recall_score
from torchmetrics.functional.classification import binary_jaccard_index
from torchmetrics.functional.segmentation import dice_score

from defectbench.metrics import counts, names
from defectbench.metrics.codes import BIN_OF_CODE, HALF, codes_from_logits, probabilities_from_codes, threshold_code
from defectbench.metrics.definitions import METRICS, dice_kaggle
from defectbench.metrics.histograms import average_precision, coarsen, full_histogram, joint_histogram, sweep
from defectbench.metrics.image_counts import ImageCounts

NONE, FULL = np.zeros((4, 5), bool), np.ones((4, 5), bool)
PIXEL = NONE.copy()
PIXEL[2, 3] = True


def images_of(pairs) -> ImageCounts:
    """Counts of (truth, prediction) pairs."""
    rows = [(*counts.confusion(truth, prediction), truth.size) for truth, prediction in pairs]
    return ImageCounts(*np.array(rows, dtype=np.int64).T)


def metric(name, *pairs):
    return METRICS[name](images_of(pairs))


def random_pairs(seed, n=12):
    rng = np.random.default_rng(seed)
    pairs = []
    for index in range(n):
        truth = rng.random((9, 11)) < (0, 0.1, 0.4)[index % 3]
        pairs.append((truth, truth ^ (rng.random((9, 11)) < (0, 0.05, 0.3)[index // 3 % 3])))
    return pairs


# --- empty, full and single-pixel masks, one by one ----------------------------------------------------------------


@pytest.mark.parametrize(
    ("truth", "prediction", "dice", "iou", "precision", "recall", "f1"),
    [
        (NONE, NONE, 1, 1, None, None, None),
        (NONE, FULL, 0, 0, 0, None, 0),
        (NONE, PIXEL, 0, 0, 0, None, 0),
        (FULL, NONE, 0, 0, None, 0, 0),
        (PIXEL, NONE, 0, 0, None, 0, 0),
        (FULL, FULL, 1, 1, 1, 1, 1),
        (PIXEL, PIXEL, 1, 1, 1, 1, 1),
        (PIXEL, FULL, 2 / 21, 1 / 20, 1 / 20, 1, 2 / 21),
        (FULL, PIXEL, 2 / 21, 1 / 20, 1, 1 / 20, 2 / 21),
    ],
)
def test_ratios_of_one_image(truth, prediction, dice, iou, precision, recall, f1):
    tp, fp, fn = counts.confusion(truth, prediction)
    assert counts.dice(tp, fp, fn) == pytest.approx(dice)
    assert counts.iou(tp, fp, fn) == pytest.approx(iou)
    for value, expected in (
        (counts.precision(tp, fp), precision),
        (counts.recall(tp, fn), recall),
        (counts.f1(tp, fp, fn), f1),
    ):
        assert np.isnan(value) if expected is None else value == pytest.approx(expected)


def test_a_clean_image_left_clean_says_nothing_of_the_rest():
    values = {name: metric(name, (NONE, NONE)) for name in METRICS}
    defined = {"dice_all": 1, "fp_image_rate": 0, "fp_area_on_clean": 0, "image_accuracy": 1}
    assert values == dict.fromkeys(METRICS) | defined


def test_a_false_alarm_on_a_clean_image():
    assert metric("dice_all", (NONE, PIXEL)) == 0
    assert metric("fp_image_rate", (NONE, PIXEL), (NONE, NONE)) == 0.5
    assert metric("fp_area_on_clean", (NONE, PIXEL), (NONE, NONE)) == pytest.approx(1 / 40)
    assert metric("Precision", (NONE, PIXEL)) == 0
    assert metric("Recall", (NONE, PIXEL)) is None
    assert metric("mIoU", (NONE, PIXEL)) is None


def test_a_missed_defect():
    assert metric("dice_all", (PIXEL, NONE)) == metric("mIoU", (PIXEL, NONE)) == metric("Dice", (PIXEL, NONE)) == 0
    assert metric("Precision", (PIXEL, NONE)) is None
    assert metric("F1", (PIXEL, NONE)) == metric("iou_dataset", (PIXEL, NONE)) == metric("Recall", (PIXEL, NONE)) == 0
    assert metric("fp_image_rate", (PIXEL, NONE)) is None


def test_full_masks():
    assert metric("mIoU", (FULL, FULL)) == metric("IoU@95", (FULL, FULL)) == 1
    assert metric("miou_with_background", (FULL, FULL)) is None
    assert metric("miou_with_background", (PIXEL, FULL)) == pytest.approx((1 / 20 + 0) / 2)


def test_iou_at_counts_images_at_the_cut_itself_and_never_thresholds_probabilities():
    def image(n_true, n_hit):
        truth, prediction = np.zeros(100, bool), np.zeros(100, bool)
        truth[:n_true], prediction[:n_hit] = True, True
        return truth, prediction

    pairs = [image(20, 10), image(20, 15), image(20, 18), image(20, 19), image(100, 49)]
    shares = [metric(f"IoU@{t}", *pairs) for t in (50, 75, 90, 95)]
    assert shares == pytest.approx([4 / 5, 3 / 5, 2 / 5, 1 / 5])
    assert metric("IoU@50", (NONE, FULL), (PIXEL, PIXEL)) == 1


def test_macro_and_micro_differ_as_they_should():
    pairs = [(FULL, FULL), (PIXEL, NONE)]
    assert metric("mIoU", *pairs) == 0.5
    assert metric("iou_dataset", *pairs) == pytest.approx(20 / 21)


def test_image_level_metrics_see_presence_only():
    pairs = [(FULL, PIXEL), (NONE, PIXEL), (PIXEL, NONE), (NONE, NONE), (NONE, NONE)]
    assert metric("image_accuracy", *pairs) == pytest.approx(3 / 5)
    assert metric("image_F1", *pairs) == pytest.approx(2 / 4)


# --- Kaggle's score -------------------------------------------------------------------------------------------------


def test_kaggle_of_an_all_empty_submission_is_the_empty_fraction_and_worth_nothing():
    classes = [images_of([(PIXEL, NONE), (NONE, NONE)]), images_of([(NONE, NONE), (NONE, NONE)])]
    assert dice_kaggle(classes) == {"dice_kaggle": 0.75, "dice_kaggle_gain": 0.0, "dice_kaggle_skill": 0.0}


def test_kaggle_by_hand():
    classes = [images_of([(PIXEL, PIXEL), (NONE, PIXEL)]), images_of([(PIXEL, NONE), (NONE, NONE)])]
    assert dice_kaggle(classes) == {"dice_kaggle": 0.5, "dice_kaggle_gain": 0.0, "dice_kaggle_skill": 0.0}
    perfect = dice_kaggle([images_of([(PIXEL, PIXEL), (NONE, NONE)])])
    assert perfect == {"dice_kaggle": 1.0, "dice_kaggle_gain": 0.5, "dice_kaggle_skill": 1.0}


def test_kaggle_without_classes_or_defects():
    assert dice_kaggle([]) == {"dice_kaggle": None, "dice_kaggle_gain": None, "dice_kaggle_skill": None}
    assert dice_kaggle([images_of([(NONE, NONE)])])["dice_kaggle_skill"] is None


# --- against other implementations ----------------------------------------------------------------------------------


def test_skill_is_the_share_of_the_largest_gain_over_predicting_nothing():
    clean, missed, found, alarm = (NONE, NONE), (PIXEL, NONE), (FULL, FULL), (NONE, FULL)
    assert metric("dice_skill", clean, clean, clean, missed) == 0
    assert metric("dice_skill", clean, clean, clean, found) == 1
    assert metric("dice_skill", clean, clean, missed, found) == pytest.approx((0.75 - 0.5) / 0.5)
    assert metric("dice_skill", clean, alarm, missed, missed) == pytest.approx((0.25 - 0.5) / 0.5)
    assert metric("dice_skill", clean, alarm) is None
    assert metric("dice_skill", found, missed) == metric("dice_all", found, missed) == 0.5


@pytest.mark.parametrize("seed", range(3))
def test_micro_metrics_equal_scikit_learns(seed):
    pairs = random_pairs(seed)
    truth, prediction = (np.concatenate([pair[i].ravel() for pair in pairs]) for i in (0, 1))
    assert metric("Precision", *pairs) == pytest.approx(precision_score(truth, prediction), abs=1e-9)
    assert metric("Recall", *pairs) == pytest.approx(recall_score(truth, prediction), abs=1e-9)
    assert metric("F1", *pairs) == pytest.approx(f1_score(truth, prediction), abs=1e-9)
    labels = ([pair[0].any() for pair in pairs], [pair[1].any() for pair in pairs])
    assert metric("image_F1", *pairs) == pytest.approx(f1_score(*labels), abs=1e-9)


@pytest.mark.parametrize("seed", range(3))
def test_iou_equals_cocos_and_dice_equals_torchmetrics(seed):
    for truth, prediction in random_pairs(seed):
        tp, fp, fn = counts.confusion(truth, prediction)
        if truth.any():
            codes = [coco.encode(np.asfortranarray(mask, np.uint8)) for mask in (prediction, truth)]
            assert counts.iou(tp, fp, fn) == pytest.approx(coco.iou(codes[:1], codes[1:], [0])[0, 0], abs=1e-9)
            tensors = [torch.from_numpy(mask).int() for mask in (prediction, truth)]
            assert counts.iou(tp, fp, fn) == pytest.approx(binary_jaccard_index(*tensors).item(), abs=1e-6)
            score = dice_score(
                *(t[None, None] for t in tensors), num_classes=1, average="micro", input_format="one-hot"
            )
            assert counts.dice(tp, fp, fn) == pytest.approx(score.item(), abs=1e-6)


@pytest.mark.parametrize("scale", [0.5, 5, 60])
def test_average_precision_equals_scikit_learns_on_the_codes(scale):
    rng = np.random.default_rng(3)
    truth = rng.random((60, 70)) < 0.05
    codes = codes_from_logits(rng.normal(scale * truth, scale))
    expected = average_precision_score(truth.ravel(), codes.ravel())
    histogram = full_histogram(codes, truth)
    assert average_precision(histogram) == pytest.approx(expected, abs=1e-9)
    occurring = histogram.any(axis=0)
    assert average_precision(histogram[:, occurring]) == pytest.approx(expected, abs=1e-9)


@given(st.lists(st.tuples(st.sampled_from([0, 1, 5, HALF, 65534, 65535]), st.booleans()), min_size=1, max_size=30))
def test_average_precision_with_ties_and_saturated_codes(pixels):
    codes, truth = (np.array(column) for column in zip(*pixels, strict=True))
    codes = codes.astype(np.uint16)
    found = average_precision(full_histogram(codes, truth))
    if truth.any():
        assert found == pytest.approx(average_precision_score(truth, codes), abs=1e-9)
    else:
        assert found is None


# --- histograms -----------------------------------------------------------------------------------------------------


def test_histogram_is_joint_in_bin_and_truth():
    rng = np.random.default_rng(0)
    codes, truth = rng.integers(0, 65536, (20, 30)).astype(np.uint16), rng.random((20, 30)) < 0.3
    key = BIN_OF_CODE[codes].astype(int) + 256 * truth
    expected = np.bincount(key.ravel(), minlength=512).reshape(2, 256)
    assert (joint_histogram(codes, truth) == expected).all()
    assert (coarsen(full_histogram(codes, truth.astype(np.uint8))) == expected).all()


def test_histogram_counts_more_pixels_than_float32_can():
    codes = np.zeros((2, 2**23 + 1), np.uint16)
    truth = np.zeros(codes.shape, bool)
    truth[0, 0] = True
    codes[1, 5] = 65535
    tracemalloc.start()
    histogram = full_histogram(codes, truth)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 2 * codes.size  # bytes: no copy of the map
    assert (histogram[0, 0], histogram[1, 0], histogram[0, -1]) == (2**24, 1, 1)
    assert histogram.sum() == codes.size
    ignored = histogram - full_histogram(codes, truth, n_ignored=7)
    assert (ignored[0, 0], np.count_nonzero(ignored)) == (7, 1)


def test_sweep_equals_brute_force_over_probabilities():
    rng = np.random.default_rng(1)
    truth = rng.random((30, 40)) < 0.2
    codes = codes_from_logits(rng.normal(3 * truth - 1, 2))
    codes[0, :3] = (0, 65535, HALF)
    p = probabilities_from_codes(codes)
    tp, fp, fn = sweep(joint_histogram(codes, truth))
    for k in range(1, 256):
        # A code is compared as the probability it stands for; k/256 itself is rounded to its nearest code.
        predicted = p >= probabilities_from_codes(threshold_code(k))
        assert (tp[k - 1], fp[k - 1], fn[k - 1]) == counts.confusion(truth, predicted)


def test_candidate_thresholds_are_within_half_a_code_of_k_over_256():
    for k in range(1, 256):
        logit = np.log(k / (256 - k))
        assert abs((threshold_code(k) - HALF) / 512 - logit) <= 0.5 / 512 + 1e-12


@pytest.mark.parametrize(("code", "predicted"), [(0, 0), (65535, 1)])
def test_saturated_codes_are_predicted_nowhere_or_everywhere(code, predicted):
    tp, fp, fn = sweep(joint_histogram(np.full((4, 5), code, np.uint16), PIXEL))
    assert set(tp.tolist()) == {predicted}
    assert set(fp.tolist()) == {19 * predicted}
    assert set(fn.tolist()) == {1 - predicted}


# --- invariants -----------------------------------------------------------------------------------------------------

count = st.integers(0, 40)


@st.composite
def any_images(draw):
    rows = draw(st.lists(st.tuples(count, count, count, st.integers(0, 40)), min_size=1, max_size=12))
    tp, fp, fn, tn = np.array(rows, dtype=np.int64).T
    return ImageCounts(tp, fp, fn, tp + fp + fn + tn + 1)


@settings(max_examples=300)
@given(any_images())
def test_invariants_hold_for_any_counts(images):
    v = {name: function(images) for name, function in METRICS.items()}
    skill = v.pop("dice_skill")
    assert all(value is None or 0 <= value <= 1 for value in v.values())
    assert skill is None or skill <= v["dice_all"] + 1e-12
    if images.defective.any():
        assert v["mIoU"] <= v["Dice"] + 1e-12
        assert v["Dice"] <= 2 * v["mIoU"] / (1 + v["mIoU"]) + 1e-12
        f50, f75, f90, f95 = (v[f"IoU@{t}"] for t in (50, 75, 90, 95))
        assert f50 >= f75 >= f90 >= f95
        assert 0.5 * f50 + 0.25 * f75 + 0.15 * f90 + 0.05 * f95 <= v["mIoU"] + 1e-12
        assert v["mIoU"] <= 0.5 + 0.25 * f50 + 0.15 * f75 + 0.05 * f90 + 0.05 * f95 + 1e-12
    if v["iou_dataset"] is not None:
        assert v["F1"] == pytest.approx(2 * v["iou_dataset"] / (1 + v["iou_dataset"]))
    if v["Precision"] and v["Recall"]:
        assert v["F1"] == pytest.approx(2 / (1 / v["Precision"] + 1 / v["Recall"]))


@given(any_images())
def test_an_all_empty_submission_scores_the_empty_fraction(images):
    truth = images.tp + images.fn
    nothing = ImageCounts(0 * truth, 0 * truth, truth, images.n_pixels)
    assert METRICS["dice_all"](nothing) == pytest.approx(np.mean(truth == 0))
    assert METRICS["dice_skill"](nothing) == (0 if truth.any() else None)
    assert dice_kaggle([nothing])["dice_kaggle"] == pytest.approx(np.mean(truth == 0))


def test_names_are_those_of_the_results_table():
    assert names.full_name("mIoU", "test") == "test_mIoU"
    assert names.full_name("mIoU", "val") == "val_mIoU"
    assert names.full_name("IoU@50", "test", "_at_0.5") == "IoU@50_at_0.5"
    assert names.full_name("dice_all", "val") == "val_dice_all"
