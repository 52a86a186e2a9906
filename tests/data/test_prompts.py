"""Prompts: boxes and points where they belong, the same every time, and the file that holds them."""

from dataclasses import replace

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from manifest_rows import image, manifest
from scipy import ndimage
from scipy.cluster.hierarchy import fcluster, linkage
from scipy.spatial.distance import cdist

from defectbench.config.prompts import PromptSettings, track_of
from defectbench.data.packing import IGNORED
from defectbench.data.prompt_file import PromptError, read_prompts, write_prompts
from defectbench.data.prompts import (
    INSIDE,
    LOWER_RIGHT,
    OUTSIDE,
    UPPER_LEFT,
    Prompt,
    box_prompt,
    draw_dataset_prompts,
    draw_prompts,
    find_objects,
    tight_box,
)
from defectbench.data.rle import decode_coco, encode_coco

MASKS = arrays(np.uint8, (24, 40), elements=st.integers(0, 19)).map(lambda a: (a == 0).astype(np.uint8))


def squares(*corners: tuple[int, int], side: int = 4) -> np.ndarray:
    mask = np.zeros((40, 80), np.uint8)
    for y, x in corners:
        mask[y : y + side, x : x + side] = 1
    return mask


@settings(max_examples=40)
@given(MASKS)
def test_without_merging_objects_are_the_components(mask):
    labels, n = ndimage.label(mask, np.ones((3, 3)))
    found = find_objects(mask, 0)
    assert sorted(map(np.sum, found)) == sorted(np.bincount(labels.ravel())[1:])
    assert len(found) == n


@settings(max_examples=40)
@given(MASKS, st.integers(1, 8))
def test_objects_share_out_the_mask_and_lie_apart(mask, distance):
    found = find_objects(mask, distance)
    assert np.array_equal(sum((one.astype(int) for one in found), np.zeros(mask.shape, int)), mask)
    for number, one in enumerate(found):
        for other in found[:number]:
            assert cdist(np.argwhere(one), np.argwhere(other)).min() > distance + 1


@pytest.mark.parametrize(("gap", "n"), [(3, 1), (5, 1), (6, 2), (20, 2)])
def test_components_with_at_most_the_set_distance_between_them_are_one_object(gap, n):
    assert len(find_objects(squares((10, 10), (10, 14 + gap)), 5)) == n


@settings(max_examples=40)
@given(MASKS, st.integers(0, 6))
def test_objects_are_those_of_single_linkage(mask, distance):
    pixels = np.argwhere(mask)
    if len(pixels) < 2:
        return
    # 8-neighbours touch: no pixel lies between them.
    links = fcluster(linkage(pixels, "single"), max(distance + 1, np.sqrt(2)), "distance")
    assert len(find_objects(mask, distance)) == links.max()


def test_a_box_is_tight_and_around_what_is_merged():
    mask = squares((10, 10), (12, 17), (30, 60))
    boxes = draw_prompts("box", mask, "a", PromptSettings(merge_distance=4))
    assert [box.points.tolist() for box in boxes] == [[[10, 10], [20, 15]], [[60, 30], [63, 33]]]
    assert [box.labels.tolist() for box in boxes] == [[2, 3], [2, 3]]


def test_the_full_box_is_that_of_the_image_and_asks_no_truth():
    for mask in (squares(), squares((3, 3))):
        (box,) = draw_prompts("full_box", mask, "a", PromptSettings())
        assert box.points.tolist() == [[0, 0], [79, 39]]


@pytest.mark.parametrize("kind", ["box", "points"])
def test_a_clean_image_has_no_true_prompt(kind):
    assert draw_prompts(kind, squares(), "a", PromptSettings()) == []


WINDOW = (slice(10, 30), slice(20, 60))


@pytest.mark.parametrize(
    ("box", "inside"),
    [
        ((25, 12, 30, 20), [[5, 2], [10, 10]]),
        ((0, 0, 79, 39), [[0, 0], [39, 19]]),
        ((5, 15, 20, 16), [[0, 5], [0, 6]]),
        ((5, 15, 19, 16), None),
        ((30, 30, 40, 35), None),
    ],
)
def test_of_a_box_a_window_has_what_lies_in_it(box, inside):
    found = box_prompt(*box).inside(WINDOW, (40, 80))
    assert (found.points.tolist() if found else None) == inside


def test_of_points_a_window_has_those_in_it_if_one_is_positive():
    labels = np.array([INSIDE, OUTSIDE, INSIDE], np.int8)
    prompt = Prompt(np.array([[20, 10], [59, 29], [60, 29]], np.float32), labels)
    found = prompt.inside(WINDOW, (40, 80))
    assert found.points.tolist() == [[0, 0], [39, 19]]
    assert found.labels.tolist() == [INSIDE, OUTSIDE]
    assert Prompt(prompt.points[1:], labels[1:]).inside(WINDOW, (40, 80)) is None


def test_of_a_mask_a_window_has_its_part():
    mask = squares((8, 15), side=10)
    found = replace(box_prompt(*tight_box(mask)), rle=encode_coco(mask)).inside(WINDOW, mask.shape)
    assert (decode_coco(found.rle, 20, 40) == mask[WINDOW]).all()


@settings(max_examples=40)
@given(st.integers(0, 34), st.integers(0, 74), st.integers(0, 1000))
def test_points_lie_inside_and_near_the_object(y, x, seed):
    mask = squares((y, x), (17, 40), side=5)
    fixed = PromptSettings(seed=seed, merge_distance=0, near=6)
    for prompt, target in zip(draw_prompts("points", mask, "a", fixed), find_objects(mask, 0), strict=True):
        values = mask[prompt.points[:, 1].astype(int), prompt.points[:, 0].astype(int)]
        inside = prompt.labels == INSIDE
        assert (values == inside).all()
        assert 3 <= inside.sum() <= 5
        assert 3 <= (prompt.labels == OUTSIDE).sum() <= 5
        assert len(np.unique(prompt.points, axis=0)) == len(prompt.points)
        distance = cdist(prompt.points[~inside][:, ::-1], np.argwhere(target)).min(axis=1)
        assert (distance <= 6.01).all()


def test_points_per_image_are_one_prompt_for_all_its_defects():
    mask, per_image = squares((3, 3), (30, 60)), PromptSettings(points_per="image", near=6)
    (prompt,) = draw_prompts("points", mask, "a", per_image)
    inside = prompt.labels == INSIDE
    assert (mask[prompt.points[:, 1].astype(int), prompt.points[:, 0].astype(int)] == inside).all()
    assert 3 <= inside.sum() <= 5
    assert 3 <= (~inside).sum() <= 5
    assert draw_prompts("points", squares(), "a", per_image) == []
    # Boxes are those of objects.
    assert len(draw_prompts("box", mask, "a", per_image)) == 2


def test_points_depend_on_seed_and_image_alone():
    mask = squares((10, 10), side=12)
    one, same, other, reseeded = (
        draw_prompts("points", mask, name, PromptSettings(seed=seed))[0].points.tolist()
        for name, seed in (("a", 1), ("a", 1), ("b", 1), ("a", 2))
    )
    assert one == same
    assert one != other
    assert one != reseeded


def corners(noise: float, image_id: str, mask: np.ndarray) -> np.ndarray:
    (box,) = draw_prompts("box", mask, image_id, PromptSettings(), noise)
    return box.points.ravel()


def test_noise_moves_each_side_of_a_box_by_a_share_of_its_length():
    mask = np.zeros((100, 200), np.uint8)
    mask[40:60, 80:120] = 1
    tight = [80, 40, 119, 59]
    moves = np.stack([corners(0.1, str(i), mask) - tight for i in range(800)]) / [40, 20, 40, 20]
    assert moves.mean(axis=0) == pytest.approx(np.zeros(4), abs=4 * 0.1 / np.sqrt(800))
    assert moves.std(axis=0) == pytest.approx(np.full(4, 0.1), rel=0.15)
    further = corners(0.2, "0", mask) - tight
    assert further == pytest.approx(2 * (corners(0.1, "0", mask) - tight), abs=1e-3)
    assert corners(0.0, "0", mask).tolist() == tight


@settings(max_examples=40)
@given(st.integers(0, 34), st.integers(0, 74), st.integers(0, 1000), st.floats(0.01, 1))
def test_noisy_boxes_stay_in_the_image_and_are_boxes(y, x, seed, noise):
    mask = squares((y, x), side=5)
    left, top, right, bottom = draw_prompts("box", mask, str(seed), PromptSettings(), noise)[0].points.ravel()
    assert 0 <= left <= right <= 79
    assert 0 <= top <= bottom <= 39


def test_a_box_with_points_is_the_box_and_the_points():
    mask = squares((3, 3), (30, 60))
    box, points, both = (draw_prompts(kind, mask, "a", PromptSettings()) for kind in ("box", "points", "box_points"))
    for one, other, joined in zip(box, points, both, strict=True):
        assert joined.points.tolist() == [*one.points.tolist(), *other.points.tolist()]
        assert joined.labels.tolist() == [UPPER_LEFT, LOWER_RIGHT, *other.labels.tolist()]


def test_a_mask_prompt_is_the_object_in_its_box():
    mask = squares((3, 3), (30, 60))
    found = draw_prompts("mask", mask, "a", PromptSettings())
    assert np.array_equal(sum(decode_coco(prompt.rle, *mask.shape) for prompt in found), mask)
    assert [prompt.points.tolist() for prompt in found] == [[[3, 3], [6, 6]], [[60, 30], [63, 33]]]


@pytest.mark.parametrize("kind", ["points", "mask"])
def test_the_file_gives_back_what_was_drawn(tmp_path, kind):
    path = tmp_path / "prompts.parquet"
    drawn = {"a": draw_prompts(kind, squares((3, 3), (30, 60)), "a", PromptSettings()), "b": []}
    drawn["a"][0] = replace(drawn["a"][0], score=0.25, threshold=0.4)
    assert write_prompts(path, kind, "yolo_x_s1", drawn.items()) == 2
    found = read_prompts(path, "yolo_x_s1")
    assert {image_id: len(prompts) for image_id, prompts in found.items()} == {"a": 2, "b": 0}
    for one, other in zip(found["a"], drawn["a"], strict=True):
        assert np.array_equal(one.points, other.points)
        assert np.array_equal(one.labels, other.labels)
        assert (one.rle, one.score, one.threshold) == (other.rle, other.score, other.threshold)


def test_prompts_of_another_source_or_no_prompts_at_all_are_refused(tmp_path):
    path = tmp_path / "box.parquet"
    write_prompts(path, "box", "oracle", [("a", draw_prompts("box", squares((3, 3)), "a", PromptSettings()))])
    with pytest.raises(PromptError, match="source 'oracle', not 'fixed'"):
        read_prompts(path, "fixed")
    with pytest.raises(PromptError, match="no file of prompts"):
        read_prompts(tmp_path / "absent.parquet", "oracle")


DAMAGE = {
    "of an image that was not searched": ("image_id", "z"),
    "number 0 of its image": ("prompt_id", 3),
    "has source 'oracle'": ("source", "oracle"),
    "has 1 labels and 4 coordinates": ("labels", [2]),
    "a coordinate that is no number": ("coordinates", [0.0, np.nan, 1.0, 1.0]),
    "has a mask": ("mask", b"0"),
    "score 1.5": ("score", 1.5),
    "threshold 0.0": ("threshold", 0.0),
}


@pytest.mark.parametrize("problem", DAMAGE)
def test_a_damaged_prompt_is_refused(tmp_path, problem):
    path = tmp_path / "box.parquet"
    write_prompts(path, "box", "x_s1", [("a", draw_prompts("box", squares((3, 3)), "a", PromptSettings()))])
    table = pq.read_table(path)
    (row,) = table.to_pylist()
    column, value = DAMAGE[problem]
    pq.write_table(pa.Table.from_pylist([row | {column: value}], schema=table.schema), path)
    with pytest.raises(PromptError, match=problem):
        read_prompts(path, "x_s1")


@pytest.mark.parametrize(
    ("source", "track"), [("oracle", "oracle"), ("fixed", "automatic"), ("yolo_x_s1", "automatic")]
)
def test_only_prompts_of_the_truth_are_on_the_oracle_track(source, track):
    assert track_of(source) == track


@settings(max_examples=20)
@given(st.integers(0, 70), st.integers(0, 1000), st.sampled_from(["box", "points", "box_points", "mask"]))
def test_prompts_are_of_decided_defects_and_points_on_decided_pixels(left, seed, kind):
    mask = squares((10, 20), (18, 44), side=12)
    mask[4:32, left : left + 8] = IGNORED
    fixed = PromptSettings(seed=seed, merge_distance=0)
    prompts = draw_prompts(kind, mask, "a", fixed)
    objects = find_objects(mask == 1, 0)
    assert len(prompts) == len(objects)
    for prompt, target in zip(prompts, objects, strict=True):
        points = prompt.points[prompt.labels < UPPER_LEFT].astype(int)
        assert (mask[points[:, 1], points[:, 0]] == prompt.labels[prompt.labels < UPPER_LEFT]).all()
        if kind != "points":
            assert prompt.points[prompt.labels >= UPPER_LEFT].ravel().tolist() == [*tight_box(target)]


def test_prompts_of_a_dataset_know_its_ignored_pixels():
    mask, ignored = squares((10, 20), side=12), squares((8, 32), side=18)
    empty = encode_coco(0 * mask)
    row = image("a.png", mask, size=mask.shape, rle=[encode_coco(mask), empty, encode_coco(ignored)])
    fixed = PromptSettings(max_points=5)
    ((_, (prompt,)),) = draw_dataset_prompts("points", manifest(row), fixed)
    marked = np.where(ignored, IGNORED, mask)
    np.testing.assert_array_equal(prompt.points, draw_prompts("points", marked, "a.png", fixed)[0].points)
    assert (prompt.points != draw_prompts("points", mask, "a.png", fixed)[0].points).any()
