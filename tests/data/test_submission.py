"""Kaggle submissions: both layouts, their score, and the gate."""

import numpy as np
import pandas as pd
import pytest
import submission
from evaluation_fixtures import make_dataset, noisy_codes, random_truth
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from defectbench.config.base import MERGED
from defectbench.config.calibrate import CalibrateSettings
from defectbench.config.ingest import SeverstalCsv
from defectbench.data.ingest import ingest
from defectbench.data.manifest import read_manifest
from defectbench.data.rle import decode_severstal, runs_from_mask
from defectbench.data.submission import HEADERS, SubmissionError, read_submission, true_runs, write_submission
from defectbench.evaluation.calibration import calibrate
from defectbench.evaluation.gate import best_gate, choose_gate, final_masks, image_score
from defectbench.evaluation.submission_score import run_area, score_submission, shared_pixels
from defectbench.evaluation.truth import HeldOutData, ValidationData
from defectbench.files import read_json, write_json
from defectbench.inference.prediction_file import PredictionFile

CLASSES = ("pits", "cracks")
MASKS = hnp.arrays(bool, (6, 9))


@given(a=MASKS, b=MASKS)
def test_shared_pixels_are_those_of_the_masks(a, b):
    runs = runs_from_mask(a), runs_from_mask(b)
    assert shared_pixels(*runs) == (a & b).sum()
    assert run_area(runs[0]) == a.sum()


@pytest.fixture
def dataset(tmp_path):
    return make_dataset(tmp_path, random_truth(2, n=9))


def sizes_of(dataset):
    return {i: m.shape[1:] for role in dataset.truth.values() for i, m in role.items()}


def entries(masks):
    return [(i, c, runs_from_mask(mask)) for i, own in masks.items() for c, mask in enumerate(own, start=1)]


@pytest.mark.parametrize("layout", HEADERS)
def test_a_submission_reads_back_as_the_masks_it_was_written_of(dataset, layout):
    masks = dataset.truth["test"]
    path = dataset.folder / "submission.csv"
    assert write_submission(path, entries(masks), layout) == 2 * len(masks)
    table = pd.read_csv(path, keep_default_na=False)
    assert tuple(table) == HEADERS[layout]
    found = read_submission(path, sizes_of(dataset))
    for (image_id, value), runs in found.items():
        np.testing.assert_array_equal(runs, runs_from_mask(masks[image_id][value - 1]))
    # Independent of our reader: the code of the first non-empty row, drawn by the documented rule.
    row = int(np.flatnonzero(table["EncodedPixels"] != "")[0])
    image_id, value = list(found)[row]
    numbers = [int(word) for word in table["EncodedPixels"][row].split()]
    drawn = np.zeros(masks[image_id][0].size, bool)
    for start, length in zip(numbers[::2], numbers[1::2], strict=True):
        drawn[start - 1 : start - 1 + length] = True
    np.testing.assert_array_equal(drawn.reshape(masks[image_id][0].shape, order="F"), masks[image_id][value - 1])


def test_kaggles_own_order_of_columns_is_read_too(dataset):
    path = dataset.folder / "submission.csv"
    image_id = next(iter(dataset.truth["test"]))
    path.write_text(f"ImageId,EncodedPixels,ClassId\n{image_id},1 3,2\n")
    np.testing.assert_array_equal(read_submission(path, sizes_of(dataset))[image_id, 2], [[0, 3]])


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("Image,Pixels\na,1 1\n", "has the columns Image,Pixels; a submission has ImageId_ClassId,EncodedPixels or"),
        ("ImageId_ClassId,EncodedPixels\na_1,\n", "line 2: no image 'a' and class '1'"),
        ("ImageId_ClassId,EncodedPixels\ntest_0.png_x,\n", "line 2: no image 'test_0.png' and class 'x'"),
        ("ImageId_ClassId,EncodedPixels\ntest_0.png_1,\ntest_0.png_1,\n", "class 1 is listed twice"),
        ("ImageId_ClassId,EncodedPixels\ntest_0.png_1,190 9\n", "line 2: RLE run '190 9' ends beyond the image"),
    ],
)
def test_a_bad_submission_is_refused_with_its_line(dataset, text, problem):
    path = dataset.folder / "submission.csv"
    path.write_text(text)
    with pytest.raises(SubmissionError, match=problem):
        read_submission(path, sizes_of(dataset))


def test_the_truth_scores_1_and_nothing_the_empty_share(dataset):
    manifest = read_manifest(dataset.manifest)
    truth = true_runs(manifest, dataset.truth["test"])
    assert score_submission(truth, truth)["dice_kaggle"] == 1
    nothing = {key: np.zeros((0, 2), np.int64) for key in truth}
    empty = np.mean([not mask.any() for own in dataset.truth["test"].values() for mask in own])
    found = score_submission(nothing, truth)
    assert found["dice_kaggle"] == found["dice_kaggle_empty"] == pytest.approx(empty)
    assert found["dice_kaggle_gain"] == found["dice_kaggle_skill"] == 0


def test_the_score_is_the_mean_dice_over_images_and_classes(dataset):
    rng = np.random.default_rng(0)
    predicted = {i: m ^ (rng.random(m.shape) < 0.1) for i, m in dataset.truth["test"].items()}
    submitted = {(i, c): runs for i, c, runs in entries(predicted)}
    scores = []
    for image_id, masks in dataset.truth["test"].items():
        for truth, mask in zip(masks, predicted[image_id], strict=True):
            total = truth.sum() + mask.sum()
            scores.append(2 * (truth & mask).sum() / total if total else 1.0)
    truth = true_runs(read_manifest(dataset.manifest), dataset.truth["test"])
    assert score_submission(submitted, truth)["dice_kaggle"] == pytest.approx(np.mean(scores))


def test_a_submission_of_other_images_has_no_score(dataset):
    truth = true_runs(read_manifest(dataset.manifest), dataset.truth["test"])
    some = dict(list(truth.items())[1:])
    with pytest.raises(SubmissionError, match=r"1 row\(s\) missing: test_0.png class 1"):
        score_submission(some, truth)
    with pytest.raises(SubmissionError, match=r"1 row\(s\) unexpected"):
        score_submission(truth, some)


def test_real_severstal_submissions_decode_to_the_drawn_masks(real_data, tmp_path):
    classes = {1: "pitted", 2: "inclusion", 3: "scratch", 4: "patch"}
    root = real_data / "severstal_mini"
    manifest, *_ = ingest(SeverstalCsv(name="mini", format="severstal_csv", root=root, classes=classes), tmp_path / "i")
    sizes = {row.image_id: (row.height, row.width) for row in manifest.frame.itertuples()}
    truth = true_runs(manifest, sizes)
    labels = pd.read_csv(root / "train.csv")
    for layout in HEADERS:
        path = tmp_path / f"{layout}.csv"
        write_submission(path, ((*key, runs) for key, runs in truth.items()), layout)
        found = read_submission(path, sizes)
        assert score_submission(found, truth)["dice_kaggle"] == 1
        for row in labels.itertuples():
            height, width = sizes[row.ImageId]
            drawn = np.zeros(height * width, bool)
            for start, length in np.array(row.EncodedPixels.split(), int).reshape(-1, 2):
                drawn[start - 1 : start - 1 + length] = True
            mask = np.zeros(height * width, bool)
            for start, end in found[row.ImageId, row.ClassId]:
                mask[start:end] = True
            np.testing.assert_array_equal(mask, drawn)
        n_defects = sum(len(runs) > 0 for runs in found.values())
        assert n_defects == len(labels)
    text = pd.read_csv(tmp_path / "joined.csv", keep_default_na=False)
    first = text[text["EncodedPixels"] != ""].iloc[0]
    image_id, _, value = first["ImageId_ClassId"].rpartition("_")
    mask = manifest.masks(manifest.frame.set_index("image_id").loc[image_id])[int(value) - 1]
    np.testing.assert_array_equal(decode_severstal(first["EncodedPixels"], *sizes[image_id]), mask)


@given(
    images=st.lists(
        st.tuples(st.integers(0, 6) | st.just(65535), st.floats(0, 1), st.sampled_from([0.0, 1.0])),
        min_size=1,
        max_size=12,
    )
)
def test_no_gate_is_better_than_the_chosen_one(images):
    scores, kept, emptied = (np.array(column) for column in zip(*images, strict=True))
    scores = scores.astype(np.uint16)
    gate, value = best_gate(scores, kept, emptied)
    every = {g: np.where(scores >= g, kept, emptied).mean() for g in range(65536) if g < 9 or g > 65530}
    assert every.get(gate, np.where(scores >= gate, kept, emptied).mean()) == pytest.approx(value)
    assert value == pytest.approx(max(every.values()))
    assert value >= kept.mean() - 1e-9


def test_the_score_of_an_image_is_reached_by_a_share_of_its_pixels():
    codes = np.arange(10_000, dtype=np.uint16).reshape(100, 100)
    assert (codes >= image_score(codes)).sum() == 5
    assert image_score(codes[:3, :3]) == 202


def predictions(dataset):
    """Per-class maps; clean images have a false alarm that is weaker than any defect."""
    rng = np.random.default_rng(0)
    data = {}
    for role in ("val", "test"):
        maps = {i: noisy_codes(m, rng, shift=-1.3) for i, m in dataset.truth[role].items()}
        data[role] = dataset.predict(role, maps, classes=CLASSES)
    return data


def test_the_gate_empties_images_below_it_and_is_chosen_on_val(dataset):
    paths = predictions(dataset)
    truth = dataset.read()
    val = ValidationData(PredictionFile(paths["val"]), truth)
    calibration = calibrate(val, CalibrateSettings())
    gate = choose_gate(val, calibration)
    for index, name in enumerate(CLASSES):
        values = []
        for sample in val:
            mask = gate.apply(final_masks(sample.codes, calibration), sample.codes)[index]
            total = mask.sum() + sample.truth[index].sum()
            values.append(2 * (mask & sample.truth[index]).sum() / total if total else 1.0)
            if image_score(sample.codes[index]) < gate.codes[name]:
                assert not mask.any()
        assert gate.value[name] == pytest.approx(np.mean(values))
        assert gate.value[name] >= gate.value_without[name]
    with pytest.raises(TypeError, match="ValidationData only"):
        choose_gate(HeldOutData(PredictionFile(paths["test"]), truth), calibration)


def run(dataset, paths):
    truth = dataset.read()
    calibration = calibrate(ValidationData(PredictionFile(paths["val"]), truth), CalibrateSettings())
    write_json(dataset.folder / "calibration.json", vars(calibration))
    out = {name: dataset.folder / f"{name}.out" for name in ("joined", "separate", "report")}
    arguments = ["--val", paths["val"], "--test", paths["test"], "--calibration", dataset.folder / "calibration.json"]
    arguments += ["--manifest", dataset.manifest, "--split", dataset.split]
    arguments += [part for name, path in out.items() for part in (f"--{name}", path)]
    submission.main([str(argument) for argument in arguments])
    return out


def test_the_script_writes_both_layouts_and_prints_the_gain_over_nothing(dataset, capsys):
    out = run(dataset, predictions(dataset))
    printed = capsys.readouterr().out
    joined, separate = (read_submission(out[name], sizes_of(dataset)) for name in ("joined", "separate"))
    assert joined.keys() == separate.keys() == {(i, c) for i in dataset.truth["test"] for c in (1, 2)}
    for key, runs in joined.items():
        np.testing.assert_array_equal(runs, separate[key])
    report = read_json(out["report"])
    truth = true_runs(read_manifest(dataset.manifest), dataset.truth["test"])
    assert report["dice_kaggle"] == score_submission(joined, truth)["dice_kaggle"]
    assert f"dice_kaggle {report['dice_kaggle']:.4f}, {report['dice_kaggle_gain']:+.4f} over" in printed


def test_merged_maps_have_no_submission(dataset, capsys):
    maps = {
        r: {i: noisy_codes(m[:1], np.random.default_rng(0)) for i, m in dataset.truth[r].items()}
        for r in ("val", "test")
    }
    paths = {role: dataset.predict(role, own, classes=(MERGED,)) for role, own in maps.items()}
    with pytest.raises(SystemExit):
        run(dataset, paths)
    assert "train with task: per_class" in capsys.readouterr().err
