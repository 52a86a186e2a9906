"""Names of experiments: what they may be, what they stand for, and that no id depends on them."""

import pytest
from study_config import changed, problems_of

from defectbench.config.settings_files import write_settings_files
from defectbench.config.study import load_study

UNET = {"model": "unet", "encoder": "resnet18"}
UNET_ID = "unet-resnet18_full_none_native"
GRID = {**UNET, "name": "unet", "subset": [100, "full"], "lr": [0.001, 0.01]}
SEEDS = {**UNET, "name": "seeds", "encoder": "resnet34", "seed": [1, 2]}
DETECTOR = {"model": "yolov8", "name": "detector", "img_size": "64"}
SAM2 = {"model": "sam2", "name": "zero-shot", "init": "random"}


def study(*entries, **sections):
    return load_study(changed(experiments=list(entries), **sections))


def names(*entries):
    return [experiment.name for experiment in study(*entries).experiments]


def test_the_name_of_a_grid_takes_the_values_that_vary():
    assert names({**UNET, "name": "unet"}) == ["unet"]
    assert names(GRID) == [f"unet_subset-{subset}_lr-{lr}" for subset in (100, "full") for lr in (0.001, 0.01)]
    assert names({**UNET, "name": "unet", "lr": [0.1]}) == ["unet"]
    assert names({**GRID, "lr": 0.1, "seed": [1, 2]})[0] == "unet_subset-100_s1"
    assert names(SEEDS) == ["seeds_s1", "seeds_s2"]


def test_the_name_of_an_experiment_without_one_is_its_id():
    (experiment,) = study(UNET).experiments
    assert experiment.name == experiment.exp_id
    assert study(UNET, DETECTOR).names().names == {"yolov8-n_full_none_64_s42": "detector"}


def test_no_id_and_no_settings_file_of_a_training_depends_on_the_name(tmp_path):
    entries = [
        [
            {**UNET, "name": f"{word}-unet"},
            {**DETECTOR, "name": f"{word}-detector"},
            {**SAM2, "name": f"{word}-sam"},
            {"model": "cascade", "segmenter": f"{word}-sam", "prompts": {"from": f"{word}-detector"}},
            {"model": "ensemble", "members": [f"{word}-unet", "tophat_otsu_full_none_native"]},
            {"model": "tophat_otsu"},
        ]
        for word in ("a", "b")
    ]
    studies = [
        study(*part, report={"ablations": [[f"{word}-unet", "tophat_otsu_full_none_native_s42"]]})
        for word, part in zip("ab", entries, strict=True)
    ]
    first, second = ([experiment.exp_id for experiment in one.experiments] for one in studies)
    assert first == second
    for word, one in zip("ab", studies, strict=True):
        write_settings_files(one, tmp_path / word)
    differing = {
        path.name
        for path in (tmp_path / "a").rglob("*.yaml")
        if path.read_bytes() != (tmp_path / "b" / path.relative_to(tmp_path / "a")).read_bytes()
    }
    assert differing == {"names.yaml"}


def test_names_stand_for_ids_wherever_these_are_given(tmp_path):
    (tmp_path / "a.png").touch()
    entries = [
        *(GRID, SEEDS, DETECTOR, SAM2),
        {"model": "cascade", "name": "by-boxes", "segmenter": "zero-shot", "prompts": {"from": "detector"}},
        {"model": "cascade", "segmenter": "zero-shot", "prompts": {"from": "unet_subset-100_lr-0.01"}},
        {"model": "cascade", "segmenter": "zero-shot", "prompts": {"from": "all"}},
        {"model": "ensemble", "name": "all", "members": ["unet", "seeds_s2"]},
    ]
    found = study(
        *entries,
        report={"ablations": [["all", "seeds"], ["by-boxes", "unet_subset-full_lr-0.01"]]},
        predict_images={"images": str(tmp_path), "experiment": "all"},
    )
    ids = {experiment.name: experiment.exp_id for experiment in found.experiments}
    boxes, maps, mean = (one.settings for one in found.of_family("cascade"))
    assert boxes.segmenter == ids["zero-shot"]
    assert boxes.prompts.source == ids["detector"]
    assert maps.prompts.source == ids["unet_subset-100_lr-0.01"]
    assert mean.prompts.source == ids["all"] == found.predict_images.experiment
    (ensemble,) = found.of_family("ensemble")
    assert ensemble.settings.members == (*(ids[name] for name in names(GRID)), ids["seeds_s2"])
    # Seeds are averaged: any of them stands for all.
    assert found.report.ablations == (
        (ids["all"], ids["seeds_s1"]),
        (ids["by-boxes"], ids["unet_subset-full_lr-0.01"]),
    )


def test_a_name_without_a_seed_is_that_with_the_seed_of_the_cascade():
    segmenters = {**SAM2, "seed": [1, 2]}
    cascade = {"model": "cascade", "segmenter": "zero-shot", "prompts": {"from": "oracle"}, "seed": [1, 2]}
    found = study(segmenters, cascade).of_family("cascade")
    assert [one.settings.segmenter[-2:] for one in found] == ["s1", "s2"]
    (problem,) = problems_of(changed(experiments=[segmenters, {**cascade, "seed": 3}]))
    assert problem == "experiments.1.segmenter: no experiment 'zero-shot' with seed 3; seeds in this study: 1, 2"


@pytest.mark.parametrize("name", ["a/b", "..", "-a", "", "a b", "x" * 61, 5, ["a", "b"]])
def test_names_that_are_no_names_are_refused(name):
    assert problems_of(changed(experiments=[{**UNET, "name": name}]))[0].startswith("experiments.0.name: ")


@pytest.mark.parametrize("name", ["oracle", "fixed", "full", "none"])
def test_reserved_words_are_no_names(name):
    (problem,) = problems_of(changed(experiments=[{**UNET, "name": name}]))
    assert problem == f"experiments.0.name: {name!r} has a meaning of its own; choose another name"


@pytest.mark.parametrize(
    ("entries", "expected"),
    [
        (
            [{**UNET, "name": "a"}, {**DETECTOR, "name": "a"}],
            "experiments.1.name: 'a' is also the name of experiments.0",
        ),
        (
            [GRID, {**DETECTOR, "name": "unet_subset-100_lr-0.01"}],
            "experiments.1.name: 'unet_subset-100_lr-0.01' is also the name of experiments.0",
        ),
        ([GRID, {**DETECTOR, "name": "unet"}], "experiments.1.name: 'unet' is also the name of experiments.0"),
        (
            [{**DETECTOR, "name": "unet-resnet18_full_none_native"}, UNET],
            "experiments.0.name: 'unet-resnet18_full_none_native' is the id of experiments.1; choose another name",
        ),
    ],
)
def test_a_name_refers_to_one_entry(entries, expected):
    assert problems_of(changed(experiments=entries))[0].startswith(expected)


def test_a_name_is_no_default():
    assert problems_of(changed(defaults={"name": "a"}))[0].startswith("defaults.name: unknown key")


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        (
            {
                "experiments": [
                    DETECTOR,
                    SAM2,
                    {"model": "cascade", "segmenter": "zero-shot", "prompts": {"from": "detektor"}},
                ]
            },
            "experiments.2.prompts.from: no experiment 'detektor'; did you mean 'detector'? ",
        ),
        (
            {"experiments": [SAM2, {"model": "cascade", "segmenter": "zeroshot", "prompts": {"from": "oracle"}}]},
            "experiments.1.segmenter: no experiment 'zeroshot'; did you mean 'zero-shot'? ",
        ),
        (
            {"experiments": [SEEDS, {"model": "ensemble", "members": ["seeds_s1", "seeds_s3"]}]},
            "experiments.1.members: no experiment 'seeds_s3'; did you mean 'seeds_s2'? ",
        ),
        (
            {"experiments": [UNET, {"model": "ensemble", "members": [UNET_ID, f"{UNET_ID}_s42"]}]},
            f"experiments.1.members: all of them are {UNET_ID}_s42; give at least two experiments",
        ),
        (
            {"experiments": [SEEDS, DETECTOR], "report": {"ablations": [["seed", "seeds"]]}},
            "report.ablations.0: no experiment 'seed'; did you mean 'seeds_s2'? ",
        ),
        (
            {"experiments": [GRID, UNET], "report": {"ablations": [["unet", "unet-resnet18_full_none_native_s42"]]}},
            "report.ablations.0: 'unet' stands for 4 experiments; give one of them: unet_subset-100_lr-0.001, ",
        ),
    ],
)
def test_references_to_no_or_several_experiments_are_refused_with_the_names_there_are(changes, expected):
    assert problems_of(changed(**changes))[0].startswith(expected)


def test_predict_images_names_what_there_is(tmp_path):
    (tmp_path / "a.png").touch()
    predict_images = {"images": str(tmp_path), "experiment": "unet"}
    (problem,) = problems_of(changed(experiments=[{**UNET, "name": "u-net"}], predict_images=predict_images))
    assert problem.startswith("predict_images.experiment: no experiment 'unet'; did you mean 'u-net'? ")


def test_a_shared_training_has_the_name_that_its_own_entry_gives_it():
    entries = {**UNET, "name": "tta", "tta": "hflip"}, {**UNET, "name": "plain"}
    assert [experiment.name for experiment in study(*entries).trained()] == ["tta", "plain"]
    assert [experiment.name for experiment in study(entries[0]).trained()] == [
        "tta",
        "unet-resnet18_full_none_native_s42",
    ]
