"""Statistics of a study: every declared comparison, the ranks, and the spread over seeds."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from defectbench.config.report import PairwiseSettings
from defectbench.evaluation.image_scores import PRIMARY, ScoresError, read_image_scores
from defectbench.evaluation.intervals import GroupBootstrap, effective_groups
from defectbench.evaluation.policies import AT_HALF
from defectbench.evaluation.power import Study, groups_needed, smallest_difference
from defectbench.evaluation.ranking import bootstrap_ranks, estimate_mean, seed_spread
from defectbench.evaluation.statistics import ALPHA, NO_CLAIM, TOO_FEW, Comparison, Verdict, compare, judge

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
    "n_groups_differ": "Int64",  # whose mean difference is not 0
    "n_seeds_a": "Int64",
    "n_seeds_b": "Int64",
    "mean_a": "float64",
    "mean_b": "float64",
    "difference": "float64",  # a - b, percentage points
    "difference_lo": "float64",
    "difference_hi": "float64",
    "relative_difference": "float64",  # (a - b)/b
    "p_wilcoxon": "float64",
    "p_mean": "float64",
    "p_seeds": "float64",  # with the variance between trainings; empty unless both sides have several
    "p": "float64",  # that all tests point to the same side
    "p_holm": "float64",
    "at_draw_limit": "boolean",  # p_holm stands for this value and any smaller one
    "claim": "str",
    "reason": "str",
    "smallest_difference": "float64",  # that these images would show in 80 % of studies, percentage points
    "images_needed": "Int64",  # to show the observed difference in 80 % of studies; empty beyond 10 times the images
    "margin": "float64",  # percentage points
    "p_not_worse": "float64",  # corrected with the others
    "not_worse": "boolean",  # b is not worse than a by the margin or more
}
MEANS = ("mean", "sd", "mean_lo", "mean_hi")  # over seeds; the interval covers several trainings, not one
RANKED = ("rank", "rank_median", "rank_lo", "rank_hi", "p_best")
RANKS = ("track", "metric", "experiment", "n_seeds", *MEANS, "n_groups", "effective_groups", *RANKED, "luck")
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
    results = compare_on_common_val(results, folders)
    pairs = declared_pairs(results, settings.ablations)
    studies = [
        _TrackStudy.read(rows, PRIMARY[tracks[0]], folders)
        for tracks in (("automatic", "reference"), ("oracle",))
        if len(rows := results[results["track"].isin(tracks)])
    ]
    n_tests = len(pairs) * (1 if settings.margin is None else 2)
    draws = max(settings.bootstrap_draws, DRAWS_PER_COMPARISON * n_tests)
    compared = []
    ranks: list[tuple] = []
    for study in studies:
        finer = study.bootstrap(draws, settings.bootstrap_seed)
        of_study = [pair for pair in pairs if pair.track in study.names_of]
        compared += [(study, pair, study.compare(pair, finer, settings.margin)) for pair in of_study]
        ranks += study.rank(study.bootstrap(settings.bootstrap_draws, settings.bootstrap_seed))
    verdicts = judge([comparison for _, _, comparison in compared])
    pair_rows = [
        _pair_row(pair, comparison, verdict, settings.margin) | study.outlook(pair, comparison, verdict, n_tests)
        for (study, pair, comparison), verdict in zip(compared, verdicts, strict=True)
    ]
    return Tables(
        pd.DataFrame(
            {name: pd.Series([row[name] for row in pair_rows], dtype=kind) for name, kind in PAIRWISE.items()}
        ),
        pd.DataFrame(ranks, columns=[*RANKS, *TAU]),
        pd.DataFrame([row for study in studies for row in study.spread()], columns=list(SEEDS)),
    )


@dataclass(frozen=True)
class _TrackStudy:
    """The experiments that are measured by one metric on the same test images."""

    metric: str
    scores: dict[str, np.ndarray]
    """(S, N) of each experiment's S seeds on N images"""
    trained: dict[str, bool]
    groups: np.ndarray
    """Of each image, (N,)"""
    names_of: dict[str, list[str]]
    """Experiments by track"""

    @classmethod
    def read(cls, rows: pd.DataFrame, metric: str, folders: dict[str, Path]) -> "_TrackStudy":
        """Read the scores of the experiments of ``rows``."""
        scores, groups = _scores(rows, metric, folders)
        trained = is_trained(rows).to_dict()
        names = {track: list(of_track.unique()) for track, of_track in rows.groupby("track", sort=False)["experiment"]}
        return cls(metric, scores, trained, groups, names)

    def bootstrap(self, draws: int, seed: int) -> GroupBootstrap:
        """Draws of the groups; more draws begin with the same ones."""
        return GroupBootstrap(self.groups, draws, seed)

    def compare(self, pair: Pair, bootstrap: GroupBootstrap, margin: float | None) -> Comparison:
        """Test a pair; non-inferiority is not tested for reference methods."""
        trained = self.trained[pair.a], self.trained[pair.b]
        if pair.kind == VS_REFERENCE:
            margin = None
        return compare(self.scores[pair.a], self.scores[pair.b], bootstrap, trained, margin)

    def outlook(self, pair: Pair, comparison: Comparison, verdict: Verdict, n_tests: int) -> dict[str, object]:
        """What it would take to show a difference, where none is claimed."""
        outlook: dict[str, object] = {"smallest_difference": np.nan, "images_needed": None}
        if verdict.claim not in (NO_CLAIM, TOO_FEW) or comparison.n_groups < 2:
            return outlook
        a, b = (self.scores[name].mean(axis=0) for name in (pair.a, pair.b))
        study = Study.of(a, b, self.bootstrap(1, 0), n_tests, comparison.training_variance)
        needed = groups_needed(study) * comparison.n_images / comparison.n_groups
        return {
            "smallest_difference": 100 * smallest_difference(study),
            "images_needed": None if np.isnan(needed) else max(round(needed), comparison.n_images),
        }

    def rank(self, bootstrap: GroupBootstrap) -> Iterator[tuple]:
        """Rows of ranks.csv."""
        for track, names in self.names_of.items():
            ranking = bootstrap_ranks(np.array([self.scores[name].mean(axis=0) for name in names]), bootstrap)
            columns = (ranking.rank, ranking.median, ranking.low, ranking.high, ranking.p_best)
            for name, *ranks in zip(names, *columns, strict=True):
                scores = self.scores[name]
                mean = vars(estimate_mean(scores, bootstrap)).values()
                sizes = bootstrap.totals(scores.mean(axis=0))[1]
                groups = (int((sizes > 0).sum()), effective_groups(sizes))
                yield (track, self.metric, name, len(scores), *mean, *groups, *ranks, ranking.luck, *ranking.tau)

    def spread(self) -> Iterator[tuple]:
        """Rows of seeds.csv."""
        for track, names in self.names_of.items():
            for name in names:
                if len(scores := self.scores[name]) > 1:
                    yield (track, self.metric, name, len(scores), *vars(seed_spread(scores)).values())


def is_trained(results: pd.DataFrame) -> pd.Series:
    """Whether each value of ``experiment`` was trained: zero-shot and reference methods owe nothing to a seed."""
    firsts = results.drop_duplicates("experiment").set_index("experiment")
    return (firsts["track"] != "reference") & (firsts["policy"] != AT_HALF)


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


def compare_on_common_val(results: pd.DataFrame, folders: dict[str, Path]) -> pd.DataFrame:
    """``results`` with val scores of the same val images throughout a track.

    A cross-validated experiment has a score, by the models of other folds, of every train and val image; the others
    have one of the val images alone. Where a track has both, all scores are of the images that all have in common, and
    without any, the cross-validated experiments have none.
    """
    results = results.copy()
    for track, column in (("automatic", "val_dice_all"), ("oracle", "val_Dice")):
        rows = results[results["track"] == track]
        if rows["cv_folds"].isna().all() or rows["cv_folds"].notna().all():
            continue
        scores = [read_image_scores(folders[r["exp_id"]], r["policy"], "val") for r in rows.to_dict("records")]
        common = set.intersection(*(set(of_row["image_id"]) for of_row in scores))
        if common:
            metric = PRIMARY[track]
            values = [of_row.loc[of_row["image_id"].isin(common), metric].mean() for of_row in scores]
            results.loc[rows.index, column] = values
        else:
            results.loc[rows.index[rows["cv_folds"].notna()], column] = np.nan
    return results


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


def _pair_row(pair: Pair, comparison: Comparison, verdict: Verdict, margin: float | None) -> dict[str, object]:
    relative = comparison.difference / comparison.mean_b if comparison.mean_b else np.nan
    is_tested = not np.isnan(verdict.p_not_worse)
    return {
        **vars(pair),
        **vars(comparison),
        **vars(verdict),
        "metric": PRIMARY[pair.track],
        "difference": 100 * comparison.difference,
        "difference_lo": 100 * comparison.low,
        "difference_hi": 100 * comparison.high,
        "relative_difference": relative,
        "margin": 100 * margin if is_tested and margin is not None else np.nan,
        "not_worse": verdict.p_not_worse < ALPHA if is_tested else None,
    }
