"""Prompts of a training step: where they point, what they ask for, and that they do not give the answer away."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import cross_val_predict
from tiny_packs import write_packs
from tiny_study import ROOT
from tiny_training import PixelSamples

from defectbench.config.augment import AugmentSettings
from defectbench.config.families.sam2 import Sam2Settings
from defectbench.config.prompts import PromptSettings
from defectbench.data.packing import IGNORED
from defectbench.data.prompts import INSIDE, OUTSIDE, draw_prompts, find_objects, tight_box
from defectbench.data.rle import decode_coco, encode_coco
from defectbench.data.synthetic import load_prior, steel_strip
from defectbench.families.sam2.object_pool import collect_objects
from defectbench.families.sam2.predicted_objects import PromptedSamples
from defectbench.families.sam2.prompt_sampling import NO_POINT, PromptSampler, add_correction_click, find_clean_place
from defectbench.training.augmentation import make_augmentation
from defectbench.training.dataset import make_samples
from defectbench.training.fit import make_batches
from defectbench.training.state import TrainingError

FIXED = PromptSettings()
KINDS = [{"prompt": kind} for kind in ("box", "points", "box_points", "full_box")] + [{"mixed_prompts": True}]


def squares(*corners: tuple[int, int], side: int = 4) -> np.ndarray:
    mask = np.zeros((40, 80), np.uint8)
    for y, x in corners:
        mask[y : y + side, x : x + side] = 1
    return mask


class Masks(PixelSamples):
    """Samples whose images, which no prompt depends on, are their masks."""

    def __init__(self, masks) -> None:
        self.truth = self.pixels = [mask[None] for mask in masks]
        self.image_ids = [str(index) for index in range(len(self.truth))]


@pytest.fixture(scope="module", params=[(240, 64, 384), (80, 256, 1600)], ids=["demo", "severstal"])
def strips(request) -> Masks:
    """Synthetic steel, of which half is clean: of the size of the default study's, and of Severstal's."""
    n, *size = request.param
    prior = load_prior(ROOT / "resources" / "severstal_prior.yaml")
    return Masks(
        [steel_strip(prior, seed=42, index=i, size=tuple(size))[1].max(axis=0).view(np.uint8) for i in range(n)]
    )


@pytest.fixture(scope="module")
def objects(strips) -> list[bytes]:
    return collect_objects(strips, Sam2Settings(tune="full"), FIXED)


def draw_training(data, objects, config: Sam2Settings, passes: int) -> tuple[list, np.ndarray, np.ndarray]:
    """All prompts of a training, whether there is an object, and whether the whole image is clean."""
    sampler = PromptSampler(config, FIXED, objects)
    batches = make_batches(data, config)
    prompts, present, clean = [], [], []
    for number in range(passes * batches.batches_per_pass):
        masks = np.stack([data[item][1][0].numpy() for item in batches.batch(number)])
        drawn = sampler.draw(masks, np.random.default_rng(number))
        prompts += drawn.prompts
        present += [target.any() for target in drawn.targets]
        clean += [not masks[image].any() for image in drawn.index]
    return prompts, np.array(present), np.array(clean)


def describe(prompt) -> tuple[float, ...]:
    """Width, height, area, aspect, centre, edges and number of its points, outer points apart."""
    inner = prompt.points[prompt.labels > 0]
    (width, height), (x, y) = np.ptp(inner, axis=0) + 1, inner.mean(axis=0)
    n_points = ((prompt.labels == label).sum() for label in (INSIDE, OUTSIDE, NO_POINT))
    return width, height, width * height, width / height, x, y, *inner.min(axis=0), *inner.max(axis=0), *n_points


@pytest.mark.parametrize("kind", ["box", "points"])
def test_prompts_alone_do_not_tell_whether_there_is_an_object(strips, objects, kind):
    prompts, present, clean = draw_training(strips, objects, Sam2Settings(tune="full", prompt=kind), 5)
    shapes = np.array([describe(prompt) for prompt in prompts])
    for values in shapes.T:
        assert abs(roc_auc_score(present, values) - 0.5) <= 0.05
        # On defective images alone too: large objects must fit beside the defects.
        assert abs(roc_auc_score(present[~clean], values[~clean]) - 0.5) <= 0.1
    together = HistGradientBoostingClassifier(max_depth=3, max_iter=50)
    guesses = cross_val_predict(together, shapes, present, cv=5, method="predict_proba")[:, 1]
    assert roc_auc_score(present, guesses) <= 0.55


def test_every_clean_image_has_one_prompt_and_every_other_defective_one_a_prompt_on_a_clean_place():
    data = Masks([squares(), squares((3, 3), (30, 60)), squares((10, 40))] * 100)
    config = Sam2Settings(tune="full", batch_size=10)
    _, present, clean = draw_training(data, collect_objects(data, config, FIXED), config, 1)
    assert (clean.sum(), present[clean].sum(), present.sum()) == (100, 0, 300)
    assert (~present & ~clean).sum() == pytest.approx(100, abs=20)


@pytest.mark.parametrize("keys", KINDS)
@settings(max_examples=20)
@given(seed=st.integers(0, 50))
def test_a_training_step_asks_for_objects_and_also_on_clean_images(keys, seed):
    masks = np.stack([squares((3, 3), (30, 60)), squares(), squares((10, 10), side=20)])
    sampler = PromptSampler(Sam2Settings(tune="full", **keys), FIXED, [encode_coco(squares((20, 30), side=9))])
    drawn = sampler.draw(masks, np.random.default_rng(seed))
    assert sorted(set(drawn.index)) == [0, 1, 2]
    assert len({len(prompt.labels) for prompt in drawn.prompts}) == 1
    answered = {image for image, target in zip(drawn.index, drawn.targets, strict=True) if target.any()}
    assert answered == {0, 2}
    for image, prompt, target in zip(drawn.index, drawn.prompts, drawn.targets, strict=True):
        defects = masks[image] > 0
        assert not (target & ~defects).any()
        assert (prompt.points >= 0).all()
        assert (prompt.points <= [79, 39]).all()
        for label, place in ((INSIDE, target if target.any() else ~defects), (OUTSIDE, ~defects)):
            xs, ys = prompt.points[prompt.labels == label].astype(int).T
            assert place[ys, xs].all()


def test_a_correction_clicks_where_the_mask_is_wrong():
    target, predicted = squares((10, 10)), squares((10, 12)) > 0
    box = draw_prompts("box", target, "a", FIXED)[0]
    for seed in range(20):
        clicked = add_correction_click(box, predicted, target, np.random.default_rng(seed))
        x, y = clicked.points[-1].astype(int)
        assert predicted[y, x] != target[y, x]
        assert clicked.labels[-1] == (INSIDE if target[y, x] else OUTSIDE)
    assert add_correction_click(box, target > 0, target, np.random.default_rng(0)).labels[-1] == NO_POINT


@settings(max_examples=60)
@given(st.integers(0, 10**6), st.integers(0, 4))
def test_an_object_is_moved_to_a_clean_place_if_there_is_one(seed, margin):
    rng = np.random.default_rng(seed)
    shape, mask = (np.zeros((12, 16), bool) for _ in range(2))
    height, width = rng.integers(1, 9, 2)
    top, left = rng.integers(0, (13 - height, 17 - width))
    shape[top : top + height, left : left + width] = rng.random((height, width)) < 0.7
    shape[top, left] = shape[top + height - 1, left + width - 1] = True
    mask[tuple(rng.integers(0, mask.shape, (3, 2)).T)] = True

    def is_clean(y: int, x: int) -> bool:
        near = slice(max(0, y - margin), y + height + margin), slice(max(0, x - margin), x + width + margin)
        return not mask[near].any()

    place = find_clean_place(shape, mask, margin, rng)
    if place is None:
        assert not any(is_clean(y, x) for y in range(13 - height) for x in range(17 - width))
        return
    x, y, right, bottom = tight_box(place)
    assert is_clean(y, x)
    assert np.array_equal(place[y : bottom + 1, x : right + 1], shape[top : top + height, left : left + width])
    if is_clean(top, left):
        assert (y, x) == (top, left)


def samples_of_packs(folder, **keys):
    """Training samples of one image with a defect of 14 × 30 pixels and a clean one, of 32 × 64, and the settings."""
    write_packs(folder, (32, 64), np.s_[6:20, 20:50], ["train", "test", "train", "test", "val", "val"])
    config = Sam2Settings(tune="full", batch_size=1, **keys)
    augmentation = make_augmentation(AugmentSettings(rotate=1.0, degrees=20))
    return make_samples(config, folder / "packed", None, ["0.png", "2.png"], ["4.png", "5.png"], augmentation)[
        0
    ], config


@pytest.mark.parametrize(
    "keys", [{}, {"mode": "crops", "crop": "32x32"}, {"resize": "squash", "img_size": "64x96"}], ids=str
)
def test_imitated_objects_are_those_of_training_samples_as_the_network_sees_them(tmp_path, keys):
    train, config = samples_of_packs(tmp_path, **keys)
    pool = collect_objects(train, config, FIXED)
    assert pool == collect_objects(train, config, FIXED)
    batches = make_batches(train, config)
    seen = [train[item][1][0].numpy() for number in range(20) for item in batches.batch(number)]
    assert pool == [encode_coco(one) for mask in seen if mask.any() for one in find_objects(mask, FIXED.merge_distance)]
    assert len(set(pool)) > 1
    assert all(decode_coco(one, *train.input_size).any() for one in pool)


def test_training_images_without_a_defect_are_refused():
    with pytest.raises(TrainingError, match="no defect in 10 passes over the 3 training images"):
        collect_objects(Masks([squares()] * 3), Sam2Settings(tune="full"), FIXED)


def test_predicted_boxes_ask_for_the_object_that_they_match_or_for_nothing_on_a_clean_place():
    truth = squares((3, 3), (20, 40), side=8)
    predicted = squares((4, 4), side=8) | squares((30, 70), side=5) | squares((26, 46), side=9)
    sampler = PromptSampler(Sam2Settings(tune="full"), PromptSettings(merge_distance=1))
    drawn = sampler.draw(truth[None], np.random.default_rng(0), predicted[None])
    # IoU 49 / 79 with the first object, 0 on a clean place. The third holds a part of the second object: neither.
    assert [prompt.points.tolist() for prompt in drawn.prompts] == [[[4, 4], [11, 11]], [[70, 30], [74, 34]]]
    assert np.array_equal(drawn.targets, [squares((3, 3), side=8), squares()])


def test_at_most_so_many_predicted_objects_of_an_image_are_asked_for():
    found = squares(*((y, x) for y in (2, 17, 32) for x in (2, 22, 42, 62)))
    sampler = PromptSampler(Sam2Settings(tune="full", objects_per_image=5), FIXED)
    assert sampler.draw(found[None], np.random.default_rng(0), found[None]).index == [0] * 5


@given(seed=st.integers(0, 50))
@settings(max_examples=20)
def test_an_image_without_a_usable_prediction_is_prompted_as_ever(seed):
    masks = np.stack([squares((3, 3)), squares()])
    half = np.stack([squares((0, 0), side=6) * (np.arange(40)[:, None] < 4), squares()])
    sampler = PromptSampler(Sam2Settings(tune="full"), FIXED, [encode_coco(squares((20, 30), side=9))])
    plain, drawn = (sampler.draw(masks, np.random.default_rng(seed), *more) for more in ((), (half,)))
    assert drawn.index == plain.index
    assert np.array_equal(drawn.targets, plain.targets)
    for one, other in zip(drawn.prompts, plain.prompts, strict=True):
        assert np.array_equal(one.points, other.points)


@pytest.mark.parametrize("keys", [{}, {"mode": "crops", "crop": "32x32"}, {"resize": "squash", "img_size": "64x96"}])
def test_predicted_objects_are_cropped_scaled_and_augmented_with_the_true_ones(tmp_path, keys):
    train, _ = samples_of_packs(tmp_path, **keys)
    prompts = {name: draw_prompts("mask", train.masks[name].max(axis=0), name, FIXED) for name in train.image_ids}
    predicted = PromptedSamples(**vars(train), predicted=prompts)
    n_defective = 0
    for item in ((number, index) for number in range(10) for index in range(2)):
        (image, masks, _), (same, (true, other), _) = train[item], predicted[item]
        assert same.equal(image)
        assert true.equal(masks[0])
        assert other.equal(masks[0])
        n_defective += bool(masks.any())
    assert n_defective > 2


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 40), st.integers(0, 500), st.sampled_from(KINDS))
def test_no_prompt_points_at_ignored_pixels_and_no_target_has_them(left, seed, kind):
    masks = np.stack([squares((8, 10), (10, 18), (20, 50)), squares()])
    ignored = np.zeros(masks.shape[1:], bool)
    ignored[6:30, left : left + 6] = True
    masks[:, ignored] = IGNORED
    config = Sam2Settings(tune="full", box_noise=0.0, **kind)
    batch = PromptSampler(config, FIXED, [encode_coco(squares((12, 30)))]).draw(masks, np.random.default_rng(seed))
    assert set(batch.index) == {0, 1}
    for image, prompt, target in zip(batch.index, batch.prompts, batch.targets, strict=True):
        np.testing.assert_array_equal(target == IGNORED, ignored)
        assert (masks[image][target == 1] == 1).all()
        assert (target == 1).any() <= (image == 0)
        points = prompt.points[np.isin(prompt.labels, (INSIDE, OUTSIDE))].astype(int)
        assert not ignored[points[:, 1], points[:, 0]].any()
        box = prompt.points[np.isin(prompt.labels, (2, 3))].astype(int)
        if len(box) and kind != {"prompt": "full_box"} and not (target == 1).any():
            (x0, y0), (x1, y1) = box
            assert not masks[image][y0 : y1 + 1, x0 : x1 + 1].any()
        clicked = add_correction_click(prompt, np.ones_like(target, bool), target, np.random.default_rng(seed))
        (x, y), label = clicked.points[-1].astype(int), clicked.labels[-1]
        assert (label, target[y, x]) == (OUTSIDE, 0)


@pytest.mark.parametrize("kind", ["box", "points"])
def test_an_image_without_a_clean_place_has_a_prompt_that_nothing_is_learned_from(kind):
    masks = np.full((1, 40, 80), IGNORED, np.uint8)
    masks[0, :2] = 0
    sampler = PromptSampler(Sam2Settings(tune="full", prompt=kind), FIXED, [encode_coco(squares((12, 30)))])
    batch = sampler.draw(masks, np.random.default_rng(0))
    assert batch.index == [0]
    assert (batch.targets == IGNORED).all()


def test_objects_to_imitate_are_without_ignored_pixels():
    mask = squares((8, 10), side=10)
    mask[:, 15:] = IGNORED
    (whole,) = {*collect_objects(Masks([mask]), Sam2Settings(tune="full", batch_size=1), FIXED)}
    np.testing.assert_array_equal(decode_coco(whole, *mask.shape), mask == 1)
