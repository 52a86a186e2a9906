"""Budgets of the shipped studies, computed from their expanded configurations: equal for all families."""

import math
from dataclasses import dataclass

import pytest
import yaml
from tiny_study import ROOT

from defectbench.config.budget import BudgetSettings
from defectbench.config.expansion import expand
from defectbench.config.families.registry import FAMILIES
from defectbench.reporting.budgets import LARGEST_RATIO

STUDIES = sorted(path.stem for path in (ROOT / "config").glob("*.yaml"))
# Training images with all labels, of the shipped splits.
N_TRAIN = {"severstal": 10_054, "cracks": 8_960, "neu_seg": 2_209, "steel_demo": 336}
TILES = 6
"""Of an image in the mode pre_crops of severstal_baseline.yaml."""


@dataclass(frozen=True)
class Budget:
    """Budget of one training."""

    entry: str
    subset: int | str
    settings: BudgetSettings
    n_samples: int

    @property
    def per_step(self) -> int:
        return self.settings.images_per_step(self.n_samples)

    @property
    def steps(self) -> int:
        return self.settings.count_steps(self.n_samples)

    @property
    def images(self) -> int:
        return self.steps * self.per_step

    @property
    def passes(self) -> float:
        return self.images / self.n_samples

    @property
    def evaluations(self) -> int:
        return math.ceil(self.steps / self.settings.eval_interval(self.n_samples))


def budgets(study: str) -> list[Budget]:
    """One for every trained network of a shipped study."""
    config, problems = yaml.safe_load((ROOT / "config" / f"{study}.yaml").read_text()), []
    experiments = expand(config["experiments"], config.get("defaults") or {}, problems)
    assert problems == []
    full = N_TRAIN[config["dataset"]["name"]]
    return [
        Budget(one.entry, one.subset, one.settings, size * (TILES if one.traits.tile_pack else 1))
        for one in experiments
        if isinstance(one.settings, BudgetSettings) and one.traits.uses_labels
        for size in [full if one.subset == "full" else one.subset]
    ]


def test_every_trained_family_has_the_common_budget_keys_and_defaults():
    trained = {name: family for name, family in FAMILIES.items() if issubclass(family, BudgetSettings)}
    assert set(trained) == {"unet", "yolo", "sam2", "sam2_head", "sam3"}
    for key in ("images_seen", "epochs", "steps", "eval_every", "patience", "warmup"):
        assert {family.model_fields[key].default for family in trained.values()} == {
            BudgetSettings.model_fields[key].default
        }


@pytest.mark.parametrize("study", STUDIES)
def test_all_trainings_of_a_study_see_equal_numbers_of_images_in_full_batches(study):
    found = budgets(study)
    images = [one.images for one in found]
    assert max(images) <= LARGEST_RATIO * min(images)
    # Whole steps complete the budget; no more than that.
    assert all(one.settings.images_seen <= one.images < one.settings.images_seen + one.per_step for one in found)
    assert min(one.per_step for one in found) >= 8
    assert len({one.per_step for one in found}) == 1


@pytest.mark.parametrize("study", STUDIES)
def test_all_trainings_of_a_study_are_evaluated_equally_often_and_never_stopped_early(study):
    found = budgets(study)
    assert len({one.evaluations for one in found}) == 1
    assert {one.settings.patience for one in found} == {None}


def test_the_search_has_as_many_trials_for_every_entry_and_the_study_has_them_all():
    searched = [one.entry for one in budgets("severstal_search")]
    assert {searched.count(entry) for entry in searched} == {4}
    trained = {one.entry for one in budgets("severstal")}
    # Boxes of a detector have no IoU with masks: it cannot be searched with the others.
    assert set(searched) == trained - {"detector"}
    assert {one.entry for one in budgets("sam2_subsets")} <= set(searched)
    grids = {one.entry: set() for one in budgets("severstal_search")}
    settings = {one.entry: one.settings for one in budgets("severstal") if one.subset == "full"}
    for one in budgets("severstal_search"):
        other = settings[one.entry]
        if type(other) is type(one.settings) and other.model == one.settings.model:
            assert other.model_copy(update={"lr": one.settings.lr}) == one.settings
        grids[one.entry].add(one.settings.lr)
    assert {len(rates) for rates in grids.values()} == {4}


def test_the_table_of_the_documentation_is_that_of_the_study():
    lines = (ROOT / "docs" / "training_modes.md").read_text().splitlines()
    by_entry: dict[str, dict] = {}
    for one in budgets("severstal"):
        by_entry.setdefault(one.entry, {})[one.subset] = one
    for entry, by_subset in by_entry.items():
        last = by_subset["full"]
        cells = [f"`{entry}`", f"{last.images:,}", str(last.per_step), str(last.evaluations)]
        for subset in (100, 1000, "full"):
            one = by_subset.get(subset)
            cells.append(f"{one.steps:,} ({one.passes:.3g})" if one else "–")
        assert f"| {' | '.join(cells)} |" in lines


@pytest.mark.parametrize(
    ("keys", "n_images", "steps", "interval"),
    [
        # 96,000 images by 8.
        ({}, 100, 12_000, 600),
        ({}, 10_054, 12_000, 600),
        ({"images_seen": 100}, 50, 13, 1),
        ({"images_seen": 100, "accumulate": 3}, 50, 5, 1),
        # Fewer images than in a batch.
        ({"images_seen": 100}, 5, 20, 1),
        ({"epochs": 3}, 100, 38, 2),
        ({"steps": 7, "eval_every": 3}, 100, 7, 3),
    ],
)
def test_budgets_in_each_unit_are_counted_in_steps(keys, n_images, steps, interval):
    settings = FAMILIES["unet"].model_validate({"model": "unet"} | keys)
    assert (settings.count_steps(n_images), settings.eval_interval(n_images)) == (steps, interval)


@pytest.mark.parametrize(
    ("keys", "step"),
    [
        ({"warmup": 0.1}, 70),
        ({"schedule": "one_cycle", "warmup": 0.3}, 210),
        # Cycles of 100, 200 and 400 steps.
        ({"schedule": "cosine_restarts", "cycles": 3}, 300),
        ({"schedule": "plateau"}, 0),
    ],
)
def test_the_last_peak_of_the_learning_rate(keys, step):
    assert FAMILIES["unet"].model_validate({"model": "unet"} | keys).last_peak(700) == step


@pytest.mark.parametrize("own", [{"epochs": 3}, {"steps": 5}, {"images_seen": 40}])
@pytest.mark.parametrize("default", [{"images_seen": 96_000}, {"steps": 7}])
@pytest.mark.parametrize("model", ["unet", "yolov8-seg"])
def test_the_budget_of_an_entry_replaces_the_default_one_in_any_unit(model, own, default):
    problems = []
    plain, changed = expand([{"model": model, "seed": 1}, {"model": model, **own}], default, problems)
    assert problems == []
    for settings, expected in ((plain.settings, default), (changed.settings, own)):
        assert settings.model_dump(include={"images_seen", "epochs", "steps"}, exclude_none=True) == expected
    assert {"images_seen", "epochs", "steps"} - own.keys() <= changed.settings.inactive_keys


@pytest.mark.parametrize("keys", [{"epochs": 3, "steps": 5}, {"images_seen": 5, "steps": 5}, {"images_seen": None}])
def test_a_budget_in_two_units_or_none_is_refused(keys):
    problems = []
    expand([{"model": "unet", **keys}], {}, problems)
    assert len(problems) == 1
    assert "give one of" in problems[0]
