"""Channels and depth in a study: what images have, what models see, and what cannot be."""

import pytest
import yaml
from study_config import BASE, changed, problems_of

from defectbench.config.ingest import read_dataset_settings
from defectbench.config.settings_files import write_settings_files
from defectbench.config.study import load_study


def study(*experiments, **dataset):
    return changed(dataset=BASE["dataset"] | dataset, experiments=list(experiments))


@pytest.mark.parametrize(
    "entry",
    [
        {"model": "yolov8-seg"},
        {"model": "sam2", "size": "tiny", "prompt": "full_box"},
        {"model": "sam2_head", "size": "tiny"},
        {"model": "sam3", "phrases": "spot"},
    ],
)
def test_families_of_three_must_be_told_which(entry):
    (problem,) = problems_of(study(entry, channels=5))
    assert "takes one channel, repeated, or three, and images have 5" in problem
    assert "input_channels: [0, 1, 2]" in problem
    for channels in ([0, 2, 4], [3]):
        (experiment,) = load_study(study(entry | {"input_channels": channels}, channels=5)).experiments
        assert f"_input-channels-{'+'.join(map(str, channels))}_" in experiment.exp_id
    load_study(study(entry))


def test_networks_and_references_of_any_channels_need_no_word():
    entries = [{"model": "unet", "encoder": "resnet18"}, {"model": "tophat_otsu"}]
    assert len(load_study(study(*entries, channels=5)).experiments) == 2


@pytest.mark.parametrize(("channels", "n_channels"), [([5], 5), ([0, 3], None)])
def test_channels_that_images_do_not_have(channels, n_channels):
    (problem,) = problems_of(study({"model": "unet", "input_channels": channels}, channels=n_channels))
    assert f"channels {channels}: images have {n_channels or 3}, counted from 0" in problem


@pytest.mark.parametrize("channels", [[], [1, 1], [-1]])
def test_channels_that_are_none(channels):
    assert any(
        "channels" in line for line in problems_of(study({"model": "unet", "input_channels": [channels]}, channels=5))
    )


def test_a_list_of_channels_is_one_value_and_a_list_of_lists_a_grid():
    lists = [[0, 1, 2], [0, 1, 2, 3]]
    experiments = load_study(study({"model": "unet", "input_channels": lists}, channels=4)).experiments
    assert [list(one.settings.input_channels) for one in experiments] == lists
    assert len({one.exp_id for one in experiments}) == 2


def test_without_the_keys_settings_files_and_ids_are_what_they_were(tmp_path):
    plain = load_study(study({"model": "unet", "encoder": "resnet18"}))
    write_settings_files(plain, tmp_path)
    (experiment,) = plain.experiments
    assert experiment.exp_id == "unet-resnet18_full_none_native_s42"
    folder = tmp_path / "runs" / "d" / "settings"
    assert not (folder / "scaling.yaml").exists()
    train = tmp_path / "runs" / "d" / "unet" / experiment.exp_id / "settings" / "train.yaml"
    for path in (folder / "ingest.yaml", train):
        assert not {"scaling", "channels", "input_channels", "pages"} & yaml.safe_load(path.read_text()).keys()


def test_other_limits_are_in_a_file_of_their_own(tmp_path):
    texts = []
    for scaling in ({}, {"percentiles": [1, 99]}, {"limits": [0, 4095]}):
        write_settings_files(load_study(study({"model": "unet"}, scaling=scaling)), tmp_path)
        folder = tmp_path / "runs" / "d" / "settings"
        texts.append(((folder / "ingest.yaml").read_text(), yaml.safe_load((folder / "scaling.yaml").read_text())))
    assert len({ingest for ingest, _ in texts}) == 1
    assert [scaling for _, scaling in texts] == [
        {"percentiles": [0.1, 99.9]},
        {"percentiles": [1.0, 99.0]},
        {"limits": [0.0, 4095.0]},
    ]
    assert read_dataset_settings(folder / "ingest.yaml").measures_pixels
