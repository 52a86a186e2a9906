"""Codes of logits: half at 32768, candidates at p = k/256, ranks kept, holes refused."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from defectbench.metrics.codes import (
    BIN_OF_CODE,
    HALF,
    THRESHOLD_CODES,
    codes_from_logits,
    codes_from_probabilities,
    probabilities_from_codes,
    threshold_code,
)


def test_a_code_is_the_rounded_scaled_and_clipped_logit():
    logits = np.array([0.0, 1.0, -1.0, 0.0009, 0.00101, 63.999, 64.0, 1e9, -64.0, -1e9])
    expected = [32768, 33280, 32256, 32768, 32769, 65535, 65535, 65535, 0, 0]
    assert codes_from_logits(logits).tolist() == expected
    assert codes_from_logits(logits).dtype == np.uint16


def test_infinite_logits_saturate_and_holes_are_refused():
    assert codes_from_logits(np.array([np.inf, -np.inf])).tolist() == [65535, 0]
    with pytest.raises(ValueError, match="NaN"):
        codes_from_logits(np.array([0.0, np.nan]))


@pytest.mark.parametrize("bad", [-0.1, 1.1, np.nan])
def test_probabilities_outside_0_and_1_are_refused(bad):
    with pytest.raises(ValueError, match=r"must be in \[0, 1\]"):
        codes_from_probabilities(np.array([0.5, bad]))


def test_probabilities_0_half_and_1():
    assert codes_from_probabilities(np.array([0.0, 0.5, 1.0])).tolist() == [0, HALF, 65535]


def test_every_code_survives_the_way_over_its_probability_where_float64_can_tell_them_apart():
    codes = np.arange(HALF - 512 * 30, HALF + 512 * 20)
    assert (codes_from_probabilities(probabilities_from_codes(codes)) == codes).all()


@given(st.floats(-80, 80), st.floats(-80, 80))
def test_codes_never_swap_the_order_of_logits(a, b):
    low, high = codes_from_logits(np.array(sorted([a, b])))
    assert low <= high


@given(st.floats(-60, 60))
def test_half_is_exactly_the_sign_of_the_rounded_logit(logit):
    code = int(codes_from_logits(np.array(logit)))
    assert (code >= HALF) == (np.rint(512 * logit) >= 0)


def test_candidates_are_distinct_and_half_is_the_middle_one():
    assert len(set(THRESHOLD_CODES.tolist())) == 255
    assert (np.diff(THRESHOLD_CODES.astype(int)) > 0).all()
    assert threshold_code(128) == HALF
    for k in (0, 256):
        with pytest.raises(ValueError, match=r"k = 1 \.\.\. 255"):
            threshold_code(k)


def test_a_codes_bin_counts_the_candidates_it_reaches():
    codes = np.arange(65536)
    reached = (codes[:, None] >= THRESHOLD_CODES.astype(int)).sum(axis=1)
    assert (reached == BIN_OF_CODE).all()
    assert BIN_OF_CODE[0] == 0
    assert BIN_OF_CODE[65535] == 255
