"""Maps of YOLO at p >= 0.5 are the masks that ultralytics itself draws; between, they rank pixels by mask and score."""

import copy

import cv2
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import save_file
from scipy.special import expit, logit
from sklearn.metrics import average_precision_score

from defectbench.config.families.yolo import YoloSettings
from defectbench.families.yolo.network import (
    CONFIDENCE,
    YoloPredictor,
    build_network,
    cpu_state,
    paint_mask,
    shift_score,
)
from defectbench.families.yolo.predictor import load_predictor
from defectbench.inference.predictor import ModelFiles
from defectbench.metrics.codes import HALF, THRESHOLD_CODES, codes_from_probabilities, probabilities_from_codes
from defectbench.metrics.histograms import average_precision, full_histogram

torch.set_num_threads(1)
CLASSES = ("pit", "scratch")
# Height and width of the image, long side of the input: as it is, enlarged, reduced; odd sizes.
SIZES = [(96, 160, 160), (101, 223, 256), (223, 101, 256), (199, 333, 320)]


def random_network(settings, bias, seed=0):
    """An untrained network whose features have the spread of a trained one's, and class logits about ``bias``."""
    torch.manual_seed(seed)
    network = build_network(settings, CLASSES)
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.momentum = 1.0
    with torch.no_grad():
        network.train()(torch.rand(4, 3, 128, 128))
    for branch in network.model[-1].cv3:
        branch[-1].bias.data.fill_(bias)
    return network.eval()


def blurred_noise(height, width, seed=0):
    coarse = np.random.default_rng(seed).integers(0, 256, (height // 8, width // 8, 3), dtype=np.uint8)
    return cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)


def drawn_by_ultralytics(network, settings, image, **options):
    """What ``model.predict(image).plot()`` draws: masks (2, H, W) at the image's own pixels; and the scores."""
    from ultralytics import YOLO
    from ultralytics.utils.plotting import Annotator

    model = YOLO(f"{settings.model}.yaml", task="segment")
    model.model = copy.deepcopy(network)
    bgr = np.ascontiguousarray(image[:, :, ::-1])
    result = model.predict(bgr, imgsz=int(settings.img_size), verbose=False, device="cpu", **options)[0]
    drawn = np.zeros((len(CLASSES), *image.shape[:2]), bool)
    for number, index in enumerate(result.boxes.cls.int().tolist()):
        canvas = Annotator(np.zeros_like(image))
        canvas.masks(result.masks.data[number : number + 1], [(255, 255, 255)])
        drawn[index] |= canvas.result().any(axis=2)
    return drawn, result.boxes.conf.numpy()


def load(network, settings, folder, **keys):
    """The predictor of a run whose weights are those of ``network``, with other ``keys`` of prediction."""
    save_file(cpu_state(network), folder / "weights.safetensors")
    run = {"settings": {**settings.model_dump(), **keys}, "classes": list(CLASSES)}
    return load_predictor(run, ModelFiles(folder / "weights.safetensors"), "cpu").codes


@pytest.mark.parametrize("model", ["yolov8-seg", "yolo11-seg", "yolo26-seg"])
@pytest.mark.parametrize(("height", "width", "size"), SIZES)
def test_the_map_at_one_half_is_what_ultralytics_draws_by_default(tmp_path, model, height, width, size):
    settings = YoloSettings(model=model, scale="p", img_size=str(size), threads=1)
    network, image = random_network(settings, bias=-1.5), blurred_noise(height, width)
    drawn, scores = drawn_by_ultralytics(network, settings, image)
    assert len(scores) > 1
    assert 0 < drawn.mean() < 1
    np.testing.assert_array_equal(load(network, settings, tmp_path)(image) >= HALF, drawn)


@pytest.mark.parametrize("threshold", [0.1, 0.5])
def test_another_threshold_is_another_confidence_of_ultralytics(tmp_path, threshold):
    settings = YoloSettings(model="yolov8-seg", scale="p", img_size="160", threads=1)
    network, image = random_network(settings, bias=-1.5, seed=1), blurred_noise(96, 160)
    drawn, _ = drawn_by_ultralytics(network, settings, image, conf=threshold)
    by_default, _ = drawn_by_ultralytics(network, settings, image)
    assert (drawn != by_default).any()
    codes = load(network, settings, tmp_path, score_threshold=threshold)(image)
    np.testing.assert_array_equal(codes >= HALF, drawn)


def test_instances_below_the_threshold_are_not_drawn_but_ranked(tmp_path):
    settings = YoloSettings(model="yolov8-seg", scale="p", img_size="160", threads=1)
    network, image = random_network(settings, bias=-5.0), blurred_noise(96, 160)
    _, scores = drawn_by_ultralytics(network, settings, image)
    assert len(scores) == 0
    codes = load(network, settings, tmp_path)(image)
    assert codes.max() < HALF
    # Candidate thresholds separate them.
    assert len(np.unique(np.searchsorted(THRESHOLD_CODES, codes))) > 5


@pytest.mark.parametrize("threshold", [0.05, 0.25, 0.7])
def test_the_map_is_a_fuzzy_and_of_mask_and_score_and_keeps_average_precision(threshold):
    settings = YoloSettings(model="yolov8-seg", scale="p", img_size="160", score_threshold=threshold)
    network, image = random_network(settings, bias=-2.0), blurred_noise(96, 160)
    predictor = YoloPredictor(network, settings, len(CLASSES), torch.device("cpu"))
    with torch.inference_mode():
        instances, prototypes, _, size = predictor._forward(image, multi_label=False)
    expected = np.full((2, *size), -np.inf)
    for row in instances.double():
        whole = torch.einsum("k,khw->hw", row[6:], prototypes.double())
        mask = torch.nn.functional.interpolate(whole[None, None], size, mode="bilinear")[0, 0].numpy()
        x, y = np.arange(size[1]), np.arange(size[0])[:, None]
        inside = (x >= float(row[0])) & (x < float(row[2])) & (y >= float(row[1])) & (y < float(row[3]))
        both = np.minimum(mask, logit(float(row[4])) - logit(threshold))
        plane = expected[int(row[5])]
        plane[inside] = np.maximum(plane, both)[inside]
    codes = predictor.predict_maps(image)
    np.testing.assert_allclose(probabilities_from_codes(codes), expit(expected), atol=1e-3)
    truth = np.random.default_rng(0).random(codes.shape) < 0.2 * expit(expected)
    exact = average_precision_score(truth.ravel(), expit(expected).ravel())
    assert average_precision(full_histogram(codes, truth)) == pytest.approx(exact, abs=2e-4)


@given(st.floats(0.001, 0.999), st.floats(0.001, 0.999), st.floats(0.01, 0.99))
def test_a_shifted_score_is_one_half_at_the_threshold_and_keeps_the_order(score, other, threshold):
    shifted = shift_score(score, threshold)
    assert logit(shifted) == pytest.approx(logit(score) - logit(threshold), abs=1e-6)
    assert (shifted >= 0.5) == (score >= threshold)
    assert (shifted < shift_score(other, threshold)) == (score < other)


def test_low_scores_have_candidate_thresholds_of_their_own():
    """Calibration tells scores apart that are far below the threshold, down to the lowest that are predicted."""
    shifted = codes_from_probabilities(np.array([shift_score(score, 0.25) for score in np.geomspace(0.01, 0.99, 30)]))
    assert (np.diff(np.searchsorted(THRESHOLD_CODES, shifted, side="right")) > 0).all()
    assert codes_from_probabilities(np.array(shift_score(1.5 * CONFIDENCE, 0.25))) >= THRESHOLD_CODES[0]


@given(st.integers(0, 99), st.floats(0.01, 0.99), st.lists(st.floats(0.01, 0.99), min_size=2, max_size=2))
def test_a_higher_threshold_lowers_p_and_reverses_no_two_pixels_of_an_instance(seed, score, thresholds):
    logits = np.random.default_rng(seed).normal(size=(4, 6)).astype(np.float32) * 3
    low, high = (np.zeros((16, 24), np.float32) for _ in range(2))
    for canvas, threshold in zip((low, high), sorted(thresholds), strict=True):
        paint_mask(canvas, logits, (2, 3, 20, 15), shift_score(score, threshold))
    assert (high <= low).all()
    assert (np.diff(high.ravel()[np.argsort(low.ravel())]) >= 0).all()
