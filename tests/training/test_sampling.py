"""Batch sampling."""

from collections import Counter

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from defectbench.training.sampling import BalancedBatches, MicroBatches, StepBatches


def take(batches, start, n):
    batches.start, batches.n_batches = start, n
    return list(batches)


@given(st.integers(1, 40), st.integers(1, 16), st.integers(0, 9), st.integers(0, 60))
def test_batches_are_a_function_of_seed_and_number_alone(n_images, batch_size, seed, start):
    through = take(StepBatches(n_images, batch_size, seed), 0, start + 5)
    assert take(StepBatches(n_images, batch_size, seed), start, 5) == through[start:]


def test_a_pass_shows_each_image_at_most_once_and_many_passes_show_all():
    batches = take(StepBatches(10, 4, seed=0), 0, 40)
    seen = [item for batch in batches for item in batch]
    assert len(seen) == len(set(seen))
    assert {index for _, index in seen} == set(range(10))
    assert all(len(batch) == 4 for batch in batches)


def test_fewer_images_than_a_batch_still_train():
    (batch,) = StepBatches(3, 8, seed=0)
    assert sorted(index for _, index in batch) == [0, 1, 2]


@given(st.integers(1, 4), st.integers(1, 4), st.integers(1, 3), st.integers(0, 9))
def test_the_shares_of_all_parts_make_up_each_batch_in_its_order(n_parts, n_devices, size, start):
    batches = StepBatches(50, n_parts * n_devices * size, seed=1)
    whole = take(batches, start, 3)
    shares = [list(MicroBatches(batches, n_parts, device, n_devices)) for device in range(n_devices)]
    assert {len(MicroBatches(batches, n_parts, 0, n_devices)), *map(len, shares)} == {3 * n_parts}
    assert {len(items) for share in shares for items in share} == {size}
    in_turn = [item for parts in zip(*shares, strict=True) for items in parts for item in items]
    assert in_turn == [item for batch in whole for item in batch]


PRESENCE = arrays(bool, st.tuples(st.integers(1, 30), st.integers(1, 4)))


@given(PRESENCE, st.integers(1, 16), st.integers(0, 9), st.integers(0, 60))
def test_balanced_batches_are_a_function_of_seed_and_number_alone(presence, batch_size, seed, start):
    through = take(BalancedBatches(presence, batch_size, seed), 0, start + 5)
    assert take(BalancedBatches(presence, batch_size, seed), start, 5) == through[start:]
    draws = [draw for batch in through for draw, _ in batch]
    assert len(set(draws)) == len(draws)


# 100 images: 80 clean, 17 with class 0, 2 with class 1, one with both.
RARE = np.zeros((100, 3), bool)
RARE[80:98, 0] = True
RARE[97:100, 1] = True


def indices(presence, n_draws, seed=0, batch_size=8):
    batches = take(BalancedBatches(presence, batch_size, seed), 0, n_draws // batch_size)
    return [index for batch in batches for _, index in batch]


def test_half_of_the_draws_are_clean_and_the_classes_share_the_rest():
    seen = indices(RARE, 800)
    clean = [index for index in seen if index < 80]
    assert len(clean) == 400
    counts = Counter(seen)
    # 200 draws for each of the two classes there are; the image with both has part in each.
    assert sum(counts[i] for i in range(80, 97)) + counts[97] + counts[98] + counts[99] == 400
    assert abs(counts[98] - 200 / 3) <= 1
    assert abs(counts[99] - 200 / 3) <= 1


def test_no_image_of_a_kind_comes_again_before_all_have_come():
    seen = [index for index in indices(RARE, 160) if index < 80]
    assert sorted(seen) == list(range(80))


def test_the_order_changes_with_seed_and_pass():
    first, second = ([i for i in indices(RARE, 320, seed) if i < 80] for seed in (0, 1))
    assert first != second
    assert first[:80] != first[80:]


def test_what_the_data_do_not_have_takes_no_turn():
    defective = np.ones((5, 1), bool)
    assert Counter(indices(defective, 40, batch_size=5)) == dict.fromkeys(range(5), 8)
    assert Counter(indices(~defective, 40, batch_size=5)) == dict.fromkeys(range(5), 8)
