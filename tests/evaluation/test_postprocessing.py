"""Post-processing: what scikit-image and SciPy do, and a search that never leaves val worse off."""

import json
from dataclasses import asdict

import numpy as np
import pytest
from evaluation_fixtures import CLASSES, constant_maps, make_dataset, noisy_maps, random_truth
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import ndimage
from skimage import morphology

from defectbench.config.base import MERGED, ConfigError
from defectbench.config.calibrate import CalibrateSettings, CrfSettings, PostProcessingSettings
from defectbench.config.score import ScoreSettings
from defectbench.evaluation.calibration import Calibration, best_pipeline, calibrate, choose_post_processing
from defectbench.evaluation.dense_crf import ImageCrfs
from defectbench.evaluation.invariants import SuspiciousMetrics
from defectbench.evaluation.objective import Objective
from defectbench.evaluation.postprocessing import Candidates, PostProcessing
from defectbench.evaluation.scoring import score
from defectbench.evaluation.summary import summarise
from defectbench.metrics.codes import threshold_code

shapes = st.tuples(st.integers(1, 14), st.integers(1, 17))
masks = shapes.flatmap(lambda shape: arrays(bool, shape))
radii = st.integers(0, 3)
areas = st.sampled_from([0, 0.01, 0.05, 0.3, 1, 2, 5, 20])
steps = {"opening": radii, "closing": radii, "fill_holes": st.booleans(), "min_area": areas}
pipelines = st.builds(PostProcessing, **steps)
with_crf = st.builds(PostProcessing, **steps, crf=st.none() | st.builds(CrfSettings, iterations=st.integers(1, 9)))
pairs = shapes.flatmap(lambda shape: st.tuples(arrays(bool, shape), arrays(bool, shape)))


def reference(mask, steps):
    """The same pipeline by other libraries."""
    if steps.opening:
        mask = morphology.opening(mask, morphology.disk(steps.opening))
    if steps.closing:
        mask = morphology.closing(mask, morphology.disk(steps.closing))
    if steps.fill_holes:
        mask = ndimage.binary_fill_holes(mask)
    labels, n = ndimage.label(mask, np.ones((3, 3)))
    least = steps.min_area if steps.min_area >= 1 else steps.min_area * mask.size
    return np.isin(labels, [i for i in range(1, n + 1) if (labels == i).sum() >= least])


# --- the steps ------------------------------------------------------------------------------------------------------


@given(masks, pipelines)
def test_pipelines_do_what_scikit_image_and_scipy_do(mask, steps):
    before = mask.copy()
    result = steps.apply(mask)
    assert result.dtype == bool
    np.testing.assert_array_equal(result, reference(mask, steps))
    np.testing.assert_array_equal(mask, before)


@given(masks, pipelines)
def test_nothing_comes_of_nothing_and_full_masks_stay_full(mask, steps):
    assert not steps.apply(np.zeros_like(mask)).any()
    whole = PostProcessing(steps.opening, steps.closing, steps.fill_holes, 0.3).apply(np.ones_like(mask))
    assert whole.all()


@given(masks, pipelines)
def test_openings_and_removals_shrink_closings_and_fillings_grow(mask, steps):
    assert not (PostProcessing(opening=steps.opening).apply(mask) & ~mask).any()
    assert not (PostProcessing(min_area=steps.min_area).apply(mask) & ~mask).any()
    assert not (mask & ~PostProcessing(closing=steps.closing).apply(mask)).any()
    assert not (mask & ~PostProcessing(fill_holes=True).apply(mask)).any()


@given(masks, pipelines)
def test_every_single_step_is_idempotent(mask, steps):
    for name, value in asdict(steps).items():
        alone = PostProcessing(**{name: value})
        once = alone.apply(mask)
        np.testing.assert_array_equal(alone.apply(once), once)


@given(masks, areas, areas)
def test_a_larger_smallest_area_keeps_less(mask, a, b):
    small, large = sorted((a, b), key=lambda area: area if area >= 1 else area * mask.size)
    kept, kept_of_large = (PostProcessing(min_area=area).apply(mask) for area in (small, large))
    assert not (kept_of_large & ~kept).any()


def metrics_of(val, test, calibration):
    return summarise(score(val, test, calibration, ScoreSettings()), calibration, "digest", ScoreSettings())


def picture(text):
    return np.array([[pixel == "#" for pixel in row] for row in text.split()])


def test_steps_by_hand():
    ring = picture("....... .###..# .#.#... .###... ....#..")
    assert (PostProcessing(fill_holes=True).apply(ring) == picture("....... .###..# .###... .###... ....#..")).all()
    # The pixel that touches the ring by a corner is part of it; the hole is not filled yet when areas are measured.
    assert (PostProcessing(min_area=9).apply(ring) == picture("....... .###... .#.#... .###... ....#..")).all()
    assert not PostProcessing(min_area=10).apply(ring).any()
    assert (PostProcessing(fill_holes=True, min_area=10).apply(ring).sum()) == 10
    assert (PostProcessing(opening=1, fill_holes=True).apply(ring)).sum() == 0


def test_a_hole_that_leaks_through_a_corner_is_filled_but_one_at_the_border_is_no_hole():
    leaking, border = picture("#### #..# #.#. ####"), picture("#.## #..# ####")
    assert PostProcessing(fill_holes=True).apply(leaking).sum() == leaking.sum() + 3
    assert (PostProcessing(fill_holes=True).apply(border) == border).all()


def test_areas_below_one_are_shares_of_the_image():
    mask = np.zeros((10, 20), bool)
    mask[2, 2:6] = True
    assert PostProcessing(min_area=0.02).apply(mask).any()
    assert not PostProcessing(min_area=0.0201).apply(mask).any()


@given(with_crf)
def test_a_pipeline_survives_json(steps):
    assert PostProcessing.read(json.loads(json.dumps(steps.record()))) == steps


def test_pipelines_in_words():
    assert str(PostProcessing()) == "none"
    everything = PostProcessing(opening=1, closing=2, fill_holes=True, min_area=0.001)
    assert str(everything) == "open 1, close 2, fill holes, area >= 0.1 % of the image"
    assert str(PostProcessing(min_area=3500)) == "area >= 3500 px"
    assert (PostProcessing().n_steps, everything.n_steps) == (0, 4)


# --- counting all candidates at once --------------------------------------------------------------------------------


@settings(max_examples=40)
@given(pairs)
def test_candidates_count_as_each_pipeline_alone_would(pair):
    mask, truth = pair
    candidates = Candidates(PostProcessingSettings(opening_radii=(1, 2), min_areas=(0.04, 3, 30)))
    assert len(candidates.pipelines) == len(set(candidates.pipelines)) == 3 * 2 * 2 * 4
    found = candidates.count(np.where(mask, 65535, 0).astype(np.uint16), 128, truth, ImageCrfs(None))
    for steps, (tp, fp, fn) in zip(candidates.pipelines, found, strict=True):
        result = reference(mask, steps)
        assert (tp, fp, fn) == ((result & truth).sum(), (result & ~truth).sum(), (truth & ~result).sum())


def test_the_default_grid_has_48_candidates():
    assert len(Candidates(PostProcessingSettings()).pipelines) == 48


def test_steps_that_are_switched_off_are_not_tried():
    off = PostProcessingSettings(opening_radii=(), closing_radii=(), fill_holes=False, min_areas=(3500,))
    assert Candidates(off).pipelines == [PostProcessing(), PostProcessing(min_area=3500)]


@pytest.mark.parametrize("text", ["calibration: 1", "opening_radii: [0]", "min_areas: [-1]", "thresholds: [1]"])
def test_settings_that_make_no_sense_are_refused(tmp_path, text):
    path = tmp_path / "calibrate.yaml"
    path.write_text(f"post_processing: {{{text}}}\n")
    with pytest.raises(ConfigError, match="post_processing"):
        CalibrateSettings.read(path)


@pytest.mark.parametrize("text", ["post_processing: none", "post_processing:", "post_processing: null"])
def test_post_processing_can_be_switched_off_as_a_whole(tmp_path, text):
    path = tmp_path / "calibrate.yaml"
    path.write_text(f"{text}\n")
    read = CalibrateSettings.read(path)
    assert read.post_processing is None
    read.write(path)
    assert CalibrateSettings.read(path) == read


# --- the choice -----------------------------------------------------------------------------------------------------


@pytest.fixture
def dataset(tmp_path):
    return make_dataset(tmp_path / "data", random_truth())


GRID = PostProcessingSettings(min_areas=(0.02, 4), thresholds=(0.25, 0.5))


@pytest.mark.parametrize("name", ["dice_all", "f1", "youden"])
@pytest.mark.parametrize("merged", [True, False])
def test_the_choice_is_that_of_a_brute_force_search(dataset, name, merged):
    maps = noisy_maps(dataset.truth, merged)
    classes = (MERGED,) if merged else CLASSES
    val, _ = dataset.predict_both(maps, classes=classes)
    found = calibrate(val, CalibrateSettings(objective=name, post_processing=GRID))
    grid = [PostProcessing(*steps) for steps in np.ndindex(2, 2, 2, 3)]
    grid = [PostProcessing(s.opening, 2 * s.closing, bool(s.fill_holes), (0, 0.02, 4)[s.min_area]) for s in grid]
    for index, class_name in enumerate(classes):
        truths = [m.any(axis=0) if merged else m[index] for m in dataset.truth["val"].values()]
        values = {}
        for k in {found.thresholds[class_name], 64, 128}:
            for steps in grid:
                predicted = [reference(codes[index] >= threshold_code(k), steps) for codes in maps["val"].values()]
                counts = [
                    ((t & p).sum(), (p & ~t).sum(), (t & ~p).sum(), t.size)
                    for t, p in zip(truths, predicted, strict=True)
                ]
                values[k, steps] = float(Objective(name)(*np.array(counts).T))
        chosen = found.post_processed[class_name]
        assert chosen["value"] == pytest.approx(max(values.values()), abs=1e-12)
        assert values[found.pipeline(class_name)] == pytest.approx(chosen["value"], abs=1e-12)
        words = {f"p >= {k / 256:g}, {steps}": value for (k, steps), value in values.items()}
        assert found.candidates[class_name] == pytest.approx(words, abs=1e-12)
        assert chosen["value"] >= found.value[class_name] - 1e-12
        assert found.value[class_name] >= found.value_at_half[class_name]


def test_noise_is_worth_removing_and_the_choice_says_how(tmp_path):
    """Two true squares of 16 pixels, false specks of one: any smallest area in between is right."""
    truth = np.zeros((1, 20, 30), bool)
    truth[0, 6:10, 2:6] = truth[0, 11:15, 23:27] = True
    specks = np.zeros_like(truth)
    specks[0, ::5, ::7] = ~truth[0, ::5, ::7]
    codes = np.where(truth | specks, 65535, 0).astype(np.uint16)
    dataset = make_dataset(tmp_path, {role: {f"{role}.png": truth} for role in ("val", "test")}, ("rust",))
    val, test = dataset.predict_both({role: {f"{role}.png": codes} for role in ("val", "test")})
    found = calibrate(val, CalibrateSettings(post_processing=PostProcessingSettings(min_areas=(2, 16, 17))))
    # Opening would cost the squares their corners.
    assert found.pipeline(MERGED) == (128, PostProcessing(min_area=2))
    assert found.post_processed[MERGED]["value"] == 1
    assert found.candidates[MERGED]["area >= 17 px"] == 0
    with pytest.warns(SuspiciousMetrics):
        metrics = metrics_of(val, test, found)
    assert metrics["dice_all_pp"] == metrics["test_mIoU_pp"] == 1 > metrics["dice_all"]
    assert metrics["dice_all"] == pytest.approx(2 * 32 / (2 * 32 + specks.sum()))
    assert metrics["post_processing"] == {MERGED: "area >= 2 px"}


@given(st.lists(st.sampled_from([0.25, 0.5, 0.75, np.nan]), min_size=9, max_size=9))
def test_ties_go_to_the_simplest_and_undefined_values_never_win(values):
    grid = [
        (k, steps)
        for k in (100, 99)
        for steps in (PostProcessing(1, 2), PostProcessing(min_area=5), PostProcessing(min_area=2), PostProcessing())
    ] + [(100, PostProcessing(opening=1))]
    best = best_pipeline(grid, np.array(values), calibrated=100)
    if np.isnan(values).all():
        assert grid[best] == (100, PostProcessing())
        return
    assert values[best] == np.nanmax(values)
    equals = [pipeline for pipeline, value in zip(grid, values, strict=True) if value == values[best]]
    order = [grid[i] for i in (3, 8, 2, 1, 0, 7, 6, 5, 4)]
    assert grid[best] == min(equals, key=order.index)


@pytest.mark.parametrize("code", [0, 65535])
@pytest.mark.parametrize("has_scores", [True, False])
def test_empty_and_full_masks_are_left_alone(dataset, code, has_scores):
    val, test = dataset.predict_both(constant_maps(dataset.truth, code), has_scores=has_scores)
    found = calibrate(val, CalibrateSettings())
    assert found.pipeline(MERGED) == (128, PostProcessing())
    metrics = metrics_of(val, test, found)
    assert metrics["dice_all_pp"] == metrics["dice_all"]


def test_methods_without_scores_are_post_processed_at_half_only(dataset):
    val, _ = dataset.predict_both(noisy_maps(dataset.truth, merged=True), has_scores=False)
    found = calibrate(val, CalibrateSettings(post_processing=GRID))
    assert found.post_processed[MERGED]["k"] == 128
    assert len(found.candidates[MERGED]) == 2 * 2 * 2 * 3
    assert not found.used_val_labels


@pytest.mark.parametrize("name", ["f1", "youden"])
def test_a_class_absent_from_val_is_left_alone_where_the_objective_is_undefined(tmp_path, name):
    truth = random_truth()
    for of_image in truth["val"].values():
        of_image[1] = False
    dataset = make_dataset(tmp_path, truth)
    val, _ = dataset.predict_both(noisy_maps(truth, merged=False), classes=CLASSES)
    found = calibrate(val, CalibrateSettings(objective=name))
    assert found.pipeline("cracks") == (128, PostProcessing())
    assert found.post_processed["cracks"]["value"] is None


def test_switched_off_there_is_no_choice_and_no_metric(dataset):
    val, test = dataset.predict_both(noisy_maps(dataset.truth, merged=True))
    found = calibrate(val, CalibrateSettings(post_processing=None))
    assert found.post_processed == found.candidates == {}
    scores = score(val, test, found, ScoreSettings())
    assert set(scores.per_image["policy"].to_pylist()) == {"calibrated", "at_0.5"}
    metrics = summarise(scores, found, "digest", ScoreSettings())
    assert metrics["dice_all_pp"] is None
    assert metrics["dice_all"] is not None


def test_test_data_are_refused_by_type(dataset):
    _, test = dataset.predict_both(noisy_maps(dataset.truth, merged=True))
    with pytest.raises(TypeError, match="ValidationData only, not HeldOutData"):
        choose_post_processing(test, {MERGED: 128}, Objective("dice_all"), PostProcessingSettings())


def test_the_choice_survives_json(dataset):
    val, _ = dataset.predict_both(noisy_maps(dataset.truth, merged=False), classes=CLASSES)
    found = calibrate(val, CalibrateSettings())
    read = Calibration(**json.loads(json.dumps(asdict(found), allow_nan=False)))
    assert read == found
    assert [read.pipeline(name) for name in CLASSES] == [found.pipeline(name) for name in CLASSES]
