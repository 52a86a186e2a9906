"""Plots of the results table, ranking and data efficiency, show its numbers; colours and names of all plots."""

import numpy as np
import pandas as pd
import pytest
from plot_data import BEST, NO_CURVES, NO_FITS, NO_PAIRS, NO_RANKS, ORACLE, ROWS, drawn, row, table, texts

from defectbench.config.report import RankingSettings
from defectbench.evaluation.pairwise import PAIRWISE
from defectbench.reporting import palette, words
from defectbench.reporting.plots import style
from defectbench.reporting.plots.data_efficiency import data_efficiency_figure, spread
from defectbench.reporting.plots.ranking import MOST_ROWS, ranking_figure
from defectbench.reporting.power_law import FITS


@pytest.mark.parametrize("metric", ["dice_all", "test_Dice", "test_mIoU"])
def test_the_ranking_shows_the_numbers_of_the_table_best_first(metric):
    figure = ranking_figure(table(*ROWS), NO_RANKS, NO_PAIRS, RankingSettings(metric=metric))
    (axes,) = figure.axes
    values, intervals = drawn(axes, "value"), drawn(axes, "interval")
    assert len(values) == len(intervals) == len(ROWS)
    for expected in ROWS:
        (x,), (y,) = values[expected["exp_id"]].get_data()
        ((ends),) = intervals[expected["exp_id"]].get_segments()
        assert x == expected[metric]
        assert ends.tolist() == [[expected[f"{metric}_lo"], y], [expected[f"{metric}_hi"], y]]
        assert f"{expected[metric]:.3f}" in texts(figure)
    by_place = sorted(values, key=lambda exp_id: values[exp_id].get_ydata()[0])
    by_value = sorted(ROWS, key=lambda r: (r["track"], -r[metric]))
    assert by_place == [r["exp_id"] for r in by_value]


def test_dots_are_hollow_where_a_test_shows_the_model_to_be_worse():
    worse = ROWS[0]["exp_id"]
    tests = pd.DataFrame([{"kind": "vs_best", "a": BEST, "b": worse, "claim": "a better"}], columns=list(PAIRWISE))
    figure = ranking_figure(table(*ROWS), NO_RANKS, tests, RankingSettings(metric="dice_all"))
    faces = {exp_id: dot.get_markerfacecolor() for exp_id, dot in drawn(figure.axes[0], "value").items()}
    assert [exp_id for exp_id, face in faces.items() if face == "white"] == [worse]
    assert "● no test shows another model to be better; ○ significantly worse than another" in " ".join(
        texts(figure).split()
    )
    equal = ranking_figure(table(*ROWS), NO_RANKS, tests.assign(claim="no claim"), RankingSettings(metric="dice_all"))
    assert "No model is significantly worse than the best on val" in texts(equal)
    few = ranking_figure(
        table(*ROWS), NO_RANKS, tests.assign(claim="too few groups", n_groups=12), RankingSettings(metric="dice_all")
    )
    assert "No dot is hollow: too few groups of test images, so nothing was tested; at least 20" in texts(few)
    for figure in (equal, few):
        assert "white" not in [dot.get_markerfacecolor() for dot in drawn(figure.axes[0], "value").values()]
    other = ranking_figure(table(*ROWS), NO_RANKS, tests, RankingSettings(metric="test_mIoU"))
    assert "white" not in [dot.get_markerfacecolor() for dot in drawn(other.axes[0], "value").values()]
    assert "tested for another metric" in texts(other)


def test_the_ranking_says_on_how_many_images_and_what_the_number_is():
    said = texts(ranking_figure(table(*ROWS), NO_RANKS, NO_PAIRS, RankingSettings(metric="dice_all")))
    assert "mean Dice over all 86 test images, the 40 clean ones included; both masks empty = 1" in said
    assert "sam tiny, seed 1" in said
    assert "unet resnet18, task per class" in said
    assert "steps" not in said, "a setting that all runs of a family share tells nothing"


def test_the_oracle_track_has_a_panel_and_a_metric_of_its_own():
    first, second = ranking_figure(table(*ROWS, ORACLE), NO_RANKS, NO_PAIRS, RankingSettings(metric="dice_all")).axes
    assert ORACLE["exp_id"] not in drawn(first, "value")
    assert list(drawn(second, "value")) == [ORACLE["exp_id"]]
    assert drawn(second, "value")[ORACLE["exp_id"]].get_xdata()[0] == ORACLE["test_Dice"]
    automatic, oracle = data_efficiency_figure(table(*ROWS, ORACLE), NO_CURVES, NO_FITS).axes
    assert len(drawn(automatic, "value")) == 3
    assert len(drawn(oracle, "value")) == 1
    assert not drawn(oracle, "level")


def test_missing_values_and_intervals_are_said_not_drawn():
    unknown = row("sam-tiny_full_none_native_s3", 0.7, None, dice_all_lo=None, dice_all_hi=None)
    empty = row("sam-tiny_full_none_native_s4", 0.7, dice_all=None)
    figure = ranking_figure(table(ROWS[0], unknown, empty), NO_RANKS, NO_PAIRS, RankingSettings(metric="dice_all"))
    assert len(drawn(figure.axes[0], "value")) == 2
    assert list(drawn(figure.axes[0], "interval")) == [ROWS[0]["exp_id"]]
    assert "No bar: no interval was determined." in texts(figure)
    assert "1 more experiments, with lower values or none" in texts(figure)


def test_a_long_ranking_is_cut_and_says_so():
    rows = [row(f"unet-resnet18_full_none_native_s{seed}", 0.5 + seed / 1000) for seed in range(MOST_ROWS + 5)]
    figure = ranking_figure(table(*rows), NO_RANKS, NO_PAIRS, RankingSettings(metric="dice_all"))
    assert len(drawn(figure.axes[0], "value")) == MOST_ROWS
    assert "5 more experiments" in texts(figure)


def test_several_seeds_are_one_row_at_their_mean_and_not_at_the_luckiest():
    name = "sam-tiny_full_none_native_s1+2+3"
    lucky = [row(f"sam-tiny_full_none_native_s{s}", v, experiment=name) for s, v in ((1, 0.66), (2, 0.70), (3, 0.86))]
    means = pd.DataFrame([{"metric": "dice_all", "experiment": name, "mean_lo": 0.65, "mean_hi": 0.83}])
    ranks = pd.concat([NO_RANKS, means])
    figure = ranking_figure(table(*lucky, ROWS[1]), ranks, NO_PAIRS, RankingSettings(metric="dice_all"))
    dots, intervals, ticks = (drawn(figure.axes[0], kind) for kind in ("value", "interval", "seeds"))
    first = lucky[0]["exp_id"]
    assert list(dots) == [BEST, first]
    assert dots[first].get_xdata()[0] == pytest.approx(0.74)
    assert intervals[first].get_segments()[0][:, 0].tolist() == [0.65, 0.83]
    assert sorted(ticks[first].get_xdata()) == [0.66, 0.70, 0.86]
    said = texts(figure)
    assert "sam tiny (3 seeds)" in said
    assert "Of several seeds the mean; ticks: the seeds." in said
    assert "0.860" not in said


def test_the_first_seed_of_the_best_mean_stands_first():
    lucky, steady = "sam-tiny_full_none_native_s1+2", "unet-resnet18_full_none_native_s1+2"
    rows = [row(f"sam-tiny_full_none_native_s{s}", v, experiment=lucky) for s, v in ((1, 0.5), (2, 0.9))]
    rows += [row(f"unet-resnet18_full_none_native_s{s}", v, experiment=steady) for s, v in ((1, 0.74), (2, 0.76))]
    ordered = words.label_rows(table(*rows), "automatic", "dice_all")
    assert ordered["experiment"].tolist() == [steady, steady, lucky, lucky]
    assert ordered["seed"].tolist() == [1, 2, 1, 2]


@pytest.mark.parametrize("rows", [(), (ORACLE,), ROWS[-2:]], ids=["nothing", "oracle only", "references only"])
def test_empty_tracks_are_no_error(rows, tmp_path):
    style.save(
        ranking_figure(table(*rows), NO_RANKS, NO_PAIRS, RankingSettings(metric="dice_all")), tmp_path / "ranking.png"
    )
    style.save(data_efficiency_figure(table(*rows), NO_CURVES, NO_FITS), tmp_path / "data_efficiency.png")
    assert all((tmp_path / f"{name}.png").stat().st_size > 0 for name in ("ranking", "data_efficiency"))


def test_data_efficiency_shows_every_training_and_joins_the_means_over_seeds():
    rows = [row(f"unet-resnet18_{n}_none_native_s{s}", 0.6 + n / 1000 + s / 50, n) for n in (50, 100) for s in (1, 2)]
    zero_shot = row("sam3-base_0_none_native_s42", 0.6, 0)
    (axes,) = data_efficiency_figure(table(*rows, zero_shot, *ROWS[-2:]), NO_CURVES, NO_FITS).axes
    (points,) = drawn(axes, "value").values()
    assert sorted(points.get_ydata()) == sorted(r["dice_all"] for r in rows)
    (mean,) = drawn(axes, "mean").values()
    np.testing.assert_allclose(mean.get_ydata(), [0.68, 0.73])
    np.testing.assert_allclose(mean.get_xdata(), [50, 100])
    (bars,) = drawn(axes, "interval").values()
    ends = sorted(tuple(segment[:, 1]) for segment in bars.get_segments())
    np.testing.assert_allclose(ends, sorted((r["dice_all_lo"], r["dice_all_hi"]) for r in rows))
    assert [label.get_text() for label in axes.get_xticklabels()] == ["50", "100"]
    levels = {exp_id: line.get_ydata()[0] for exp_id, line in drawn(axes, "level").items()}
    assert levels == {r["exp_id"]: r["dice_all"] for r in (zero_shot, *ROWS[-2:])}


def test_the_labels_that_are_nearly_enough_are_marked_on_the_fitted_line():
    rows = [row(f"unet-resnet18_{n}_none_native_s1", 1 - 2 * n**-0.5, n) for n in (50, 100, 400)]
    (name,) = words.label_rows(table(*rows), "automatic", "dice_all")["series"].unique()
    n = np.geomspace(50, 400, 60)
    law = pd.DataFrame({"series": name, "n_labels": n, "score": 1 - 2 * n**-0.5})
    law = law.assign(score_lo=law["score"] - 0.02, score_hi=law["score"] + 0.02)
    known = {"track": "automatic", "series": name, "n_enough": 217.0, "n_enough_lo": 190.0, "n_enough_hi": 250.0}
    known |= {"tested": True, "exponent": 0.5}
    changes = ({"p_holm": 0.01}, {"p_holm": 0.06}, {"p_holm": np.nan, "tested": False})
    fits = pd.DataFrame([known | change for change in changes], columns=list(FITS))
    figure = data_efficiency_figure(table(*rows), law, fits[:1])
    (mark,) = drawn(figure.axes[0], "enough").values()
    (x,), (y,) = mark.get_data()
    assert (x, y) == (217, pytest.approx(1 - 2 * 217**-0.5, abs=1e-3))
    assert "labels for 95 % of the fitted score" in texts(figure)
    assert not drawn(data_efficiency_figure(table(*rows), law, fits[1:2]).axes[0], "enough"), "no fall was shown"
    single = law.assign(score_lo=np.nan, score_hi=np.nan)
    figure = data_efficiency_figure(table(*rows), single, fits[2:])
    assert set(drawn(figure.axes[0], "fit")) == {name}
    assert not drawn(figure.axes[0], "enough")
    assert not drawn(figure.axes[0], "band")
    assert "described, not tested" in " ".join(texts(figure).split())


def test_one_number_of_labels_gives_points_and_a_note():
    figure = data_efficiency_figure(table(ROWS[1], ROWS[2], ROWS[-1]), NO_CURVES, NO_FITS)
    assert len(drawn(figure.axes[0], "value")) == 2
    assert not drawn(figure.axes[0], "mean")
    assert "No model was trained on two numbers of labels yet" in texts(figure)


def test_names_beside_the_lines_keep_their_order_and_their_distance():
    places = [0.5, 0.1, 0.51, 0.49, 0.9]
    moved = spread(places, 0.1)
    assert np.argsort(moved).tolist() == np.argsort(places).tolist()
    assert np.diff(sorted(moved)).min() > 0.1 - 1e-9
    np.testing.assert_allclose(moved, [0.5, 0.1, 0.6, 0.4, 0.9])
    np.testing.assert_allclose(spread([0.98, 0.99, 1.0], 0.1), [0.8, 0.9, 1.0])


def test_colours_follow_the_order_of_first_appearance_whatever_the_names():
    hues = palette.family_colours(["none", "b", "a", "b"], ["reference", "automatic", "oracle", "automatic"])
    assert hues == {"none": palette.MUTED, "b": palette.HUES[0], "a": palette.HUES[1]}
    assert list(palette.series_colours(hues, ["b", "b", "a"], ["b1", "b2", "a1"]).items()) == [
        ("b1", palette.HUES[0]),
        ("b2", palette.lighter(palette.HUES[0], 0.275)),
        ("a1", palette.HUES[1]),
    ]
    shades = palette.series_colours(hues, ["a", "a"], ["a1", "a2"])
    assert shades["a1"] == hues["a"], "a family keeps its colour where no other is shown"
    single = palette.series_colours({"b": palette.HUES[0], "none": palette.MUTED}, ["b", "b"], ["b1", "b2"])
    assert list(single.values()) == list(palette.HUES[:2])


def test_exponents_in_names_keep_their_sign():
    rows = [row(f"unet-resnet18_full_none_native_lr-{lr}_s42", 0.7) for lr in ("1e-05", "0.001")]
    assert set(words.label_rows(table(*rows), "automatic", "dice_all")["label"]) == {
        "unet resnet18, lr 1e-05",
        "unet resnet18, lr 0.001",
    }


@pytest.mark.parametrize("width", [0.5, 2.0, 3.7])
def test_names_that_are_too_long_keep_both_ends(width):
    name = "unet-resnet18 full task-per-class loss-dice-bce lr-0.001 mode-crops"
    first, second = (style.shorten(f"{name} {end}", width) for end in ("s1", "s2"))
    assert first != second
    assert first.startswith("un")
    assert style.text_width([first]) <= width
    assert style.shorten("unet", width) == "unet"


def test_given_names_are_the_labels_of_runs_and_series():
    ids = ["unet-resnet18_80_none_native_s1", "unet-resnet18_80_none_native_s2", "unet-resnet18_full_none_native_s1"]
    names = ["baseline_subset-80_s1", "baseline_subset-80_s2", "baseline_subset-full_s1"]
    rows = [
        row(exp_id, 0.7, name=name, subset_size=subset)
        for exp_id, name, subset in zip(ids, names, ("80", "80", "full"), strict=True)
    ]
    rows = words.label_rows(table(*rows, row("sam-tiny_full_none_native_s1", 0.6)), "automatic", "dice_all")
    assert rows["label"].tolist() == [*names, "sam tiny"]
    assert rows["series_label"].tolist() == ["baseline"] * 3 + ["sam tiny"]


def test_a_series_of_several_names_has_that_of_none():
    rows = [row(f"unet-resnet18_80_none_native_s{seed}", 0.7, name=f"run-{seed}", subset_size="80") for seed in (1, 2)]
    rows = words.label_rows(table(*rows), "automatic", "dice_all")
    assert rows["label"].tolist() == ["run-1", "run-2"]
    assert set(rows["series_label"]) == {"unet resnet18"}


def test_runs_with_shortened_ids_are_one_series():
    rows = [
        row(exp_id, 0.7, unabridged_id=unabridged, model="unet", variant="resnet18")
        for exp_id, unabridged in (
            ("unet-resnet18_80_none_native_lr-1_s42", "unet-resnet18_80_none_native_lr-1_loss-dice_s42"),
            ("unet-resnet18_full_none_native_01234567_s42", "unet-resnet18_full_none_native_lr-1_loss-dice_s42"),
        )
    ]
    assert words.label_rows(table(*rows), "automatic", "dice_all")["series"].nunique() == 1
