"""Ignored pixels and boxes: a false alarm on them is none, as on a crowd of COCO."""

import contextlib
import io

import numpy as np
import pandas as pd
import pytest
from evaluation_fixtures import ignore, make_dataset
from hypothesis import given
from hypothesis import strategies as st
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from defectbench.data.box_file import SCHEMA, BoxPredictions
from defectbench.evaluation.box_threshold import choose_box_threshold
from defectbench.evaluation.detection import box_metrics
from defectbench.metrics.boxes import area_shares

SIZE = (40, 60)
DENT = [5, 2, 25, 12]
VOID = [30, 10, 60, 40]


def filled(*boxes):
    mask = np.zeros(SIZE, bool)
    for x0, y0, x1, y1 in boxes:
        mask[y0:y1, x0:x1] = True
    return mask


@pytest.fixture
def make_truth(tmp_path):
    """A dent in an image of val and of test, in which the pixels of a mask are ignored."""

    def make(ignored, dent=DENT):
        masks = {role: {role: filled(dent)[None]} for role in ("val", "test")}
        dataset = make_dataset(tmp_path, masks, ("dent",))
        return ignore(dataset, {"val": ignored, "test": ignored}).read()

    return make


def boxes(role, *rows):
    table = pd.DataFrame([[role, "dent", *map(float, corners), score] for corners, score in rows], columns=SCHEMA.names)
    return BoxPredictions(role, ("dent",), (role,), table)


def precisions(truth, *rows):
    found = box_metrics(truth, boxes("test", *rows))
    return found["test_mAP50"], found["test_mAP50_95"], found["n_test_boxes"]


def test_a_box_on_ignored_pixels_is_no_false_alarm(make_truth):
    rows = [(DENT, 0.8), ([35, 15, 55, 35], 0.9), ([40, 20, 50, 30], 0.95)]
    assert precisions(make_truth(filled(VOID)), *rows) == (pytest.approx(1), pytest.approx(1), 1)
    assert precisions(make_truth(filled()), *rows) == (pytest.approx(1 / 3), pytest.approx(1 / 3), 1)


def test_its_share_must_reach_the_iou_of_a_match(make_truth):
    """62 %: forgiven at .50, .55 and .60; from .65 on it ranks before the hit, so that precision is 1/2."""
    row = [30 - 38 * 0.3, 20, 30 + 62 * 0.3, 30]
    found = precisions(make_truth(filled(VOID)), (DENT, 0.8), (row, 0.9))
    assert found[:2] == (pytest.approx(1), pytest.approx((3 + 7 * 0.5) / 10))


def test_a_border_around_a_defect_does_not_forgive_a_second_box_on_it(make_truth):
    x0, y0, x1, y1 = DENT
    border = filled([x0 - 2, y0 - 2, x1 + 2, y1 + 2]) & ~filled(DENT)
    rows = [([x0, y0, x1, y1 - 3], 0.9), (DENT, 0.8), ([0, 30, 9, 39], 0.95)]
    assert precisions(make_truth(border), *rows) == precisions(make_truth(filled()), *rows)


def test_without_a_box_and_without_a_true_one(make_truth):
    assert precisions(make_truth(filled(VOID))) == (0, 0, 1)
    assert precisions(make_truth(filled(VOID), dent=[0, 0, 0, 0]), (DENT, 0.5)) == (None, None, 0)


@pytest.mark.parametrize("seed", range(6))
def test_a_rectangle_of_ignored_pixels_is_a_crowd_of_pycocotools(make_truth, seed):
    rng = np.random.default_rng(seed)
    corners = rng.uniform([0, 0], [40, 25], (12, 2))
    rows = [((*one, *(one + rng.uniform(4, 15, 2))), score) for one, score in zip(corners, rng.random(12), strict=True)]
    rows += [((np.array(DENT) + rng.integers(-2, 3, 4)).tolist(), score) for score in rng.random(2)]
    coco = COCO()
    coco.dataset = {
        "info": {},
        "images": [{"id": 1}],
        "categories": [{"id": 1, "name": "dent"}],
        "annotations": [
            {"id": n, "image_id": 1, "category_id": 1, "bbox": xywh(box), "area": 1, "iscrowd": crowd}
            for n, (box, crowd) in enumerate([(DENT, 0), (VOID, 1)], start=1)
        ],
    }
    with contextlib.redirect_stdout(io.StringIO()):
        coco.createIndex()
        found = coco.loadRes(np.array([[1, *xywh(box), score, 1] for box, score in rows]))
        evaluation = COCOeval(coco, found, iouType="bbox")
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    expected = pytest.approx(evaluation.stats[1]), pytest.approx(evaluation.stats[0])
    assert precisions(make_truth(filled(VOID)), *rows)[:2] == expected


def xywh(box):
    x0, y0, x1, y1 = box
    return [x0, y0, x1 - x0, y1 - y0]


def test_the_threshold_of_a_detector_does_not_count_them(make_truth):
    rows = [(DENT, 0.6), ([35, 15, 55, 35], 0.9), ([0, 30, 9, 39], 0.3)]
    choice = choose_box_threshold(make_truth(filled(VOID)), boxes("val", *rows))
    assert choice.f1 == 1
    assert 0.3 < choice.threshold <= 0.6
    assert choose_box_threshold(make_truth(filled()), boxes("val", *rows)).f1 == pytest.approx(2 / 3)


@given(*[st.floats(-8, 70)] * 2, *[st.floats(0.1, 50)] * 2, st.integers(0, 99))
def test_shares_of_areas_are_sums_over_pixels(x, y, width, height, seed):
    mask = np.random.default_rng(seed).random(SIZE) < 0.3
    rows, columns = (
        np.diff(np.clip(np.arange(n + 1), start, start + side))
        for n, start, side in zip(SIZE, (y, x), (height, width), strict=True)
    )
    covered = np.outer(rows, columns)
    (share,) = area_shares(np.array([[x, y, x + width, y + height]]), mask)
    if covered.sum() > 1e-6:
        assert share == pytest.approx((covered * mask).sum() / covered.sum(), abs=1e-6)
    else:
        assert 0 <= share <= 1
