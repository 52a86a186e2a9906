"""Experiments that a study from a folder proposes, by labels, image size and hardware."""

from defectbench.config.proposal import SIZES, Hardware, propose_experiments


def proposed(size: str = "usual", cores: int = 2, gpus: int = 0, **more: object):
    values = {"n_train": 400, "n_classes": 2, "has_clean": True, "height": 256, "width": 1600}
    return propose_experiments(size, **values | more, hardware=Hardware(cores, gpus))


def test_larger_studies_train_more():
    small, usual, thorough = (proposed(size) for size in SIZES)
    assert small.trainings < usual.trainings < thorough.trainings
    assert small.hours < usual.hours < thorough.hours


def test_hardware_changes_the_budget():
    assert proposed(cores=2).defaults["images_seen"] < proposed(cores=16).defaults["images_seen"]
    assert proposed(gpus=1).defaults["images_seen"] == 96_000
    assert "sam2_head" in [entry.settings["model"] for entry in proposed(gpus=1).entries]


def test_large_images_are_trained_by_crops():
    defaults = proposed(height=12_000, width=16_400).defaults
    assert (defaults["mode"], defaults["crop"], defaults["prediction"]) == ("crops", "512x512", "tiles")
    assert "mode" not in proposed().defaults


def test_subsets_fit_the_labels():
    subsets = [entry.settings.get("subset", []) for entry in proposed("thorough", n_train=60).entries]
    assert max((step for subset in subsets for step in subset if step != "full"), default=0) < 60
    assert proposed(n_train=9).entries[0].settings["subset"] == ["full"]
