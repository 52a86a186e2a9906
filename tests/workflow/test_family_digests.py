"""An edit in one family's folder makes the results of no other family stale, but of those that are built on it."""

import pytest
from tiny_study import ROOT

from defectbench.code_digest import CodeDigests
from defectbench.config.families.registry import FAMILIES

SCRIPTS = sorted((ROOT / "workflow" / "scripts").glob("*.py"))
# Scripts that run a family's code; a head on SAM 2's encoder and cascades are built on the sam2 family.
CODE_OF = {
    "unet": {"train_unet", "predict_unet"},
    "yolo": {"train_yolo", "predict_yolo", "predict_yolo_boxes", "yolo_weights"},
    "sam2": {
        *("train_sam2", "predict_sam2", "weights_sam2", "train_sam2_head", "predict_sam2_head"),
        "predict_cascade",
    },
    "sam2_head": {"train_sam2_head", "predict_sam2_head"},
    "sam3": {"train_sam3", "predict_sam3", "weights_sam3"},
    "cascade": {"cascade_prompts", "predict_cascade"},
    "ensemble": {"average_members", "cv_gather"},
    "reference": {"train_reference", "predict_reference"},
}


@pytest.fixture(scope="module")
def closures() -> dict[str, set[str]]:
    """Library modules that each script runs."""
    digests = CodeDigests()
    return {path.stem: digests.modules(path) for path in SCRIPTS}


def test_every_family_is_known_here():
    assert set(CODE_OF) == set(FAMILIES)


@pytest.mark.parametrize("family", FAMILIES)
def test_code_of_a_family_is_in_the_digests_of_its_own_scripts_alone(family, closures):
    package = f"defectbench.families.{family}"
    users = {
        script
        for script, modules in closures.items()
        if any(module == package or module.startswith(f"{package}.") for module in modules)
    }
    assert users == CODE_OF[family]


@pytest.mark.parametrize("family", [family for family, settings in FAMILIES.items() if settings.jobs])
def test_prediction_code_of_a_family_does_not_retrain_it(family, closures):
    predictor = f"defectbench.families.{family}.predictor"
    assert predictor in closures[f"predict_{family}"]
    assert predictor not in closures[f"train_{family}"]


def test_the_registry_of_families_is_in_no_digest_but_that_of_new_images(closures):
    users = {script for script, modules in closures.items() if "defectbench.families.registry" in modules}
    assert users == {"predict_images"}
