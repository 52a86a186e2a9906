"""Maps of SAM 3 at p >= 0.5 are the masks that transformers' processor draws; between, they rank by mask and score."""

import cv2
import numpy as np
import pytest
import torch
from sam3_data import SIZE, tiny_sam3
from scipy.special import expit, logit
from sklearn.metrics import average_precision_score
from transformers import Sam3ImageProcessor, Sam3Processor

from defectbench.families.sam3.network import PhraseOutput
from defectbench.families.sam3.phrases import letter_tokenizer
from defectbench.families.sam3.predictor import PhrasePredictor
from defectbench.inference.geometry import Geometry
from defectbench.metrics.codes import HALF, STEPS_PER_LOGIT, codes_from_logits
from defectbench.metrics.histograms import average_precision, full_histogram

torch.set_num_threads(1)
N_QUERIES = 8
PHRASES = ["crack", "deep scratch on steel"]
PROCESSOR = Sam3Processor(
    Sam3ImageProcessor(size={"height": SIZE[0], "width": SIZE[1]}), letter_tokenizer(), target_size=SIZE[0]
)


def blurred_noise(height, width, channels=3, seed=0):
    coarse = np.random.default_rng(seed).integers(0, 256, (6, 8, channels), dtype=np.uint8)
    image = cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)
    return image[:, :, 0] if image.ndim == 3 and channels == 1 else image


def network(source, presence, *groups, **keys):
    """A nano with the presence logit about ``presence``, whose maps and scores are on both sides of 0."""
    phrased = tiny_sam3(*groups, source=source, **keys)
    sam = phrased.network
    with torch.no_grad():
        sam.detr_decoder.presence_head.layer3.bias.fill_(presence)
        sam.dot_product_scoring.query_proj.weight *= 4
    return phrased


@torch.no_grad()
def drawn_by_the_processor(phrased, image, phrases, **options):
    """The union of the masks that the processor draws at its defaults for each of ``phrases``, and its best scores."""
    pixels = image if image.ndim == 3 else np.repeat(image[:, :, None], 3, axis=2)
    drawn, scores = np.zeros(image.shape[:2], bool), []
    for phrase in phrases:
        outputs = phrased.network(**PROCESSOR(images=pixels, text=phrase, return_tensors="pt"))
        if phrased.source == "semantic":
            (mask,) = PROCESSOR.post_process_semantic_segmentation(outputs, target_sizes=[image.shape[:2]])
            drawn |= mask.numpy().astype(bool)
        else:
            (found,) = PROCESSOR.post_process_instance_segmentation(outputs, target_sizes=[image.shape[:2]], **options)
            scores += found["scores"].tolist()
            drawn |= found["masks"].any(dim=0).numpy() if len(found["masks"]) else False
    return drawn, scores


def predict(phrased, image):
    return PhrasePredictor(phrased, Geometry.of(str(SIZE[0]), "squash", 14), torch.device("cpu"))(image)


SHAPES = [SIZE, (75, 333), (301, 97), (64, 384)]


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize(
    ("source", "channels", "presence", "seed"),
    [
        ("semantic", 1, 2.0, 0),
        ("semantic", 3, -5.0, 0),
        # Scores on both sides of the threshold.
        ("instances", 1, 2.0, 2),
        ("instances", 3, 2.0, 2),
    ],
)
def test_the_map_at_one_half_is_what_the_processor_draws_by_default(source, channels, presence, seed, shape):
    phrased, image = network(source, presence, PHRASES[:1], seed=seed), blurred_noise(*shape, channels)
    drawn, scores = drawn_by_the_processor(phrased, image, PHRASES[:1])
    assert 0.05 < drawn.mean() < 0.95
    assert source == "semantic" or 1 < len(scores) < N_QUERIES
    np.testing.assert_array_equal(predict(phrased, image)[0] >= HALF, drawn)


def test_without_presence_no_instance_is_drawn_but_the_best_is_the_maximum_of_the_map():
    phrased, image = network("instances", -3.0, PHRASES[:1]), blurred_noise(75, 333)
    drawn, scores = drawn_by_the_processor(phrased, image, PHRASES[:1])
    assert not drawn.any()
    assert not scores
    _, all_scores = drawn_by_the_processor(phrased, image, PHRASES[:1], threshold=0)
    assert len(all_scores) == N_QUERIES
    expected = logit(max(all_scores)) - logit(0.3)
    assert predict(phrased, image).max() == pytest.approx(HALF + STEPS_PER_LOGIT * expected, abs=2)


@pytest.mark.parametrize("source", ["semantic", "instances"])
def test_the_map_of_several_classes_is_the_union_of_their_masks(source):
    phrased, image = network(source, 2.0, PHRASES[:1], PHRASES[1:]), blurred_noise(75, 333)
    drawn, _ = drawn_by_the_processor(phrased, image, PHRASES)
    np.testing.assert_array_equal(predict(phrased, image)[0] >= HALF, drawn)


def test_a_trained_semantic_map_is_drawn_where_the_presence_is_too():
    image = blurred_noise(75, 333)
    drawn = predict(network("semantic", 2.0, PHRASES[:1]), image)[0] >= HALF
    trained = [predict(network("semantic", presence, PHRASES[:1], tune="lora"), image)[0] for presence in (2.0, -2.0)]
    np.testing.assert_array_equal(trained[0] >= HALF, drawn)
    assert trained[1].max() < HALF


@pytest.mark.parametrize("source", ["semantic", "instances"])
@pytest.mark.parametrize("threshold", [0.0, 0.3, 0.9])
def test_the_map_is_a_fuzzy_and_of_mask_and_score_and_keeps_average_precision(source, threshold):
    phrased = network(source, 0.0, PHRASES[:1], score_threshold=threshold)
    for seed in range(20):
        rng = np.random.default_rng(seed)
        masks, scores, presence = rng.normal(size=(3, 6, 8)) * 4, rng.normal(size=3) * 3, rng.normal() * 3
        output = PhraseOutput(*(torch.from_numpy(np.array(part)[None]) for part in (masks[0], presence, masks, scores)))
        actual = phrased.phrase_map(output, (6, 8))[0].numpy()
        with np.errstate(divide="ignore"):
            threshold_logit = logit(threshold)
        margins = logit(expit(scores) * expit(presence)) - threshold_logit
        by_instance = np.minimum(masks, margins[:, None, None]).max(axis=0)
        expected = by_instance if source == "instances" else np.minimum(masks[0], presence - threshold_logit)
        np.testing.assert_allclose(actual, expected, atol=1e-4)
        truth = rng.random(actual.shape) < 0.1 + 0.8 * expit(expected)
        exact = average_precision_score(truth.ravel(), expected.ravel())
        histogram = full_histogram(codes_from_logits(actual), truth)
        # Codes merge scores closer than 1/512 in the logit.
        assert average_precision(histogram) == pytest.approx(exact, abs=0.01)


def test_a_higher_threshold_lowers_p_and_reverses_no_two_pixels_of_a_map():
    image = blurred_noise(75, 333)
    maps = [
        predict(network("semantic", 0.5, PHRASES[:1], score_threshold=value), image)[0].astype(int).ravel()
        for value in (0.3, 0.6)
    ]
    assert (maps[1] <= maps[0]).all()
    assert (np.diff(maps[1][np.argsort(maps[0])]) >= 0).all()
