"""The studies in config/ are valid, and hold what they say: every model at every number of labels, every step."""

import pytest
import yaml
from tiny_study import ROOT

from defectbench.config import study as study_module
from defectbench.config.study import Study, load_study

STUDIES = sorted(path.stem for path in (ROOT / "config").glob("*.yaml"))
SUBSETS = {100, 200, 500, 1000, 2000, 4000, "full"}


@pytest.fixture
def load(monkeypatch):
    """Load a study as if its data were there."""
    monkeypatch.setattr(study_module, "missing_files", lambda dataset, configfile: [])

    def loaded(name: str) -> Study:
        return load_study(yaml.safe_load((ROOT / "config" / f"{name}.yaml").read_text(encoding="utf-8")))

    return loaded


@pytest.mark.parametrize("name", STUDIES)
def test_every_study_is_valid(name, load):
    study = load(name)
    ids = [experiment.exp_id for experiment in study.experiments]
    assert len(ids) == len(set(ids)) > 0


def test_severstal_has_every_model_at_every_number_of_labels(load):
    found: dict[tuple[str, str], set[int | str]] = {}
    for experiment in load("severstal").experiments:
        kind = (experiment.model, getattr(experiment.settings, "tune", ""))
        found.setdefault(kind, set()).add(experiment.subset)
    networks = [(name, "") for name in ("unet", "unetplusplus", "dsc_unet", "yolov8-seg")]
    tuned = [("sam2", "full"), ("sam2", "lora"), ("sam2_head", "head"), ("sam2_head", "lora")]
    assert {kind: found[kind] for kind in networks + tuned} == dict.fromkeys(networks + tuned, SUBSETS)
    assert found[("sam2", "none")] == {"full"}
    assert {"yolov8", "cascade", "all_empty"} <= {model for model, _ in found}


@pytest.mark.parametrize("name", STUDIES)
def test_zero_shot_sam2_also_sees_images_as_its_weights_were_trained(name, load):
    sizes: dict[tuple[str, str], set[str]] = {}
    for experiment in load(name).of_family("sam2"):
        settings = experiment.settings
        if settings.tune == "none" and settings.init == "pretrained":
            sizes.setdefault((settings.size, settings.prompt), set()).add(f"{settings.img_size} {settings.resize}")
    assert set(map(frozenset, sizes.values())) <= {frozenset({"native native", "1024 squash"})}


def test_the_competition_baseline_has_every_step(load):
    study = load("severstal_baseline")
    networks = study.of_family("unet")
    assert {e.model for e in networks if not e.cv} == {
        *("unet", "unetplusplus", "fpn", "linknet", "pspnet", "deeplabv3", "deeplabv3plus")
    }
    losses = {(e.settings.loss, isinstance(e.settings.pos_weight, dict)) for e in networks}
    assert {("bce", False), ("dice", False), ("combo", False), ("bce", True), ("bce75_dice25", True)} <= losses
    assert {e.settings.mode for e in networks} == {"full", "crops", "pre_crops"}
    assert {(e.model, e.settings.tta) for e in networks if e.cv == 5} == {
        (model, tta) for model in ("unet", "fpn", "deeplabv3plus") for tta in ("none", "hflip")
    }
    assert len(study.of_family("ensemble")) == 2
    # The mirrored view costs no training.
    assert len(study.trained()) == len(study.experiments)


def test_the_severstal_studies_are_of_the_same_images(load):
    studies = [load(name) for name in STUDIES]
    steel = [study for study in studies if study.dataset.name == "severstal"]
    assert len(steel) >= 4
    assert len({study.dataset.model_dump_json() for study in steel}) == 1
    splits = [study.split.model_dump() for study in steel]
    assert all({**split, "n_folds": 0} == {**splits[0], "n_folds": 0} for split in splits)
