"""Scoring of shapes: the columns of boundaries and centre lines, the table of components, and the metrics of both."""

import json
import os
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from evaluation_fixtures import CLASSES, constant_maps, make_dataset
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from random_masks import blobs
from scipy import ndimage
from skimage.morphology import skeletonize

from defectbench.config.base import MERGED, ConfigError
from defectbench.config.calibrate import CalibrateSettings
from defectbench.config.score import ScoreSettings
from defectbench.config.study import load_study
from defectbench.evaluation import policies
from defectbench.evaluation.by_size import by_size
from defectbench.evaluation.calibration import calibrate
from defectbench.evaluation.component_recall import count_components, fragmentation
from defectbench.evaluation.component_records import COMPONENTS, ComponentRecords
from defectbench.evaluation.invariants import InvariantError, SuspiciousMetrics, check_recalls, check_shapes
from defectbench.evaluation.scoring import score
from defectbench.evaluation.summary import summarise
from defectbench.metrics.codes import codes_from_logits
from defectbench.metrics.component_metrics import component_recall
from defectbench.metrics.component_sweep import CUTS, THRESHOLDS
from defectbench.metrics.counts import confusion
from defectbench.metrics.image_counts import ImageCounts, mean_iou
from defectbench.metrics.shape import Shape
from defectbench.metrics.shape_metrics import SHAPE_METRICS, count_shapes

NEIGHBOURS = np.ones((3, 3))


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    """Blobs of two classes; of every role one image in three is clean."""
    truth = {
        role: {
            f"{role}_{i}": blobs(3 * i + j, height=30, width=44).view(bool) & (i % 3 > 0 and [[[True]], [[i != 2]]])
            for i in range(6)
        }
        for j, role in enumerate(("train", "val", "test"))
    }
    return make_dataset(tmp_path_factory.mktemp("shapes"), truth)


def smooth_maps(dataset):
    """Codes of smooth logits, so that masks have few components and not only single pixels."""
    rng = np.random.default_rng(5)
    return {
        role: {
            image_id: codes_from_logits(ndimage.gaussian_filter(rng.normal(3.0 * masks - 1, 2.5), (0, 1, 1)))
            for image_id, masks in dataset.truth[role].items()
        }
        for role in ("val", "test")
    }


def run(dataset, maps, settings=None, **header):
    settings = settings or ScoreSettings()
    val, test = dataset.predict_both(maps, **header)
    calibration = calibrate(val, CalibrateSettings())
    scores = score(val, test, calibration, settings)
    return calibration, scores, summarise(scores, calibration, "digest", settings)


@pytest.fixture(scope="module")
def by_class(dataset):
    maps = smooth_maps(dataset)
    return maps, *run(dataset, maps, ScoreSettings(component_recall="always"), classes=CLASSES)


def layers(dataset, maps, calibration, role, image_id):
    """Yield (policy, class, prediction, truth, codes), put together anew."""
    codes, truth = maps[role][image_id], dataset.truth[role][image_id]
    for policy, masks in policies.masks(codes, calibration).items():
        yield policy, MERGED, masks.any(axis=0), truth.any(axis=0), codes.max(axis=0)
        for layer in zip(CLASSES, masks, truth, codes, strict=True):
            yield policy, *layer


def expected_hits(prediction, truth):
    """Boundaries by erosion and exact distances, centre lines by scikit-image, all on whole images."""
    edges = [mask & ~ndimage.binary_erosion(mask) for mask in (prediction, truth)]
    near = [ndimage.distance_transform_edt(~edge) <= 2 if edge.any() else edge for edge in edges]
    lines = skeletonize(prediction), skeletonize(truth)
    return {
        "boundary_pred": edges[0].sum(),
        "boundary_pred_hit": (edges[0] & near[1]).sum(),
        "boundary_truth": edges[1].sum(),
        "boundary_truth_hit": (edges[1] & near[0]).sum(),
        "skeleton_pred": lines[0].sum(),
        "skeleton_pred_hit": (lines[0] & truth).sum(),
        "skeleton_truth": lines[1].sum(),
        "skeleton_truth_hit": (lines[1] & prediction).sum(),
    }


def test_columns_of_every_image_class_and_policy(dataset, by_class):
    maps, calibration, scores, _ = by_class
    rows = scores.per_image.to_pandas().set_index(["image_id", "class", "policy"])
    for role in ("val", "test"):
        for image_id in maps[role]:
            for policy, name, prediction, truth, _ in layers(dataset, maps, calibration, role, image_id):
                expected = expected_hits(prediction, truth)
                assert rows.loc[(image_id, name, policy), list(expected)].to_dict() == expected


def test_boundary_f1_and_cldice_are_means_over_defective_images(by_class):
    _, _, scores, metrics = by_class
    frame = scores.per_image.to_pandas()
    for policy, suffix in (("calibrated", ""), ("at_0.5", "_at_0.5"), ("post_processed", "_pp")):
        for name, values in ((MERGED, metrics), *metrics["per_class"].items()):
            chosen = (frame["role"] == "test") & (frame["class"] == name) & (frame["policy"] == policy)
            rows = frame[chosen & (frame["n_truth"] > 0)]
            for kind, metric in (("boundary", "boundary_f1"), ("skeleton", "cldice")):
                p = (rows[f"{kind}_pred_hit"] / rows[f"{kind}_pred"]).fillna(0)
                r = rows[f"{kind}_truth_hit"] / rows[f"{kind}_truth"]
                assert values[f"{metric}{suffix}"] == pytest.approx((2 * p * r / (p + r)).fillna(0).mean())


def test_components_of_every_image_class_and_policy(dataset, by_class):
    maps, calibration, scores, _ = by_class
    assert scores.components.schema == COMPONENTS
    frame = scores.components.to_pandas()
    groups = dict(iter(frame.groupby(["image_id", "class", "policy", "side"])))
    n = 0
    for role in ("val", "test"):
        for image_id in maps[role]:
            for policy, name, prediction, truth, codes in layers(dataset, maps, calibration, role, image_id):
                for side, mask in (("prediction", prediction), ("truth", truth)):
                    labels, n_components = ndimage.label(mask, NEIGHBOURS)
                    rows = groups.get((image_id, name, policy, side), frame.iloc[:0])
                    n += len(rows)
                    assert rows["index"].tolist() == list(range(n_components))
                    assert sorted(rows["area"]) == sorted(np.bincount(labels[mask])[1:])
                    assert set(rows["role"]) | set(rows["group"]) <= {role, f"g_{image_id}"}
                    for row in rows.itertuples():
                        box = mask[row.y : row.y + row.height, row.x : row.x + row.width]
                        assert box.any(axis=0).all() or box.any(axis=1).all()
                    if side == "prediction":
                        highest = ndimage.maximum(codes, labels, np.arange(1, n_components + 1))
                        assert sorted(rows["score"]) == sorted(highest)
    assert n == len(frame)


def test_matches_are_mutual_and_at_least_of_the_iou_asked_for(by_class):
    _, _, scores, _ = by_class
    frame = scores.components.to_pandas()
    keys = ["image_id", "class", "policy"]
    sides = {side: rows.set_index([*keys, "index"]) for side, rows in frame.groupby("side")}
    matched = sides["prediction"][sides["prediction"]["match"] >= 0]
    assert len(matched) == (sides["truth"]["match"] >= 0).sum() > 10
    for (image_id, name, policy, index), row in matched.iterrows():
        other = sides["truth"].loc[(image_id, name, policy, row["match"])]
        assert (other["match"], other["iou"]) == (index, row["iou"])
        assert 0.5 <= row["iou"] <= 1
    for rows in sides.values():
        assert (rows["iou"].notna() == (rows["match"] >= 0)).all()


@pytest.mark.parametrize(("policy", "suffix"), [("calibrated", ""), ("at_0.5", "_at_0.5"), ("post_processed", "_pp")])
def test_components_at_a_threshold_are_those_of_the_table(by_class, policy, suffix):
    _, _, scores, metrics = by_class
    frame = scores.components.to_pandas()
    for name, values in ((MERGED, metrics), *metrics["per_class"].items()):
        rows = frame[(frame["role"] == "test") & (frame["class"] == name) & (frame["policy"] == policy)]
        matched = rows["match"] >= 0
        assert values[f"component_recall{suffix}"] == pytest.approx(matched[rows["side"] == "truth"].mean())
        # Two of the six images are clean; they count.
        assert values[f"false_components{suffix}"] == pytest.approx((~matched[rows["side"] == "prediction"]).sum() / 6)
    assert 0 < metrics["component_recall"] <= 1


def test_recall_at_fp_equals_a_slow_sweep_over_the_maps(dataset, by_class):
    maps, _, _, metrics = by_class
    for name, values in ((MERGED, metrics), *metrics["per_class"].items()):
        pairs = [
            (
                codes.max(axis=0) if name == MERGED else codes[CLASSES.index(name)],
                dataset.truth["test"][i].any(axis=0)
                if name == MERGED
                else dataset.truth["test"][i][CLASSES.index(name)],
            )
            for i, codes in maps["test"].items()
        ]
        points = [point for threshold in THRESHOLDS for point in slow_points(pairs, codes_from_logits([threshold])[0])]
        for at_most in (0.5, 1, 2):
            best = max([recall for false, recall in points if false <= at_most * 6], default=0)
            assert values[f"recall_at_fp_{at_most}"] == pytest.approx(best)
    assert len({metrics[f"recall_at_fp_{x}"] for x in (0.5, 1, 2)}) > 1


def slow_points(pairs, threshold):
    """False components and recall at a threshold for every cut of scores; IoUs above 0.5 exclude each other."""
    scores, hits, n_true = [], [], 0
    for codes, truth in pairs:
        predicted, true = ([labels == i + 1 for i in range(n)] for labels, n in map(label, (codes >= threshold, truth)))
        for a in predicted:
            scores.append(codes[a].max())
            hits.append(sum(2 * (a & b).sum() >= (a | b).sum() for b in true))
        n_true += len(true)
    scores, hits = np.array(scores), np.array(hits)
    assert hits.max(initial=0) <= 1
    return [((hits[scores >= c] == 0).sum(), hits[scores >= c].sum() / n_true) for c in codes_from_logits(CUTS)]


def label(mask):
    return ndimage.label(mask, NEIGHBOURS)


def test_a_perfect_prediction_and_an_empty_one(dataset):
    perfect = {
        role: {i: np.where(m.any(axis=0, keepdims=True), 65535, 0).astype(np.uint16) for i, m in of_role.items()}
        for role, of_role in dataset.truth.items()
    }
    always = ScoreSettings(component_recall="always")
    with pytest.warns(SuspiciousMetrics):
        _, _, metrics = run(dataset, perfect, always)
    assert {metrics[name] for name in ("boundary_f1", "cldice", "recall_at_fp_0.5", "component_recall")} == {1.0}
    _, scores, metrics = run(dataset, constant_maps(dataset.truth, 0), always)
    assert {metrics[name] for name in ("boundary_f1", "cldice", "recall_at_fp_0.5", "component_recall")} == {0.0}
    assert set(scores.components["side"].to_pylist()) == {"truth"}
    _, _, metrics = run(dataset, constant_maps(dataset.truth, 0), always, has_scores=False)
    assert metrics["recall_at_fp_1"] is None
    assert metrics["component_recall"] == 0


def test_only_clean_images_have_no_components_and_no_metrics_of_shape(tmp_path):
    truth = {role: {f"{role}_{i}": np.zeros((1, 8, 9), bool) for i in range(2)} for role in ("train", "val", "test")}
    dataset = make_dataset(tmp_path, truth, ("rust",))
    _, scores, metrics = run(dataset, constant_maps(truth, 0))
    assert scores.components.num_rows == 0
    assert scores.components.schema == COMPONENTS
    for name in ("boundary_f1", "cldice", "recall_at_fp_1", "truth_fragmentation"):
        assert metrics[name] is None
    assert metrics["by_size"] == {"edges": [], "quartiles": []}
    json.dumps(metrics, allow_nan=False)


# --- fragmented truth -----------------------------------------------------------------------------------------------


def dashed(gap):
    """Two images with five dashes of six pixels each, ``gap`` pixels apart."""
    mask = np.zeros((1, 9, 90), bool)
    for i in range(5):
        mask[0, 4, i * (6 + gap) : i * (6 + gap) + 6] = True
    return {role: {f"{role}_{i}": mask for i in range(2)} for role in ("train", "val", "test")}


@pytest.mark.parametrize(("gap", "share"), [(3, 0.8), (5, 0.0)])
def test_pieces_within_four_pixels_of_each_other_are_fragments(tmp_path, gap, share):
    truth = dashed(gap)
    dataset = make_dataset(tmp_path, truth, ("crack",))
    maps = {role: {i: np.where(m, 40000, 20000).astype(np.uint16) for i, m in truth[role].items()} for role in truth}
    for policy, expected in (("auto", None if share else 1), ("always", 1), ("never", None)):
        with pytest.warns(SuspiciousMetrics):
            _, scores, metrics = run(dataset, maps, ScoreSettings(component_recall=policy))
        assert metrics["recall_at_fp_1"] == expected
        assert metrics["truth_fragmentation"] == fragmentation(scores.components.to_pandas()) == pytest.approx(share)


def test_settings_reach_the_study_and_are_checked(tmp_path):
    assert ScoreSettings().match_iou == 0.5
    config = {"score": {"match_iou": 0}, "experiments": [{"model": "all_empty"}]}
    with pytest.raises(ConfigError, match=r"score\.match_iou"):
        load_study(config)


# --- by size ---------------------------------------------------------------------------------------------------------


def images(*rows):
    return ImageCounts(*np.array([(*row, 100) for row in rows], dtype=np.int64).reshape(-1, 4).T)


def test_quartiles_by_hand():
    # True areas 1 ... 8, the odd ones missed, the even ones half found, and a clean image with a false alarm.
    rows = [(0, 0, 1), (1, 0, 1), (0, 0, 3), (2, 0, 2), (0, 0, 5), (3, 0, 3), (0, 0, 7), (4, 0, 4), (0, 9, 0)]
    found = by_size(images(*rows))
    assert found["edges"] == [1, 2, 4, 6, 8]
    recalls = [1 / 3, 2 / 7, 3 / 11, 4 / 15]
    expected = [{"n": 2, "mIoU": 0.25, "Dice": pytest.approx(1 / 3), "Recall": pytest.approx(r)} for r in recalls]
    assert found["quartiles"] == expected


def test_images_of_one_area_stay_together():
    found = by_size(images(*[(5, 0, 0)] * 6, (9, 0, 0)))
    assert found["edges"] == [5, 5, 5, 5, 9]
    assert [quartile["n"] for quartile in found["quartiles"]] == [6, 0, 0, 1]
    assert found["quartiles"][1]["mIoU"] is None


def test_sizes_of_the_report_cover_the_defective_test_images(by_class):
    metrics = by_class[-1]
    for values in (metrics, *metrics["per_class"].values()):
        quartiles = values["by_size"]["quartiles"]
        assert sum(quartile["n"] for quartile in quartiles) == values["n_test_defective"]
        mean = sum(quartile["n"] * quartile["mIoU"] for quartile in quartiles if quartile["n"])
        assert mean / values["n_test_defective"] == pytest.approx(values["test_mIoU"])


# --- invariants ------------------------------------------------------------------------------------------------------

PAIRS = st.lists(st.tuples(*[arrays(bool, (7, 8))] * 2, arrays(np.uint16, (7, 8))), min_size=1, max_size=4)


@given(PAIRS, st.booleans())
def test_the_metrics_of_any_masks_agree_with_each_other(pairs, equal):
    """Of ``equal`` masks all metrics are 1."""
    records = ComponentRecords(0.5)
    counted, hits = [], []
    for i, (prediction, truth, codes) in enumerate(pairs):
        sides = Shape(truth if equal else prediction), Shape(truth)
        counted.append((*confusion(truth, sides[0].mask), truth.size))
        hits.append(count_shapes(*sides))
        keys = {"role": "test", "image_id": str(i), "group": "", "class": MERGED, "policy": policies.CALIBRATED}
        records.add(keys, *sides, codes)
    columns = pd.DataFrame(hits)
    values = {"mIoU": mean_iou(ImageCounts(*np.array(counted).T))}
    values |= {
        name: metric([columns[column].to_numpy() for column in metric.columns])
        for name, metric in SHAPE_METRICS.items()
    }
    values["component_recall"] = component_recall(count_components(records.table().to_pandas(), len(pairs)))
    check_shapes(values, "test")
    if equal and values["mIoU"] is not None:
        assert set(values.values()) == {1.0}


GOOD = {"mIoU": 0.5, "boundary_f1": 0.4, "cldice": 0.6}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"cldice": None}, "defined together"),
        ({"mIoU": 1.0}, "boundary_f1 = 1 where mIoU = 1"),
        ({"mIoU": 0.0, "boundary_f1": 0.1}, "cldice = 0 where mIoU = 0"),
    ],
)
def test_contradictions_are_errors(change, message):
    check_shapes(GOOD, "test")
    with pytest.raises(InvariantError, match=message):
        check_shapes(GOOD | change, "test")


def test_recalls_that_fall_or_are_above_1_are_errors():
    check_recalls({"recall_at_fp_0.5": 0.1, "recall_at_fp_1": 0.1, "recall_at_fp_2": 0.7}, "test")
    for last in (0.05, 1.2):
        with pytest.raises(InvariantError, match="recall does not fall"):
            check_recalls({"recall_at_fp_0.5": 0.1, "recall_at_fp_1": 0.1, "recall_at_fp_2": last}, "test")


# --- a further metric ------------------------------------------------------------------------------------------------

NEW_METRIC = """
import sys
from pathlib import Path
import numpy as np
from scipy.spatial.distance import directed_hausdorff
from defectbench.metrics.definition import DEFECTIVE_IMAGES
from defectbench.metrics.shape_metrics import SHAPE_METRICS, ShapeMetric

def count(prediction, truth):
    if prediction.is_empty or truth.is_empty:
        return (np.nan,)
    points = [np.argwhere(shape.boundary) for shape in (prediction, truth)]
    return (max(directed_hausdorff(*points)[0], directed_hausdorff(*points[::-1])[0]),)

def mean(columns):
    return float(np.nanmean(columns[0])) if (~np.isnan(columns[0])).any() else None

SHAPE_METRICS["hausdorff"] = ShapeMetric(
    name="hausdorff", columns=("hausdorff_px",), dtype="float64", count=count, compute=mean,
    formula="largest distance", averaging=DEFECTIVE_IMAGES, value_range="pixels", description="Hausdorff distance.",
)

from evaluation_fixtures import make_dataset, noisy_maps, random_truth
from defectbench.config.calibrate import CalibrateSettings
from defectbench.config.score import ScoreSettings
from defectbench.evaluation.calibration import calibrate
from defectbench.evaluation.column_definitions import definition_of
from defectbench.evaluation.results import COLUMNS
from defectbench.evaluation.scoring import score
from defectbench.evaluation.summary import summarise

dataset = make_dataset(Path(sys.argv[1]), random_truth())
val, test = dataset.predict_both(noisy_maps(dataset.truth, merged=True))
calibration = calibrate(val, CalibrateSettings())
scores = score(val, test, calibration, ScoreSettings())
metrics = summarise(scores, calibration, "digest", ScoreSettings())
rows = scores.per_image.to_pandas().query("role == 'test' and policy == 'calibrated'")
assert np.isclose(metrics["hausdorff"], rows["hausdorff_px"].mean())
assert metrics["val_hausdorff_at_0.5"] > 0
assert "hausdorff" in COLUMNS and definition_of("hausdorff_pp").value_range == "pixels"
"""


def test_a_further_metric_of_shapes_is_one_row_of_the_table(tmp_path):
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    process = subprocess.run(
        [sys.executable, "-c", NEW_METRIC, tmp_path], env=environment, capture_output=True, text=True, check=False
    )
    assert process.returncode == 0, process.stderr
