"""Cascades in parts: prompts from boxes and maps, the threshold of boxes, and what a score does to a map."""

import numpy as np
import pandas as pd
import pytest
import torch
from evaluation_fixtures import make_dataset
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy import ndimage
from scipy.special import expit, logit

from defectbench.config.prompts import PromptSettings
from defectbench.data.box_file import SCHEMA, BoxPredictions
from defectbench.data.prompts import Prompt, box_prompt, draw_prompts
from defectbench.data.rle import encode_coco
from defectbench.evaluation.box_threshold import choose_box_threshold, f1_curve, match_boxes
from defectbench.evaluation.truth import EvaluationError
from defectbench.families.cascade.prompts import MAX_PROMPTS, MIN_SCORE, prompts_from_boxes, prompts_from_maps
from defectbench.families.sam2.network import NativeSam2
from defectbench.families.sam2.prompting import NO_DEFECT, mask_tensor, predict_maps, scale_prompts
from defectbench.inference.geometry import Geometry
from defectbench.inference.prediction_file import PredictionFile, PredictionHeader, write_predictions
from defectbench.metrics.boxes import box_iou
from defectbench.metrics.codes import codes_from_logits, codes_from_probabilities

BOXES = st.lists(
    st.tuples(st.integers(0, 9), st.integers(0, 9), st.integers(1, 6), st.integers(1, 6)), min_size=0, max_size=5
).map(lambda actual: np.array([(x, y, x + w, y + h) for x, y, w, h in actual], float).reshape(-1, 4))


def predictions(rows, role="val", ids=("a", "b"), classes=("merged",)):
    frame = pd.DataFrame(rows, columns=SCHEMA.names).astype({"image_id": str, "class": str})
    return BoxPredictions(role, classes, ids, frame)


def test_boxes_become_prompts_at_the_centres_of_their_outer_pixels():
    rows = [("a", "merged", 3.0, 4.0, 8.0, 6.0, 0.7), ("a", "merged", 1.5, 1.0, 1.75, 9.0, 0.9)]
    actual = {image_id: prompts for image_id, prompts, _ in prompts_from_boxes(predictions(rows), 0.4)}
    assert actual["b"] == []
    assert [prompt.points.tolist() for prompt in actual["a"]] == [[[1.5, 1], [1.5, 8]], [[3, 4], [7, 5]]]
    assert [(prompt.score, prompt.threshold) for prompt in actual["a"]] == [(0.9, 0.4), (0.7, 0.4)]


def test_of_many_boxes_only_the_best_are_prompts():
    scores = np.linspace(0.02, 0.9, MAX_PROMPTS + 7)
    rows = [("a", "merged", 0.0, 0.0, 5.0, 5.0, score) for score in scores]
    rows.append(("b", "merged", 0.0, 0.0, 5.0, 5.0, MIN_SCORE - 1e-6))
    actual = {image_id: prompts for image_id, prompts, _ in prompts_from_boxes(predictions(rows), 0.4)}
    assert [prompt.score for prompt in actual["a"]] == sorted(scores)[::-1][:MAX_PROMPTS]
    assert actual["b"] == []


def write_maps(path, maps, classes=("merged",)):
    with write_predictions(path, PredictionHeader("test", classes, True)) as writer:
        for image_id, codes in maps.items():
            writer.add(image_id, codes)
    return PredictionFile(path)


@pytest.mark.parametrize("kind", ["box", "points", "box_points", "mask"])
def test_a_map_that_is_the_truth_gives_the_oracles_prompts(tmp_path, kind):
    mask = ndimage.binary_dilation(np.random.default_rng(0).random((60, 90)) < 0.003, iterations=2)
    file = write_maps(tmp_path / "x", {"a": codes_from_logits(np.where(mask, 70.0, -70.0))[None]})
    ((_, actual, _),) = prompts_from_maps(file, {"merged": 77}, kind, PromptSettings())
    expected = draw_prompts(kind, mask.astype(np.uint8), "a", PromptSettings())
    assert len(expected) > 1
    for one, other in zip(actual, expected, strict=True):
        assert np.array_equal(one.points, other.points)
        assert np.array_equal(one.labels, other.labels)
        assert (one.rle, one.margin) == (other.rle, np.inf)


def test_prompts_of_a_map_are_its_parts_above_its_own_threshold_with_their_highest_probability(tmp_path):
    p = ndimage.gaussian_filter(np.random.default_rng(1).random((50, 70)), 3)
    p = (p - p.min()) / np.ptp(p) * 0.98 + 0.01
    file = write_maps(tmp_path / "x", {"a": codes_from_probabilities(p)[None], "b": np.zeros((1, 5, 5), np.uint16)})
    (_, actual, _), (_, silent, _) = prompts_from_maps(file, {"merged": 166}, "box", PromptSettings(merge_distance=0))
    labels, n = ndimage.label(p >= 166 / 256, np.ones((3, 3)))
    assert n > 3
    assert silent == []
    highest = sorted(ndimage.maximum(p, labels, range(1, n + 1)))
    assert sorted(prompt.score for prompt in actual) == pytest.approx(highest, abs=1e-3)
    assert {prompt.threshold for prompt in actual} == {166 / 256}


def test_classes_have_their_own_thresholds_and_their_parts_are_prompts_together(tmp_path):
    p = np.full((2, 10, 40), 0.01)
    p[0, 2:5, 2:5], p[0, 2:5, 30:33], p[1, 6:8, 30:33] = 0.55, 0.9, 0.3
    file = write_maps(tmp_path / "x", {"a": codes_from_probabilities(p)}, ("pits", "cracks"))
    ((_, actual, _),) = prompts_from_maps(file, {"pits": 160, "cracks": 64}, "box", PromptSettings(merge_distance=2))
    (prompt,) = actual
    assert prompt.points.tolist() == [[30, 2], [32, 7]]
    # Of pits logit(.9) - logit(.625) = 1.69, of cracks logit(.3) - logit(.25) = 0.25.
    assert (prompt.score, prompt.threshold) == (pytest.approx(0.9, abs=1e-3), 0.625)


def test_a_part_that_just_reaches_its_threshold_counts(tmp_path):
    for k in range(1, 256):
        file = write_maps(tmp_path / "x", {"a": codes_from_probabilities(np.full((1, 4, 4), k / 256))})
        ((_, (prompt,), _),) = prompts_from_maps(file, {"merged": k}, "box", PromptSettings())
        assert prompt.margin >= 0


@settings(max_examples=60)
@given(BOXES, BOXES)
def test_iou_is_that_of_counted_pixels(boxes, others):
    def filled(box):
        canvas = np.zeros((20, 20), bool)
        x0, y0, x1, y1 = box.astype(int)
        canvas[y0:y1, x0:x1] = True
        return canvas

    expected = [[(filled(a) & filled(b)).sum() / (filled(a) | filled(b)).sum() for b in others] for a in boxes]
    assert box_iou(boxes, others) == pytest.approx(np.array(expected).reshape(len(boxes), len(others)))


@settings(max_examples=60)
@given(BOXES, BOXES, st.data())
def test_the_curve_equals_matching_at_every_threshold(boxes, true, data):
    scores = np.sort(data.draw(hnp.arrays(float, len(boxes), elements=st.floats(0, 1))))[::-1]
    curve = f1_curve(scores, match_boxes(boxes, true), len(true))
    for k in range(1, 256):
        n = int((scores >= k / 256).sum())
        n_right = int(match_boxes(boxes[:n], true).sum())
        total = n + len(true)
        assert curve[k - 1] == pytest.approx(2 * n_right / total if len(true) else np.nan, nan_ok=True)


def test_a_true_box_is_matched_once_by_the_box_with_the_highest_score():
    true = np.array([[0, 0, 10, 10], [20, 0, 30, 10]], float)
    boxes = np.array([[0, 0, 10, 8], [0, 0, 10, 10], [19, 0, 29, 10], [50, 50, 60, 60]], float)
    assert match_boxes(boxes, true).tolist() == [True, False, True, False]


@pytest.fixture
def truth(tmp_path):
    """Two val images: one with two defects of class a and one of b, one clean."""
    masks = np.zeros((2, 40, 60), bool)
    masks[0, 2:12, 5:25] = masks[0, 20:30, 30:50] = True
    masks[1, 25:35, 5:15] = True
    maps = {"val": {"a": masks, "b": np.zeros_like(masks)}, "test": {"t": masks}}
    return make_dataset(tmp_path, maps, classes=("a", "b")).read()


def test_the_threshold_parts_right_boxes_from_false_ones(truth):
    rows = [("a", "a", 5, 2, 25, 12, 0.8), ("a", "a", 30, 20, 50, 30, 0.7), ("a", "b", 5, 25, 15, 35, 0.6)]
    rows += [("b", "a", 0, 0, 9, 9, 0.4), ("a", "b", 5, 2, 25, 12, 0.3)]
    choice = choose_box_threshold(truth, predictions(rows, classes=("a", "b")))
    assert 0.4 < choice.threshold <= 0.6
    assert (choice.f1, choice.n_boxes, choice.n_images) == (1.0, 3, 2)
    # All boxes: three right ones of five, three true ones.
    assert choice.curve[0] == pytest.approx(2 * 3 / (5 + 3))


def test_of_equal_thresholds_the_nearest_to_one_half_is_taken_even_without_boxes(truth):
    assert choose_box_threshold(truth, predictions([])).threshold == 0.5


def test_only_boxes_of_all_val_images_decide(truth):
    for wrong in (predictions([], role="test"), predictions([], ids=("a",)), predictions([], classes=("c",))):
        with pytest.raises(EvaluationError):
            choose_box_threshold(truth, wrong)


@given(st.floats(1e-6, 1 - 1e-6), st.floats(1e-3, 0.999))
def test_the_margin_is_the_difference_of_the_logits(score, threshold):
    prompt = Prompt(np.zeros((1, 2), np.float32), np.ones(1, np.int8), None, score, threshold)
    assert prompt.margin == pytest.approx(logit(score) - logit(threshold), abs=1e-8)


@pytest.fixture(scope="module")
def network():
    torch.manual_seed(0)
    return NativeSam2("2.1", "tiny").eval()


@torch.inference_mode()
def test_a_score_limits_the_mask_of_its_prompt_and_leaves_the_others(network):
    embedding = network.encode(torch.randint(0, 256, (1, 1, 64, 96), dtype=torch.uint8))
    sure, other = box_prompt(5, 5, 30, 30), box_prompt(40, 10, 90, 60)
    doubted = Prompt(other.points, other.labels, None, 0.3, 0.6)
    alone = [predict_maps(network, embedding, [[prompt]], False)[0, 0] for prompt in (sure, other, doubted)]
    limit = float(logit(0.3) - logit(0.6))
    assert alone[1].max() > limit, "the test needs a mask to limit"
    torch.testing.assert_close(alone[2], alone[1].clamp(max=limit))
    assert expit(float(alone[2].max())) < 0.5
    together = predict_maps(network, embedding, [[sure, doubted]], False)[0, 0]
    torch.testing.assert_close(together, torch.maximum(alone[0], alone[2]), atol=1e-4, rtol=1e-4)


@torch.inference_mode()
def test_any_number_of_prompts_gives_the_maximum_of_their_maps(network):
    embedding = network.encode(torch.randint(0, 256, (1, 1, 32, 64), dtype=torch.uint8))
    prompts = [box_prompt(i, i % 5, i + 20, 25) for i in range(37)]
    together = predict_maps(network, embedding, [prompts], False)[0, 0]
    alone = torch.stack([predict_maps(network, embedding, [[prompt]], False)[0, 0] for prompt in prompts])
    torch.testing.assert_close(together, alone.amax(dim=0), atol=1e-3, rtol=1e-3)
    assert (predict_maps(network, embedding, [[]], False) == NO_DEFECT).all()


@torch.inference_mode()
def test_a_mask_reaches_the_network_as_logits_of_ten_at_a_quarter_of_the_size(network):
    mask = np.zeros((50, 90), np.uint8)
    mask[8:24, 12:40] = 1
    prompt = Prompt(*(getattr(box_prompt(12, 8, 39, 23), name) for name in ("points", "labels")), encode_coco(mask))
    (scaled,) = scale_prompts([prompt], Geometry.of("native", "native"), mask.shape)
    logits = mask_tensor([scaled], torch.device("cpu"))
    assert logits.shape == (1, 1, 16, 24)
    expected = torch.full((16, 24), -10.0)
    expected[2:6, 3:10] = 10.0
    assert torch.equal(logits[0, 0], expected)
