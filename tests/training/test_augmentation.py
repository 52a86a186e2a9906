"""The augmentation that all families share does to images and masks what its settings say."""

import cv2
import numpy as np
import pytest
from pydantic import ValidationError
from study_config import changed

from defectbench.config.augment import AugmentSettings
from defectbench.config.families.unet import UNetSettings
from defectbench.config.study import load_study
from defectbench.training.augmentation import make_augmentation

IMAGE = cv2.GaussianBlur(np.random.default_rng(0).integers(0, 256, (48, 80), np.uint8), (0, 0), 3)
MASK = (IMAGE > 128).astype(np.uint8)
NOTHING = dict.fromkeys(("hflip", "vflip", "rotate", "tone", "noise", "blur"), 0.0)


def augmented(seed=0, **steps):
    augmentation = make_augmentation(AugmentSettings(**{**NOTHING, **steps}))
    augmentation.set_random_seed(seed)
    actual = augmentation(image=IMAGE, mask=MASK)
    return actual["image"], actual["mask"]


@pytest.mark.parametrize(("step", "flip"), [("hflip", np.fliplr), ("vflip", np.flipud)])
def test_flips_mirror_image_and_mask_alike(step, flip):
    image, mask = augmented(**{step: 1.0})
    np.testing.assert_array_equal(image, flip(IMAGE))
    np.testing.assert_array_equal(mask, flip(MASK))


def test_masks_turn_with_the_image_and_stay_masks():
    for seed in range(10):
        image, mask = augmented(seed, rotate=1.0, degrees=20)
        assert set(np.unique(mask)) <= {0, 1}
        # The image is smooth: where it is bright, the mask is set, but for the edge of a pixel.
        assert ((image > 128) == mask.astype(bool)).mean() > 0.97


@pytest.mark.parametrize("steps", [{"tone": 1.0}, {"noise": 1.0}, {"blur": 1.0}])
def test_pixel_transforms_do_not_change_masks(steps):
    image, mask = augmented(**steps)
    assert (image != IMAGE).any()
    np.testing.assert_array_equal(mask, MASK)


def test_noise_has_the_given_strength():
    flat = np.full((200, 200), 128, np.uint8)
    augmentation = make_augmentation(AugmentSettings(**{**NOTHING, "noise": 1.0, "noise_std": 0.04}))
    actual = []
    for seed in range(20):
        augmentation.set_random_seed(seed)
        actual.append(augmentation(image=flat)["image"].std())
    assert 0.9 * 255 * 0.01 < min(actual) < max(actual) < 1.1 * 255 * 0.04


def test_steps_happen_as_often_as_they_say():
    flipped = sum((augmented(seed, hflip=0.3)[0] != IMAGE).any() for seed in range(400))
    # Four standard deviations.
    assert abs(flipped - 120) < 4 * np.sqrt(400 * 0.3 * 0.7)


def test_steel_never_turns_the_strip_upside_down():
    augmentation = make_augmentation(AugmentSettings())
    top = np.repeat(np.arange(48, dtype=np.uint8)[:, None] * 5, 80, axis=1)
    for seed in range(60):
        augmentation.set_random_seed(seed)
        image = augmentation(image=top)["image"].astype(int)
        assert image[:8].mean() < image[-8:].mean()


def test_no_augmentation_is_none():
    assert make_augmentation(AugmentSettings.model_validate("none")) is None


@pytest.mark.parametrize(
    ("given", "written"),
    [
        ("steel", "steel"),
        ({}, "steel"),
        ({"hflip": 0.5}, "steel"),
        ("none", "none"),
        (NOTHING, "none"),
        ({"degrees": 10}, {"degrees": 10.0}),
        # The strength of a step that never happens says nothing.
        ({"blur": 0, "blur_kernel": 7}, {"blur": 0.0}),
    ],
)
def test_settings_are_written_by_name_or_by_what_differs_and_read_back(given, written):
    settings = AugmentSettings.model_validate(given)
    assert settings.model_dump(mode="json") == written
    again = AugmentSettings.model_validate(written)
    assert again.model_dump() == settings.model_dump()


@pytest.mark.parametrize(
    ("augment", "part"),
    [
        ("steel", ""),
        ({"hflip": 0.5}, ""),
        ("none", "_augment-none"),
        ({"degrees": 10, "vflip": 0.5}, "_augment-degrees-10-vflip-0.5"),
    ],
)
def test_the_experiments_name_says_which_augmentation(augment, part):
    entry = {"model": "unet", "encoder": "resnet18", "augment": augment}
    (experiment,) = load_study(changed(experiments=[entry])).experiments
    assert experiment.exp_id == f"unet-resnet18_full_none_native{part}_s42"


@pytest.mark.parametrize(
    ("augment", "message"),
    [
        ("stel", "did you mean 'steel'"),
        ({"hflip": 1.5}, "less than or equal to 1"),
        ({"noise": 0.6, "blur": 0.6}, "together at most 1"),
        ({"blur_kernel": 4}, "must be odd"),
        ({"flip": 1}, "Extra inputs"),
    ],
)
def test_impossible_augmentations_are_refused(augment, message):
    with pytest.raises(ValidationError, match=message):
        UNetSettings(augment=augment)


def test_a_study_knows_its_augmentations_each_once():
    entries = [
        {"model": "unet", "augment": ["steel", "none"]},
        {"model": "unet", "lr": 0.01},
        {"model": "all_empty"},
    ]
    actual = load_study(changed(experiments=entries)).augmentations()
    assert [settings.model_dump() for settings in actual] == ["steel", "none"]
    assert load_study(changed(experiments=[{"model": "all_empty"}])).augmentations() == []
