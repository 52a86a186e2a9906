"""Metrics of an evaluation during training, against scikit-learn and NumPy on the maps themselves."""

import numpy as np
import pytest
from sklearn.metrics import accuracy_score, average_precision_score, f1_score, jaccard_score

from defectbench.metrics.codes import HALF, THRESHOLD_CODES, codes_from_logits
from defectbench.training.validation import Evaluation

N, CLASSES, SHAPE = 12, ("a", "b"), (9, 14)


def images(n_maps):
    """Maps with some skill; every third image is clean, every sixth quiet."""
    rng = np.random.default_rng(0)
    for index in range(N):
        truth = (rng.random((n_maps, *SHAPE)) < 0.2) & bool(index % 3)
        logits = rng.normal(3.0 * truth - 1.5, 1.2) - (20 if index % 6 == 0 else 0)
        yield codes_from_logits(logits), truth.astype(np.uint8)


@pytest.fixture(params=[1, 2], ids=["merged", "per_class"])
def scored(request):
    data = list(images(request.param))
    evaluation = Evaluation(CLASSES[: request.param])
    for codes, truth in data:
        evaluation.add(codes, truth)
    merged = [(codes.max(axis=0), truth.any(axis=0)) for codes, truth in data]
    return data, merged, evaluation.metrics()


def mean_over_defective(metric, merged, threshold):
    return np.mean([metric(t.ravel(), (p >= threshold).ravel()) for p, t in merged if t.any()])


def test_means_over_defective_images_at_half(scored):
    _, merged, actual = scored
    assert actual["val_iou_fixed"] == pytest.approx(mean_over_defective(jaccard_score, merged, HALF))
    assert actual["val_dice_fixed"] == pytest.approx(mean_over_defective(f1_score, merged, HALF))
    assert actual["dice_defective"] == actual["val_dice_fixed"]


def overlap(truth, predicted):
    return 2 * (truth & predicted).sum() / (truth.sum() + predicted.sum())


def test_optimal_thresholds_are_the_best_of_all_candidates(scored):
    _, merged, actual = scored
    dice = [mean_over_defective(overlap, merged, code) for code in THRESHOLD_CODES]
    best = round(256 * actual["opt_threshold_dice"]) - 1
    assert dice[best] == pytest.approx(max(dice))
    assert actual["val_dice_opt"] == pytest.approx(max(dice))
    assert actual["val_dice_opt"] >= actual["val_dice_fixed"]
    assert actual["val_iou_opt"] == pytest.approx(mean_over_defective(jaccard_score, merged, THRESHOLD_CODES[best]))
    p, t = (np.concatenate([pair[k].ravel() for pair in merged]) for k in (0, 1))
    f1 = [overlap(t, p >= code) for code in THRESHOLD_CODES]
    assert f1[round(256 * actual["opt_threshold_f1"]) - 1] == pytest.approx(max(f1))


def test_pooled_and_image_wise_metrics(scored):
    _, merged, actual = scored
    p, t = (np.concatenate([pair[k].ravel() for pair in merged]) for k in (0, 1))
    assert actual["auprc"] == pytest.approx(average_precision_score(t, p), abs=1e-9)
    predicted = p >= HALF
    assert actual["precision"] == pytest.approx(t[predicted].mean())
    assert actual["recall"] == pytest.approx(predicted[t].mean())
    truth = [t.any() for _, t in merged]
    flagged = [(p >= HALF).any() for p, _ in merged]
    assert actual["presence_accuracy"] == pytest.approx(accuracy_score(truth, flagged))
    assert actual["presence_f1"] == pytest.approx(f1_score(truth, flagged))


def test_dice_of_clean_images_is_the_share_left_untouched(scored):
    _, merged, actual = scored
    clean = [not (p >= HALF).any() for p, t in merged if not t.any()]
    assert 0 < np.mean(clean) < 1
    assert actual["dice_clean"] == pytest.approx(np.mean(clean))
    n_clean = len(clean)
    expected = (actual["dice_clean"] * n_clean + actual["dice_defective"] * (N - n_clean)) / N
    assert actual["dice_all"] == pytest.approx(expected)


def test_classes_are_scored_apart_and_a_single_map_is_not(scored):
    data, _, actual = scored
    if len(data[0][0]) == 1:
        assert "dice_a" not in actual
        return
    for c, name in enumerate(CLASSES):
        pairs = [(codes[c], truth[c]) for codes, truth in data]
        assert actual[f"iou_{name}"] == pytest.approx(mean_over_defective(jaccard_score, pairs, HALF))
        assert actual[f"dice_{name}"] == pytest.approx(mean_over_defective(f1_score, pairs, HALF))
        p, t = (np.concatenate([pair[k].ravel() for pair in pairs]) for k in (0, 1))
        assert actual[f"precision_{name}"] == pytest.approx(t[p >= HALF].mean())
        assert actual[f"recall_{name}"] == pytest.approx((p >= HALF)[t == 1].mean())
        assert actual[f"presence_accuracy_{name}"] == pytest.approx(
            accuracy_score([t.any() for _, t in pairs], [(p >= HALF).any() for p, _ in pairs])
        )


def test_what_is_not_defined_is_none():
    evaluation = Evaluation(["merged"])
    evaluation.add(codes_from_logits(np.full((1, 4, 4), -9.0)), np.zeros((1, 4, 4), np.uint8))
    actual = evaluation.metrics()
    assert actual["val_iou_fixed"] is None
    assert actual["precision"] is None
    assert (actual["dice_clean"], actual["dice_all"]) == (1, 1)


def square(shape, *corners, side=6):
    mask = np.zeros(shape, np.uint8)
    for y, x in corners:
        mask[y : y + side, x : x + side] = 1
    return mask


def logits_of(mask, value):
    return np.where(mask, value, -9.0)


def test_recall_at_one_false_component_per_image():
    # Two images, three true squares. The surest component is false, then two hits, then two more false ones.
    shape = (40, 40)
    first, second = square(shape, (2, 2), (20, 20)), square(shape, (10, 10))
    maps = [
        np.maximum(logits_of(square(shape, (30, 2)), 6.0), logits_of(square(shape, (2, 2)), 5.0)),
        np.maximum.reduce(
            [
                logits_of(second, 4.0),
                logits_of(square(shape, (30, 30)), 3.0),
                logits_of(square(shape, (2, 30)), 2.0),
            ]
        ),
    ]
    evaluation = Evaluation(["merged"])
    for logits, truth in zip(maps, (first, second), strict=True):
        evaluation.add(codes_from_logits(logits[None]), truth[None])
    # At most 2 false components in 2 images: 6.0, 5.0, 4.0 and 3.0 stay; two of three true squares are found.
    assert evaluation.metrics()["recall_at_fp_1"] == pytest.approx(2 / 3)


def test_recall_of_components_is_none_where_the_truth_is_fragmented():
    # Three pieces of one crack, 2 px apart, and one square alone: half of the components disappear into others.
    truth = square((40, 40), (2, 2), (2, 10), (2, 18), (30, 30))
    evaluation = Evaluation(["merged"])
    evaluation.add(codes_from_logits(logits_of(truth, 9.0)[None]), truth[None])
    assert evaluation.metrics()["recall_at_fp_1"] is None
