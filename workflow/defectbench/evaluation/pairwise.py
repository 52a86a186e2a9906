"""Statistics of a study: every declared comparison, the ranks, and the spread over seeds."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from defectbench.config.report import PairwiseSettings
from defectbench.evaluation.image_scores import PRIMARY, ScoresError, read_image_scores
from defectbench.evaluation.intervals import GroupBootstrap
from defectbench.evaluation.statistics import Comparison, Verdict, bootstrap_ranks, compare, judge, seed_spread

VS_BEST, VS_REFERENCE, ABLATION = "vs_best", "vs_reference", "ablation"
# Column by which the best of a track is chosen: on val, never on test images.
SELECTED_BY = {"dice_all": "val_dice_all", "test_Dice": "val_Dice"}
# A p from n draws is at least 2/(n + 1), and Holm multiplies the smallest by the number of comparisons: with too few
# draws no claim would ever be possible in a large study.
DRAWS_PER_COMPARISON = 200
PAIRWISE = {
    "track": "str",
    "metric": "str",
    "a": "str",
    "b": "str",
    "kind": "str",
    "n_images": "Int64",
    "n_groups": "Int64",
    "mean_a": "float64",
    "mean_b": "float64",
    "difference": "float64",  # a - b, percentage points
    "difference_lo": "float64",
    "difference_hi": "float64",
    "relative_difference": "float64",  # (a - b)/b
    "p_wilcoxon": "float64",
    "p_mean": "float64",
    "p": "float64",  # that both tests point to the same side
    "p_holm": "float64",
    "claim": "str",
    "reason": "str",
}
RANKS = ("track", "metric", "experiment", "mean", "rank", "rank_median", "rank_lo", "rank_hi", "p_best")
TAU = ("kendall_tau", "kendall_tau_lo", "kendall_tau_hi")
SEEDS = ("track", "metric", "experiment", "n_seeds", "mean", "sd", "seed_sd", "image_sd", "rest_sd")


@dataclass(frozen=True)
class Tables:
    """The statistics of a study, a row per comparison, experiment, and experiment of several seeds."""

    pairwise: pd.DataFrame
    ranks: pd.DataFrame
    seeds: pd.DataFrame


@dataclass(frozen=True)
class Pair:
    """A declared comparison of two experiments."""

    track: str
    a: str
    b: str
    kind: str


def pairwise_tables(results: pd.DataFrame, settings: PairwiseSettings) -> Tables:
    """Test and rank the experiments of ``results``, the rows of results.parquet, by the metric of their track.

    Raises:
        ScoresError: if a folder is missing, experiments of a track have no images in common order, or an ablation
            crosses from the oracle track to another.
    """
    folders = {folder.name: folder for folder in settings.experiments}
    pairs = declared_pairs(results, settings.ablations)
    compared, ranks, seed_rows = [], [], []
    for tracks in (("automatic", "reference"), ("oracle",)):
        rows = results[results["track"].isin(tracks)]
        if rows.empty:
            continue
        metric = PRIMARY[tracks[0]]
        scores, groups = _scores(rows, metric, folders)
        means = {name: seeds.mean(axis=0) for name, seeds in scores.items()}
        bootstrap = GroupBootstrap(groups, settings.bootstrap_draws, settings.bootstrap_seed)
        draws = max(settings.bootstrap_draws, DRAWS_PER_COMPARISON * len(pairs))
        finer = GroupBootstrap(groups, draws, settings.bootstrap_seed)  # begins with the same draws
        compared += [(pair, compare(means[pair.a], means[pair.b], finer)) for pair in pairs if pair.track in tracks]
        for track in tracks:
            names = list(rows.loc[rows["track"] == track, "experiment"].unique())
            ranks += _rank_rows(track, metric, {name: means[name] for name in names}, bootstrap)
            seed_rows += [_seed_row(track, metric, name, scores[name]) for name in names if len(scores[name]) > 1]
    verdicts = judge([comparison for _, comparison in compared])
    pair_rows = [_pair_row(*pair, verdict) for pair, verdict in zip(compared, verdicts, strict=True)]
    return Tables(
        pd.DataFrame(
            {name: pd.Series([row[name] for row in pair_rows], dtype=kind) for name, kind in PAIRWISE.items()}
        ),
        pd.DataFrame(ranks, columns=[*RANKS, *TAU]),
        pd.DataFrame(seed_rows, columns=list(SEEDS)),
    )


def declared_pairs(results: pd.DataFrame, ablations: tuple[tuple[str, str], ...]) -> list[Pair]:
    """The comparisons of a study, each once: every experiment with the best of its track, and the ablations.

    The best has the highest score on the **val** images. If the test images chose it, tests on the same
    images would make false claims in 7 to 10 % of studies of eight equal models (docs/statistics.md). The best
    automatic experiment is compared with the reference methods too, to show that it learned anything.
    """
    pairs = []
    for track in ("automatic", "oracle"):
        rows = results[results["track"] == track]
        if rows.empty:
            continue
        best = best_on_val(rows, PRIMARY[track])
        pairs += [Pair(track, best, name, VS_BEST) for name in rows["experiment"].unique() if name != best]
        if track == "automatic":
            references = results.loc[results["track"] == "reference", "experiment"].unique()
            pairs += [Pair(track, best, name, VS_REFERENCE) for name in references]
    known = {frozenset((pair.a, pair.b)) for pair in pairs}
    by_id = results.set_index("exp_id")[["track", "experiment"]]
    for first, second in ablations:
        (track, a), (other, b) = (by_id.loc[exp_id] for exp_id in (first, second))
        if track != other and "oracle" in (track, other):
            raise ScoresError(f"report.ablations: {first} ({track}) and {second} ({other}): tracks are never mixed")
        if frozenset((a, b)) not in known:
            known.add(frozenset((a, b)))
            pairs.append(Pair(track, a, b, ABLATION))
    return pairs


def best_on_val(rows: pd.DataFrame, metric: str) -> str:
    """The experiment of one track's rows with the highest val score, averaged over seeds; the first of equals."""
    means = rows.groupby("experiment", sort=False)[SELECTED_BY[metric]].mean()
    return str(means.index[0] if means.isna().all() else means.idxmax())


def _scores(rows: pd.DataFrame, metric: str, folders: dict[str, Path]) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Scores (S, N) of each experiment's S seeds on the N test images, which are the same for all, and their groups."""
    images: pd.DataFrame | None = None
    scores_of: dict[str, list[np.ndarray]] = {}
    for row in rows.to_dict("records"):
        if row["exp_id"] not in folders:
            raise ScoresError(f"{row['exp_id']} is in the results, but not in the settings: make the results again")
        scores = read_image_scores(folders[row["exp_id"]], row["policy"])
        if images is None:
            images = scores[["image_id", "group"]]
        if not scores[["image_id", "group"]].equals(images):
            raise ScoresError(f"{folders[row['exp_id']]}: other test images or groups than {rows['exp_id'].iloc[0]}")
        scores_of.setdefault(row["experiment"], []).append(scores[metric].to_numpy())
    assert images is not None, "the rows of a track are never empty"
    return {name: np.array(seeds) for name, seeds in scores_of.items()}, images["group"].to_numpy(str)


def _pair_row(pair: Pair, comparison: Comparison, verdict: Verdict) -> dict[str, object]:
    relative = comparison.difference / comparison.mean_b if comparison.mean_b else np.nan
    return {
        **vars(pair),
        **vars(comparison),
        **vars(verdict),
        "metric": PRIMARY[pair.track],
        "difference": 100 * comparison.difference,
        "difference_lo": 100 * comparison.low,
        "difference_hi": 100 * comparison.high,
        "relative_difference": relative,
    }


def _rank_rows(track: str, metric: str, means: dict[str, np.ndarray], bootstrap: GroupBootstrap) -> list[tuple]:
    scores = np.array(list(means.values()))
    if not len(scores) or np.isnan(scores).all():
        return []
    ranking = bootstrap_ranks(scores, bootstrap)
    columns = (ranking.rank, ranking.median, ranking.low, ranking.high, ranking.p_best)
    rows = zip(means, np.nanmean(scores, axis=1), *columns, strict=True)
    return [(track, metric, *row, *ranking.tau) for row in rows]


def _seed_row(track: str, metric: str, name: str, scores: np.ndarray) -> tuple:
    return (track, metric, name, len(scores), *vars(seed_spread(scores)).values())
