"""Every metric beside the primary one has an interval: right by independent references, and null where it would lie."""

import numpy as np
import pandas as pd
import pytest
from scipy.stats import binomtest
from sklearn.metrics import average_precision_score
from synthetic_study import write_study

from defectbench.evaluation.intervals import GroupBootstrap
from defectbench.evaluation.metric_intervals import RATIOS, SHARES, WITH_INTERVAL, metric_intervals
from defectbench.evaluation.pixel_curves import average_precisions, percentile_interval
from defectbench.metrics.codes import N_BINS
from defectbench.metrics.definitions import METRICS, ImageCounts


def random_counts(n: int, seed: int = 0) -> ImageCounts:
    """Images of 1,000 pixels; a third is clean, a third of all has no prediction."""
    rng = np.random.default_rng(seed)
    truth, found = rng.integers(1, 300, n) * (rng.random(n) > 0.33), rng.integers(1, 300, n) * (rng.random(n) > 0.33)
    tp = (np.minimum(truth, found) * rng.random(n) ** 0.2).astype(int)
    return ImageCounts(tp, found - tp, truth - tp, np.full(n, 1000))


@pytest.mark.parametrize("name", SHARES)
def test_means_of_the_values_of_images_are_the_metrics(name):
    images = random_counts(200)
    values = SHARES[name](images)
    assert np.nanmean(values) == pytest.approx(METRICS[name](images))
    low, high = GroupBootstrap(np.arange(200), 4000, 0).interval(values, 0, 1)
    counted = values[~np.isnan(values)]
    exact = binomtest(int(counted.sum()), len(counted)).proportion_ci(method="exact")
    assert (low, high) == pytest.approx((exact.low, exact.high), abs=0.015)


@pytest.mark.parametrize("name", RATIOS)
def test_ratios_of_totals_are_the_metrics(name):
    images = random_counts(200)
    numerators, denominators = RATIOS[name](images)
    assert numerators.sum() / denominators.sum() == pytest.approx(METRICS[name](images))
    assert (numerators <= denominators).all()


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    """Experiments on 200 images in 67 groups."""
    return write_study(tmp_path_factory.mktemp("study"), 5, 200)


def test_every_metric_of_the_results_lies_in_its_interval(study):
    results = pd.read_parquet(study.folder / "results.parquet")
    assert set(results["track"]) == {"automatic", "oracle", "reference"}
    for row in results.to_dict("records"):
        for name in WITH_INTERVAL:
            low, value, high = (row[f"{name}{end}"] for end in ("_lo", "", "_hi"))
            if pd.isna(value):
                assert pd.isna([low, high]).all(), name
            else:
                assert 0 <= low <= value <= high <= 1, name
                assert low < high, f"{name}: no interval is of zero width"


def test_average_precision_has_percentiles_of_groups_from_60_groups_on():
    """Codes on the threshold bins, so that histograms lose nothing: scikit-learn on the pixels of every draw."""
    rng = np.random.default_rng(1)
    groups = np.repeat(np.arange(60), rng.integers(1, 4, 60))
    truth = rng.random((len(groups), 40)) < 0.2
    levels = np.clip(rng.normal(90 + 60 * truth, 40), 0, 255).astype(int)
    histograms = np.zeros((len(groups), 2, N_BINS), np.int64)
    for image, (own_truth, own_levels) in enumerate(zip(truth, levels, strict=True)):
        np.add.at(histograms[image], (own_truth.astype(int), own_levels), 1)
    bootstrap = GroupBootstrap(groups, 200, 0)
    exact = average_precision_score(truth.ravel(), levels.ravel())
    drawn = [
        average_precision_score(truth.ravel(), levels.ravel(), sample_weight=np.repeat(counts[groups], 40))
        for counts in bootstrap.counts
    ]
    expected = np.quantile(drawn, (0.025, 0.975))
    assert percentile_interval(histograms, bootstrap, average_precisions, np.array(exact)) == pytest.approx(expected)
    # What the bins do not resolve moves the interval with the value.
    moved = percentile_interval(histograms, bootstrap, average_precisions, np.array(exact + 0.05))
    assert moved == pytest.approx(expected + 0.05)
    fewer = GroupBootstrap(groups % 59, 200, 0)
    assert np.isnan(percentile_interval(histograms, fewer, average_precisions, np.array(exact))).all()


def test_images_are_matched_by_their_ids(study):
    """The order of the rows of hist.parquet does not matter."""
    folder = study.experiments[0]
    results = pd.read_parquet(study.folder / "results.parquet").set_index("exp_id").loc[folder.name]
    path = folder / "hist.parquet"
    table, kept = pd.read_parquet(path), path.read_bytes()
    try:
        table.sample(frac=1, random_state=0).to_parquet(path)
        metrics = {name: results[name] for name in ("AUPRC", "policy")}
        rows = pd.read_parquet(folder / "per_image.parquet")
        rows = rows[(rows["policy"] == "calibrated") & (rows["role"] == "test")].sort_values("image_id")
        bootstrap = GroupBootstrap(rows["group"].to_numpy(str), 200, 42)
        scores = rows[["image_id", "group"]].assign(dice_all=0.5, test_Dice=0.5, test_mIoU=0.5)
        found = metric_intervals(folder, metrics, scores, bootstrap)
        assert found == {f"AUPRC_{end}": pytest.approx(results[f"AUPRC_{end}"]) for end in ("lo", "hi")}
    finally:
        path.write_bytes(kept)
