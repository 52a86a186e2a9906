"""Experiment ids are bounded, stable and unique, whatever the settings."""

import re

import pytest
from study_config import changed

from defectbench.config.experiment import MAX_ID_LENGTH
from defectbench.config.settings_files import write_settings_files
from defectbench.config.study import load_study

# A configuration after the winners of a Kaggle competition: ids with all its settings have up to 266 characters.
DEFAULTS = {
    **{"task": "per_class", "encoder": "efficientnet-b3", "encoder_weights": "imagenet", "optimizer": "adam"},
    **{"schedule": "plateau", "lr": 0.0005, "epochs": 100, "loss": "bce75_dice25", "pos_weight": {"a": 2.0, "b": 1.5}},
}
CROPS = {"model": ["unet", "unetplusplus", "fpn"], "mode": "crops", "crop": "256x512"}
TILES = {"mode": "pre_crops", "crop": "256x512", "stride": 256, "prediction": "tiles", "overlap": 255}
FOLDS = {"model": "unet", **TILES, "cv": 5, "tta": ["none", "hflip"]}


def load(*entries, **defaults):
    return load_study(changed(experiments=list(entries), defaults=DEFAULTS | defaults))


def test_long_ids_keep_their_head_and_end_in_a_digest_folds_and_seed():
    experiments = load(CROPS, FOLDS).experiments
    ids = [experiment.exp_id for experiment in experiments]
    assert all(len(experiment.unabridged_id) > MAX_ID_LENGTH for experiment in experiments)
    assert len(set(ids)) == len(ids) == 5
    assert max(map(len, ids)) <= MAX_ID_LENGTH
    for exp_id in ids[:3]:
        assert re.fullmatch(r"\w+-efficientnet-b3_full_none_native_task-per-class_mode-crops.*_[0-9a-f]{8}_s42", exp_id)
    for exp_id in ids[3:]:
        assert re.fullmatch(r"unet-efficientnet-b3_full_none_native_.*_[0-9a-f]{8}_cv5_s42", exp_id)


def test_a_long_id_is_the_same_in_every_study_and_version():
    assert load(CROPS).experiments[0].exp_id == (
        "unet-efficientnet-b3_full_none_native_task-per-class_mode-crops_optimizer-adam_lr-0.0005_81e14023_s42"
    )
    assert load(CROPS).experiments[0].exp_id == load(FOLDS, CROPS).experiments[2].exp_id


def test_seeds_share_all_but_the_end_of_a_long_id():
    study = load({**CROPS, "model": "unet", "seed": [1, 22, 333_333_333]})
    first, *others = study.experiments
    assert {one.id_without_seed for one in others} == {first.id_without_seed}
    assert set(study.experiment_of().values()) == {f"{first.id_without_seed}_s1+22+333333333"}
    assert [one.exp_id.removeprefix(first.id_without_seed) for one in study.experiments] == [
        "_s1",
        "_s22",
        "_s333333333",
    ]


def test_a_long_id_without_its_seed_stands_for_all_seeds():
    entry = {**CROPS, "model": "unet", "seed": [1, 2]}
    first, second = load(entry).experiments
    (ensemble,) = load(entry, {"model": "ensemble", "members": [first.id_without_seed, second.exp_id]}).of_family(
        "ensemble"
    )
    assert ensemble.settings.members == ensemble.traits.members == (first.exp_id, second.exp_id)


@pytest.mark.parametrize("length", range(MAX_ID_LENGTH - 12, MAX_ID_LENGTH + 2))
def test_the_length_of_a_seed_shortens_no_id(length):
    encoder = "tu-" + "a" * (length - len("unet-tu-_full_none_native_s1"))
    study = load_study(changed(experiments=[{"model": "unet", "encoder": encoder, "seed": [1, 42, 2**32 - 1]}]))
    assert len({one.id_without_seed for one in study.experiments}) == 1
    assert max(len(one.exp_id) for one in study.experiments) <= MAX_ID_LENGTH
    assert len(set(study.experiment_of().values())) == 1


def test_the_named_parts_are_kept_even_if_the_first_is_too_long():
    entry = {"model": "unet", "encoder": "tu-" + "a" * 150, "seed": 2**32 - 1}
    (experiment,) = load_study(changed(experiments=[entry])).experiments
    assert len(experiment.exp_id) == MAX_ID_LENGTH
    assert re.fullmatch(r"unet-tu-a+_full_none_native_[0-9a-f]{8}_s4294967295", experiment.exp_id)


def test_the_id_of_an_ensemble_depends_on_all_settings_of_members_with_long_ids():
    def exp_id(pos_weight):
        values = {"pos_weight": {"a": 2.0, "b": pos_weight}}
        members = [experiment.exp_id for experiment in load(CROPS, **values).experiments]
        return load(CROPS, {"model": "ensemble", "members": members}, **values).experiments[-1].exp_id

    assert exp_id(1.5) == exp_id(1.5) != exp_id(1.6)


def test_files_of_long_ids_can_be_written(tmp_path):
    study = load(CROPS, FOLDS)
    write_settings_files(study, tmp_path)
    assert len(list(tmp_path.glob("runs/*/*/*/settings/train.yaml"))) == len(study.trained()) == 6
    assert len(list(tmp_path.glob("runs/*/*/*/fold4/settings/train.yaml"))) == 3
