"""Images by their defect score: against scikit-learn, a search over all thresholds, and by hand."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score, roc_auc_score

from defectbench.metrics.image_level import (
    ESCAPES,
    ImageScores,
    image_ap,
    image_auroc,
    operating_rates,
    supports_escape,
)

images_of = st.lists(st.tuples(st.integers(0, 9), st.booleans()), min_size=1, max_size=40)


def scores(pairs):
    codes, defective = zip(*pairs, strict=True)
    return ImageScores(np.array(codes, np.int64), np.array(defective, bool))


@given(images_of)
def test_auroc_and_ap_are_those_of_scikit_learn(pairs):
    images = scores(pairs)
    if images.both_kinds:
        assert image_auroc(images) == pytest.approx(roc_auc_score(images.defective, images.codes))
        assert image_ap(images) == pytest.approx(average_precision_score(images.defective, images.codes))
    else:
        assert (image_auroc(images), image_ap(images)) == (None, None)


@given(images_of, st.sampled_from([0, 1, 2, 5, 10, 25, 50]))
def test_the_threshold_has_the_least_overkill_of_all_that_let_so_few_escape(pairs, percent):
    images = scores(pairs)
    if not images.both_kinds:
        return
    rates = images.rates()
    chosen = rates.threshold[rates.index_at_escape(percent, images.n_defective)]
    clean, defective = images.codes[~images.defective], images.codes[images.defective]
    allowed = [t for t in range(11) if 100 * (defective < t).sum() <= percent * len(defective)]
    assert chosen == max(allowed)
    assert images.overkill(chosen) == pytest.approx(min((clean >= t).mean() for t in allowed))
    assert images.escape(chosen) * 100 <= percent + 1e-9


@given(images_of, st.floats(0.1, 5), st.floats(0.1, 5))
def test_the_least_cost_is_that_of_a_search(pairs, of_overkill, of_escape):
    images = scores(pairs)
    if not images.both_kinds:
        return
    rates = images.rates()
    index = rates.index_of_least_cost(of_overkill, of_escape)
    costs = [of_overkill * images.overkill(t) + of_escape * images.escape(t) for t in range(12)]
    assert of_overkill * rates.overkill[index] + of_escape * rates.escape[index] == pytest.approx(min(costs))


def test_rates_by_hand():
    val = scores([(1, False), (3, False), (5, False), (7, False), *[(s, True) for s in (2, 6, 6, 8)]])
    rates = val.rates()
    assert rates.threshold.tolist() == [1, 2, 3, 5, 6, 7, 8, 9]
    assert rates.overkill.tolist() == [1, 0.75, 0.75, 0.5, 0.25, 0.25, 0, 0]
    assert rates.escape.tolist() == [0, 0, 0.25, 0.25, 0.25, 0.75, 0.75, 1]
    assert rates.threshold[rates.index_at_escape(0, 4)] == 2
    assert rates.threshold[rates.index_at_escape(25, 4)] == 6
    assert rates.threshold[rates.index_at_escape(24, 4)] == 2
    assert rates.threshold[rates.index_at_escape(100, 4)] == 9


def test_both_rates_are_of_the_test_images_at_the_threshold_of_val():
    val = scores([(4, False), *[(s, True) for s in range(5, 105)]])
    test = scores([(4, False), (6, False), (30, False), (4, True), (7, True)])
    found = operating_rates(val, test)
    assert found["overkill_at_escape_0"] == pytest.approx(2 / 3)  # from 5 on
    assert found["escape_at_escape_0"] == 0.5
    assert found["overkill_at_escape_5"] == pytest.approx(1 / 3)  # from 10 on
    assert found["escape_at_escape_5"] == 1


def test_a_share_of_less_than_one_image_is_null_and_so_is_one_kind_of_images():
    test = scores([(4, False), (9, True)])
    found = operating_rates(scores([(1, False), *[(9, True)] * 58]), test)
    assert {name for name, value in found.items() if value is None} == {"overkill_at_escape_1", "escape_at_escape_1"}
    assert [supports_escape(percent, 19) for percent in ESCAPES] == [True, False, False, False]
    for val, other in ((scores([(1, False)]), test), (test, scores([(9, True)]))):
        assert set(operating_rates(val, other).values()) == {None}
