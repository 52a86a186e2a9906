"""Masks as PNG, and out-of-fold probabilities as an array."""

import cv2
import export_masks
import export_oof
import numpy as np
import pandas as pd
import pytest
from evaluation_fixtures import CLASSES, make_dataset, noisy_maps, random_truth

from defectbench.config.base import MERGED
from defectbench.config.calibrate import CalibrateSettings
from defectbench.evaluation.calibration import calibrate
from defectbench.files import write_json
from defectbench.inference.prediction_file import PredictionHeader, write_predictions
from defectbench.metrics.codes import STEPS_PER_LOGIT, threshold_code


def export(tmp_path, classes, policy):
    dataset = make_dataset(tmp_path / "data", random_truth())
    maps = noisy_maps(dataset.truth, merged=classes == (MERGED,))
    val, _ = dataset.predict_both(maps, classes=classes)
    calibration = calibrate(val, CalibrateSettings(post_processing="none"))
    write_json(tmp_path / "calibration.json", vars(calibration))
    paths = {role: dataset.predict(role, maps[role], classes=classes) for role in ("val", "test")}
    options = {"val": paths["val"], "test": paths["test"], "calibration": tmp_path / "calibration.json"}
    options |= {"manifest": dataset.manifest, "split": dataset.split, "policy": policy, "out": tmp_path / "masks"}
    export_masks.main([part for key, value in options.items() for part in (f"--{key}", str(value))])
    return maps, calibration


@pytest.mark.parametrize("classes", [CLASSES, (MERGED,)])
def test_masks_of_val_and_test_are_those_of_the_policy(tmp_path, classes):
    maps, calibration = export(tmp_path, classes, "calibrated")
    for role, by_image in maps.items():
        for image_id, codes in by_image.items():
            for value, (plane, k) in enumerate(zip(codes, calibration.thresholds.values(), strict=True), start=1):
                folder = tmp_path / "masks" / role / ("" if classes == (MERGED,) else str(value))
                mask = cv2.imread(str(folder / f"{image_id}.png"), cv2.IMREAD_UNCHANGED)
                np.testing.assert_array_equal(mask, 255 * (plane >= threshold_code(k)))
    n_files = sum(len(by_image) for by_image in maps.values()) * len(classes)
    assert len(list((tmp_path / "masks").rglob("*.png"))) == n_files


def test_a_policy_that_the_study_has_not_is_refused(tmp_path, capsys):
    with pytest.raises(SystemExit):
        export(tmp_path, CLASSES, "imposed")
    assert "no masks are imposed in this study; there are: calibrated, at_0.5" in capsys.readouterr().err
    assert not (tmp_path / "masks").exists()


def write_oof(path, sizes):
    rng = np.random.default_rng(0)
    maps = {f"{i}.png": rng.integers(0, 65536, (2, *size)).astype(np.uint16) for i, size in enumerate(sizes)}
    with write_predictions(path, PredictionHeader("val", CLASSES, True)) as writer:
        for image_id, codes in maps.items():
            writer.add(image_id, codes)
    return maps


def export_array(tmp_path):
    options = {"predictions": "oof.pred.parquet", "array": "a.npy", "ids": "a.csv"}
    export_oof.main([part for key, name in options.items() for part in (f"--{key}", str(tmp_path / name))])


def test_the_array_has_the_probabilities_of_every_image_in_the_order_of_the_ids(tmp_path):
    maps = write_oof(tmp_path / "oof.pred.parquet", [(6, 9)] * 3)
    export_array(tmp_path)
    array, ids = np.load(tmp_path / "a.npy"), pd.read_csv(tmp_path / "a.csv")["image_id"]
    assert (array.shape, array.dtype) == ((3, 2, 6, 9), np.float16)
    assert list(ids) == list(maps)
    for probabilities, codes in zip(array, maps.values(), strict=True):
        expected = 1 / (1 + np.exp(-(codes.astype(float) - 32768) / STEPS_PER_LOGIT))
        # Half precision, and codes rounded to cells where they are stored.
        np.testing.assert_allclose(probabilities, expected, atol=2e-3)


def test_images_of_several_sizes_are_no_array(tmp_path, capsys):
    write_oof(tmp_path / "oof.pred.parquet", [(6, 9), (6, 8)])
    with pytest.raises(SystemExit):
        export_array(tmp_path)
    assert "1.png: images of 6 × 9 and 6 × 8 pixels do not fit into one array" in capsys.readouterr().err
    assert not (tmp_path / "a.npy").exists()
