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
NOTHING = dict.fromkeys(AugmentSettings.STEPS, 0.0)


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


@pytest.mark.parametrize("steps", [{"tone": 1.0}, {"noise": 1.0}, {"blur": 1.0}, {"rotate": 1.0}, {"elastic": 1.0}])
def test_a_grey_picture_of_three_channels_stays_grey_and_is_that_of_one(steps):
    augmentation = make_augmentation(AugmentSettings(**{**NOTHING, **steps}))
    augmentation.set_random_seed(3)
    actual = augmentation(image=np.repeat(IMAGE[:, :, None], 3, axis=2))["image"]
    assert (actual == actual[:, :, :1]).all()
    np.testing.assert_array_equal(actual[:, :, 0], augmented(3, **steps)[0])


def test_quarter_turns_keep_the_size_of_the_image():
    strips = {augmented(seed, rotate90=1.0)[0].tobytes() for seed in range(20)}
    assert strips == {np.rot90(IMAGE, 2).tobytes()}
    square = IMAGE[:, :48]
    augmentation = make_augmentation(AugmentSettings(**{**NOTHING, "rotate90": 1.0}))
    turned = set()
    for seed in range(30):
        augmentation.set_random_seed(seed)
        turned.add(augmentation(image=square)["image"].tobytes())
    assert turned == {np.rot90(square, turns).tobytes() for turns in (1, 2, 3)}


def test_elastic_shifts_have_the_given_standard_deviation_in_pixels():
    # On a slope of one grey level per pixel the difference is the shift.
    slope = np.repeat(np.arange(20, 220, dtype=np.uint8)[None], 200, axis=0)
    augmentation = make_augmentation(
        AugmentSettings(**{**NOTHING, "elastic": 1.0, "elastic_shift": 3, "elastic_scale": 8})
    )
    shifts = []
    for seed in range(20):
        augmentation.set_random_seed(seed)
        shifts.append((augmentation(image=slope)["image"].astype(float) - slope)[40:-40, 40:-40])
    assert np.std(shifts) == pytest.approx(3, rel=0.1)


def test_elastic_masks_follow_the_image():
    for seed in range(5):
        image, mask = augmented(seed, elastic=1.0, elastic_scale=6.0)
        assert (image != IMAGE).any()
        assert ((image > 128) == mask.astype(bool)).mean() > 0.97


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


def test_steel_has_neither_quarter_turns_nor_elastic_deformation():
    names = {type(step).__name__ for step in make_augmentation(AugmentSettings())}
    assert names == {"HorizontalFlip", "Rotate", "RandomBrightnessContrast", "OneOf"}


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
