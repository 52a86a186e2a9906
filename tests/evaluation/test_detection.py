"""Box metrics against cases whose average precision is known, and a slow hand-written one."""

import detectors as script
import numpy as np
import pandas as pd
import pytest
from evaluation_fixtures import make_dataset

from defectbench.config.report import NamesSettings
from defectbench.data.box_file import SCHEMA, BoxFileError, BoxPredictions, read_boxes, write_boxes
from defectbench.evaluation.detection import box_metrics, detectors_table, true_boxes
from defectbench.evaluation.truth import EvaluationError
from defectbench.files import write_json, write_text


def table(rows):
    return pd.DataFrame(rows, columns=SCHEMA.names)


@pytest.fixture
def truth(tmp_path):
    """Two test images: one with two parts of class a and one of b, one clean."""
    masks = np.zeros((2, 40, 60), bool)
    masks[0, 2:12, 5:25] = masks[0, 20:30, 30:50] = True
    masks[1, 25:35, 5:15] = True
    maps = {"test": {"x": masks, "y": np.zeros_like(masks)}, "val": {"v": np.zeros_like(masks)}}
    return make_dataset(tmp_path, maps, classes=("a", "b")).read()


A1, A2, B1 = [5, 2, 25, 12], [30, 20, 50, 30], [5, 25, 15, 35]


def score(truth, rows, classes=("a", "b")):
    return box_metrics(truth, BoxPredictions("test", classes, ("x", "y"), table(rows)))


def test_true_boxes_are_those_of_8_connected_parts():
    mask = np.zeros((6, 8), bool)
    mask[0, 0] = mask[1, 1] = mask[4:6, 5:8] = True
    assert true_boxes(mask).tolist() == [[0, 0, 2, 2], [5, 4, 3, 2]]


def test_perfect_boxes(truth):
    found = score(truth, [["x", "a", *A1, 0.9], ["x", "a", *A2, 0.8], ["x", "b", *B1, 0.7]])
    assert found["test_mAP50"] == pytest.approx(1)
    assert found["test_mAP50_95"] == pytest.approx(1)
    assert (found["n_test"], found["n_test_boxes"]) == (2, 3)


def test_no_boxes_at_all(truth):
    assert score(truth, [])["test_mAP50"] == 0


def test_one_of_two_found_with_one_false_box_before_it(truth):
    rows = [["y", "a", *A1, 0.9], ["x", "a", *A1, 0.8], ["x", "b", *B1, 0.7]]
    per_class = score(truth, rows)["per_class"]
    # Precision 1/2 up to recall 1/2: 51 of 101 recall levels.
    assert per_class["a"]["test_mAP50"] == pytest.approx(51 * 0.5 / 101)
    assert per_class["b"]["test_mAP50"] == pytest.approx(1)


def test_a_box_of_iou_two_thirds_counts_up_to_that_threshold(truth):
    x0, y0, x1, y1 = B1
    rows = [["x", "a", *A1, 0.9], ["x", "a", *A2, 0.8], ["x", "b", x0, y0, x1 + 5, y1, 0.7]]
    per_class = score(truth, rows)["per_class"]["b"]
    assert per_class["test_mAP50"] == pytest.approx(1)
    assert per_class["test_mAP50_95"] == pytest.approx(0.4)  # .50, .55, .60, .65


def test_a_class_without_true_boxes_is_null_and_left_out(tmp_path):
    masks = np.zeros((2, 20, 20), bool)
    masks[0, 3:9, 3:9] = True
    truth = make_dataset(tmp_path, {"test": {"x": masks}, "val": {"v": masks}}, classes=("a", "b")).read()
    for rows in ([["x", "a", 3, 3, 9, 9, 0.5]], [["x", "a", 3, 3, 9, 9, 0.5], ["x", "b", 0, 0, 5, 5, 0.9]]):
        found = box_metrics(truth, BoxPredictions("test", ("a", "b"), ("x",), table(rows)))
        assert found["per_class"]["b"]["test_mAP50"] is None
        assert found["test_mAP50"] == pytest.approx(1)


def test_merged_boxes_are_scored_against_the_union(truth):
    rows = [["x", "merged", *box, 0.9] for box in (A1, A2, B1)]
    assert score(truth, rows, ("merged",))["test_mAP50"] == pytest.approx(1)


def slow_ap(truths, boxes, threshold):
    """Average precision at 101 recall levels of boxes (image, corners, score), greedy by score."""
    taken, hits = set(), []
    for image, box, _ in sorted(boxes, key=lambda item: -item[2]):
        best, best_iou = None, threshold
        for index, (other, true) in enumerate(truths):
            width = min(box[2], true[2]) - max(box[0], true[0])
            height = min(box[3], true[3]) - max(box[1], true[1])
            if other != image or index in taken or width <= 0 or height <= 0:
                continue
            area = sum((b[2] - b[0]) * (b[3] - b[1]) for b in (box, true))
            iou = width * height / (area - width * height)
            if iou >= best_iou:
                best, best_iou = index, iou
        taken |= {best} - {None}
        hits.append(best is not None)
    found = np.cumsum(hits)
    precision, recall = found / np.arange(1, len(hits) + 1), found / len(truths)
    return np.mean([precision[recall >= level - 1e-12].max(initial=0) for level in np.linspace(0, 1, 101)])


@pytest.mark.parametrize("seed", range(8))
def test_against_a_slow_hand_written_average_precision(tmp_path, seed):
    rng = np.random.default_rng(seed)
    maps, truths, rows = {}, [], []
    for image in ("p", "q", "r"):
        mask = np.zeros((1, 40, 60), bool)
        for left in (2, 22, 42):
            if rng.random() < 0.7:
                top, height, width = rng.integers(0, 10), rng.integers(8, 28), rng.integers(6, 16)
                mask[0, top : top + height, left : left + width] = True
                true = [left, top, left + width, top + height]
                truths.append((image, true))
                for _ in range(rng.integers(0, 3)):
                    box = (np.array(true) + rng.integers(-3, 4, 4)).clip(0, [60, 40, 60, 40])
                    rows.append([image, "a", *box.astype(float), rng.random()])
        rows.append([image, "a", 0.0, 0.0, 60.0, 40.0, rng.random()])
        maps[image] = mask
    truth = make_dataset(tmp_path, {"test": maps, "val": {"v": mask}}, classes=("a",)).read()
    found = box_metrics(truth, BoxPredictions("test", ("a",), ("p", "q", "r"), table(rows)))
    boxes = [(row[0], row[2:6], row[6]) for row in rows]
    assert found["test_mAP50"] == pytest.approx(slow_ap(truths, boxes, 0.5), abs=1e-9)


def test_missing_images_are_an_error(truth):
    with pytest.raises(EvaluationError, match="1 images"):
        box_metrics(truth, BoxPredictions("test", ("a", "b"), ("x",), table([])))


def test_other_classes_are_an_error(truth):
    with pytest.raises(EvaluationError, match="the manifest has"):
        box_metrics(truth, BoxPredictions("test", ("a",), ("x", "y"), table([])))


def test_a_file_of_boxes_comes_back(tmp_path):
    boxes = table([["x", "a", 1.5, 2.0, 3.25, 4.0, 0.001]])
    write_boxes(tmp_path / "b.parquet", BoxPredictions("val", ("a", "b"), ("x", "y"), boxes))
    found = read_boxes(tmp_path / "b.parquet")
    assert (found.role, found.classes, found.image_ids) == ("val", ("a", "b"), ("x", "y"))
    pd.testing.assert_frame_equal(found.boxes, boxes)


def test_something_else_is_no_file_of_boxes(tmp_path):
    table([]).to_parquet(tmp_path / "b.parquet")
    with pytest.raises(BoxFileError, match="not a file of boxes"):
        read_boxes(tmp_path / "b.parquet")


def detector(folder, digest="d"):
    write_json(
        folder / "run.json",
        {
            "experiment": {"exp_id": folder.name},
            "settings": {"lr": 0.1},
            "notes": ["x"],
            "problems": ["y"],
            "device": "GPU",
        },
    )
    write_json(folder / "timing.json", {"infer_ms_p50": 3.0, "device": "CPU"})
    write_json(folder / "metrics.json", {"test_mAP50": 0.5, "test_ids_sha256": digest, "data_digest": "d"})
    return folder


def test_the_table_has_a_row_per_detector(tmp_path):
    found = detectors_table([detector(tmp_path / "one"), detector(tmp_path / "two")])
    assert found["exp_id"].tolist() == found["name"].tolist() == ["one", "two"]
    assert found.loc[0, ["lr", "test_mAP50", "infer_ms_p50", "notes"]].tolist() == [0.1, 0.5, 3.0, "x; y"]
    assert found.loc[0, ["device", "train_device"]].tolist() == ["CPU", "GPU"]


def test_quarantined_samples_are_said_on_every_row(tmp_path):
    folders = [detector(tmp_path / name) for name in ("one", "two")]
    write_text(tmp_path / "issues.csv", "file,row,problem\na.png,,truncated\n")
    write_text(tmp_path / "leaks.csv", "dropped_image_id,dropped_role,kept_image_id,kept_role\n")
    out = tmp_path / "detectors.csv"
    tables = ["--issues", tmp_path / "issues.csv", "--leaks", tmp_path / "leaks.csv"]
    script.main([str(argument) for argument in ("--folders", *folders, *tables, "--csv", out)])
    notes = pd.read_csv(out)["notes"]
    assert len(notes) == 2
    assert notes.str.startswith("x; y; 1 problem(s) in the source files").all()


def test_detectors_have_the_names_of_the_configuration(tmp_path):
    found = detectors_table([detector(tmp_path / name) for name in ("one", "two")], NamesSettings(names={"one": "a"}))
    assert found["name"].tolist() == ["a", "two"]


def test_detectors_scored_on_other_images_are_refused(tmp_path):
    with pytest.raises(EvaluationError, match="test_ids_sha256"):
        detectors_table([detector(tmp_path / "one"), detector(tmp_path / "two", "other")])
