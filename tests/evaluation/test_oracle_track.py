"""The oracle track: predictions of defective images alone, and no metric in which clean images have a part."""

import numpy as np
import pytest
from evaluation_fixtures import CLASSES, make_dataset, noisy_maps, random_truth

from defectbench.config.calibrate import CalibrateSettings
from defectbench.config.score import ScoreSettings
from defectbench.evaluation.calibration import calibrate
from defectbench.evaluation.scoring import score
from defectbench.evaluation.summary import OF_CLEAN, summarise
from defectbench.evaluation.truth import EvaluationError, HeldOutData, ValidationData
from defectbench.inference.prediction_file import PredictionFile, PredictionHeader, write_predictions
from defectbench.metrics.names import full_name

ROLES = {"val": ValidationData, "test": HeldOutData}


@pytest.fixture
def dataset(tmp_path):
    return make_dataset(tmp_path / "data", random_truth())


def predict(dataset, role, image_ids):
    maps = noisy_maps(dataset.truth, merged=False)[role]
    path = dataset.folder / f"{role}.pred.parquet"
    with write_predictions(path, PredictionHeader(role, CLASSES, True, defective_only=True)) as writer:
        for image_id in image_ids:
            writer.add(image_id, maps[image_id])
    return ROLES[role](PredictionFile(path), dataset.read())


def defective(dataset, role):
    return sorted(image_id for image_id, masks in dataset.truth[role].items() if masks.any())


def test_exactly_the_defective_images_are_to_be_predicted(dataset):
    chosen = defective(dataset, "test")
    assert 0 < len(chosen) < len(dataset.truth["test"]), "the test needs clean images too"
    assert predict(dataset, "test", chosen).ids == chosen
    with pytest.raises(EvaluationError, match="missing: 1 image"):
        predict(dataset, "test", chosen[1:])
    with pytest.raises(EvaluationError, match="not in test"):
        predict(dataset, "test", sorted(dataset.truth["test"]))


def test_metrics_of_clean_images_are_null_and_the_others_are_as_ever(dataset):
    val, test = (predict(dataset, role, defective(dataset, role)) for role in ROLES)
    calibration = calibrate(val, CalibrateSettings())
    scores = score(val, test, calibration, ScoreSettings())
    plain, oracle = (
        summarise(scores, calibration, "digest", ScoreSettings(), oracle=is_oracle) for is_oracle in (False, True)
    )
    undefined = {
        full_name(name, role, suffix) for name in OF_CLEAN for role in ROLES for suffix in ("", "_at_0.5", "_pp")
    }
    for found in (oracle, *oracle["per_class"].values()):
        assert {full_name(name, "test", "") for name in OF_CLEAN} & found.keys()
        assert all(found[name] is None for name in undefined & found.keys())
    assert {name for name in plain if name != "per_class" and plain[name] != oracle[name]} <= undefined
    assert plain["dice_all"] is not None
    assert oracle["n_test"] == oracle["n_test_defective"] == len(defective(dataset, "test"))
    assert np.isfinite(oracle["test_Dice"])
