"""Leaderboard and findings: sorted within tracks, aligned, and winners only where the tests name one."""

import findings as findings_script
import leaderboard as script
import pandas as pd
import pytest

from defectbench.evaluation.pairwise import PAIRWISE, SEEDS
from defectbench.evaluation.results import COLUMNS
from defectbench.reporting.data_notes import data_notes
from defectbench.reporting.findings import findings
from defectbench.reporting.leaderboard import leaderboard, markdown_table
from defectbench.reporting.names import experiment_names, short_names
from defectbench.reporting.paper import as_markdown, paper_tables
from defectbench.reporting.power_law import FITS

ISSUES = pd.DataFrame(columns=["file", "row", "problem"])
LEAKS = pd.DataFrame(columns=["dropped_image_id", "dropped_role", "kept_image_id", "kept_role"])
TAIL = "none_native_lr-0.001_steps-500_s42"


def row(exp_id, track="automatic", dice=0.8, **changes):
    base = {
        **dict.fromkeys(("exp_id", "name", "unabridged_id"), exp_id),
        "model": "unet",
        "variant": "resnet18",
        "dataset": "steel",
        "track": track,
        "dice_all": dice,
        "dice_all_lo": dice - 0.05,
        "dice_all_hi": dice + 0.05,
        "test_Dice": dice - 0.1,
        "test_Dice_lo": dice - 0.2,
        "test_Dice_hi": dice,
        "test_mIoU": dice - 0.2,
        "IoU@50": 0.7,
        "fp_image_rate": 0.125,
        "threshold": 0.3359375,
        "used_val_labels": True,
        "n_labels_train": 80,
        "params_total": 14_328_209,
        "avg_inference_time": 0.01234,
        "n_test": 86,
        "n_test_groups": 80,
        "experiment": exp_id,
        "seed": 42,
        "n_test_defective": 45,
    }
    return base | changes


def table(*rows):
    return pd.DataFrame(
        {name: pd.Series([r.get(name) for r in rows], dtype=kind) for name, kind in COLUMNS.items()},
    )


def pair(a, b, claim="no claim", kind="vs_best", track="automatic", **changes):
    base = {"track": track, "metric": "dice_all", "a": a, "b": b, "kind": kind, "n_images": 87, "n_groups": 80}
    base |= {"difference": 1.23, "difference_lo": -0.4, "difference_hi": 2.8, "p": 0.07, "p_holm": 0.21}
    return base | {"claim": claim} | changes


def pairs(*rows):
    return pd.DataFrame([{name: row.get(name) for name in PAIRWISE} for row in rows], columns=list(PAIRWISE))


NO_PAIRS = pairs()
NO_FITS = pd.DataFrame(columns=list(FITS))


@pytest.fixture
def results():
    return table(
        row(f"unet-resnet18_80_{TAIL}", dice=0.7),
        row(f"unet-resnet18_full_{TAIL}", dice=0.8, n_labels_train=336),
        row("unet-resnet18_full_none_native_task-per-class_lr-0.001_steps-500_s42", dice=0.75, threshold=None),
        row(
            "all_empty_full_none_native_s42",
            "reference",
            dice=0.5,
            model="all_empty",
            variant="",
            used_val_labels=False,
            params_total=0,
            n_labels_train=0,
        ),
    )


def no_findings(results, pairwise, issues, leaks):
    return findings(results, pairwise, pd.DataFrame(columns=SEEDS), NO_FITS, issues, leaks)


def markdown_tables(results, pairwise, issues, leaks):
    return as_markdown(paper_tables(results, pairwise, {}), data_notes(issues, leaks))


def lines_of(page, start):
    return [line for line in page.splitlines() if line.startswith(start)]


def test_tracks_have_their_own_tables_sorted_by_their_metric(results):
    page = leaderboard(results, NO_PAIRS, ISSUES, LEAKS)
    assert lines_of(page, "## ") == ["## Automatic track", "## Reference track", "## Notes"]
    unets = lines_of(page, "| unet")
    assert [line.split("|")[1].strip() for line in unets] == [
        "unet-resnet18 full",
        "unet-resnet18 full task-per-class",
        "unet-resnet18 80",
    ]
    expected = ["0.800 [.750, .850]", "0.600", "0.700", "0.125", "0.336", "336", "14.3 M", "12.3"]
    assert [cell.strip() for cell in unets[0].split("|")[3:-1]] == expected
    assert page.index("all_empty") > page.index("## Reference track")
    assert "86 test images in 80 groups, 45 images defective" in page


def test_values_after_post_processing_stand_beside_the_others_where_any_was_chosen():
    chosen = {"post_processing": '{"merged": "open 1"}', "dice_all_pp": 0.8125}
    rows = [row("unet-resnet18_a", **chosen), row("unet-resnet18_b", dice=0.7, dice_all_pp=0.7)]
    page = leaderboard(table(*rows), NO_PAIRS, ISSUES, LEAKS)
    (header,) = lines_of(page, "| experiment")
    assert [cell.strip() for cell in header.split("|")[3:6]] == ["dice_all [95 % CI]", "dice_all_pp", "test_mIoU"]
    assert [line.split("|")[4].strip() for line in lines_of(page, "| unet")] == ["0.812", "–"]
    assert "_pp" not in leaderboard(table(rows[1]), NO_PAIRS, ISSUES, LEAKS).split("## Notes")[0]


def test_cross_validated_rows_show_mean_and_spread_between_folds():
    folds = {"cv_folds": 5, "cv_dice_all_mean": 0.75, "cv_dice_all_sd": 0.0125}
    rows = [row("unet-resnet18_a", **folds), row("unet-resnet18_b", dice=0.7)]
    page = leaderboard(table(*rows), NO_PAIRS, ISSUES, LEAKS)
    (header,) = lines_of(page, "| experiment")
    assert header.split("|")[4].strip() == "CV"
    assert [line.split("|")[4].strip() for line in lines_of(page, "| unet")] == ["0.750 ± 0.013", "–"]
    assert " CV " not in lines_of(leaderboard(table(rows[1]), NO_PAIRS, ISSUES, LEAKS), "| experiment")[0]


def test_a_dash_for_the_threshold_of_a_zero_shot_model_is_explained_where_there_is_one():
    trained = row("unet-resnet18_a", policy="calibrated")
    empty = row("all_empty", "reference", policy="at_0.5", used_val_labels=False)
    zero_shot = row("sam3", policy="at_0.5", used_val_labels=False)
    note = "Zero-shot models are scored at p = 0.5"
    assert note not in leaderboard(table(trained, empty), NO_PAIRS, ISSUES, LEAKS)
    assert note in leaderboard(table(trained, empty, zero_shot), NO_PAIRS, ISSUES, LEAKS)


def test_an_oracle_table_is_sorted_by_dice_on_defective_images():
    rows = [
        row("unet-resnet18_a", "oracle", dice=0.8, test_Dice=0.2),
        row("unet-resnet18_b", "oracle", dice=0.7, test_Dice=0.9),
    ]
    page = leaderboard(table(*rows), NO_PAIRS, ISSUES, LEAKS)
    assert "## Oracle track" in page
    assert "test_Dice [95 % CI]" in page
    assert [line.split("|")[1].strip() for line in lines_of(page, "| unet")] == ["unet-resnet18 b", "unet-resnet18 a"]


def test_nulls_are_dashes_and_methods_without_scores_have_no_threshold(results):
    page = leaderboard(results, NO_PAIRS, ISSUES, LEAKS)
    (line,) = lines_of(page, "| all_empty")
    assert [cell.strip() for cell in line.split("|")[7:10]] == ["–", "0", "0"]
    assert lines_of(page, "| unet-resnet18 full task")[0].split("|")[7].strip() == "–"
    assert "nan" not in page.lower().replace("resnet", "")


def test_tables_are_aligned_and_narrow(results):
    page = leaderboard(results, NO_PAIRS, ISSUES, LEAKS)
    for section in page.split("## ")[1:3]:
        widths = {len(line) for line in lines_of(section, "|")}
        assert len(widths) == 1
        assert widths.pop() <= 144
    assert max(len(line) for line in page.splitlines() if not line.startswith("|")) <= 120


def test_short_names_are_unique_and_every_id_is_listed(results):
    automatic = results[results["track"] == "automatic"]
    assert len(set(short_names(automatic))) == 3
    page = leaderboard(results, NO_PAIRS, ISSUES, LEAKS)
    for exp_id in results["exp_id"]:
        assert f"`{exp_id}`" in page


def test_what_the_numbers_mean_is_said(results):
    page = said(leaderboard(results, NO_PAIRS, ISSUES, LEAKS))
    assert "Thresholds were chosen on validation images alone" in page
    assert "studentised bootstrap over groups of test images" in page


def said(page):
    return " ".join(page.split())


def marked(page):
    rows = [line.split("|") for line in page.splitlines() if line.startswith("| ")]
    return [cells[1].strip() for cells in rows if cells[2].strip() == "●"]


A, B, C = (f"unet-resnet18_{subset}_{TAIL}" for subset in ("full", "80", "160"))
EMPTY = "all_empty_full_none_native_s42"


@pytest.fixture
def three():
    return table(
        row(A, dice=0.8),
        row(B, dice=0.7),
        row(C, dice=0.75),
        row(EMPTY, "reference", 0.5, model="all_empty", variant=""),
    )


def test_a_winner_is_named_only_when_every_other_is_significantly_worse(three):
    beaten = pairs(pair(A, B, "a better"), pair(A, C, "a better"), pair(A, EMPTY, "a better", "vs_reference"))
    page = leaderboard(three, beaten, ISSUES, LEAKS)
    assert "Winner: unet-resnet18 full; every other experiment of the track is significantly worse." in said(page)
    assert marked(page) == ["unet-resnet18 full"]
    for claim in ("no claim", "too few groups"):
        page = leaderboard(three, pairs(pair(A, B, "a better"), pair(A, C, claim)), ISSUES, LEAKS)
        assert "Winner" not in page
        assert marked(page) == ["unet-resnet18 full", "unet-resnet18 160"]


def test_whoever_beats_the_best_on_val_stands_above_all_that_it_beats(three):
    page = leaderboard(three, pairs(pair(A, B, "a better"), pair(A, C, "b better")), ISSUES, LEAKS)
    assert "Winner: unet-resnet18 160;" in said(page)
    untested = leaderboard(three, pairs(pair(A, B), pair(A, C, "b better")), ISSUES, LEAKS)
    assert marked(untested) == ["unet-resnet18 160", "unet-resnet18 80"]
    assert "Winner" not in untested


def test_few_groups_and_methods_no_worse_than_a_reference_are_said(three):
    few = pairs(*(pair(A, other, "too few groups") for other in (B, C)), pair(A, EMPTY, "no claim", "vs_reference"))
    page = said(leaderboard(three, few, ISSUES, LEAKS))
    assert "No winner is named: too few groups of test images for a test; at least 20 are needed." in page
    assert "Not shown to be worse than unet-resnet18 full: all_empty." in page


def test_findings_say_each_comparison_and_rank_only_what_is_claimed(three):
    tests = pairs(
        pair(A, B),
        pair(A, C, "a better", difference_lo=0.2, p_holm=0.0123),
        pair(A, EMPTY, "too few groups", "vs_reference", n_images=12, n_groups=11),
    )
    page = findings(three, tests, pd.DataFrame(columns=SEEDS), NO_FITS, ISSUES, LEAKS)
    full, b, c = "unet-resnet18 full", "unet-resnet18 80", "unet-resnet18 160"
    sentence = "+1.2 pp dice_all [−0.4, 2.8], not significant (Holm p = 0.21, 87 images in 80 groups)."
    assert f"- {full} − {b}: {sentence}" in page
    assert f"- {full} − {c}: +1.2 pp dice_all [0.2, 2.8]: {full} is better (Holm p = 0.012, 87 images" in page
    assert "all_empty: +1.2 pp dice_all [−0.4, 2.8], too few groups for a test (12 images in 11 groups)." in page
    assert page.count("is better") == 1


def test_findings_say_which_models_have_not_learned(three):
    failed = three.assign(problems=[None, "no pixel of any test image is predicted", None, None])
    page = no_findings(failed, NO_PAIRS, ISSUES, LEAKS)
    assert "**unet-resnet18 80, seed 42: no pixel of any test image is predicted.**" in page
    assert page.count("seed 42") == 1


def test_findings_explain_an_interval_without_a_claim(three):
    page = no_findings(three, pairs(pair(A, B, difference_lo=0.2, p_holm=0.08)), ISSUES, LEAKS)
    but = "though the interval, which is not corrected, excludes 0"
    assert f"[0.2, 2.8], not significant (Holm p = 0.08, {but}, 87 images in 80 groups)." in page


def test_findings_of_several_seeds_and_of_nothing(three):
    seeded = three.assign(experiment=["u_s1+2", "u_s1+2", C, EMPTY])
    spread = pd.DataFrame([("automatic", "dice_all", "u_s1+2", 2, 0.75, 0.05, 0.04, 0.3, 0.1)], columns=SEEDS)
    page = findings(seeded, pairs(pair("u_s1+2", C)), spread, NO_FITS, ISSUES, LEAKS)
    assert "0.750 ± 0.050 over 2 seeds (standard deviations: seeds 0.040, images 0.300, rest 0.100)." in page
    assert "No two experiments were compared." in no_findings(three, NO_PAIRS, ISSUES, LEAKS)


def test_the_findings_script_writes_the_page(three, tmp_path):
    tests, seeds = pairs(pair(A, B), pair(A, C, "a better")), pd.DataFrame(columns=SEEDS)
    three.to_parquet(tmp_path / "results.parquet")
    tests.to_csv(tmp_path / "pairwise.csv", index=False)
    seeds.to_csv(tmp_path / "seeds.csv", index=False)
    NO_FITS.to_csv(tmp_path / "fits.csv", index=False)
    names = {"results": "results.parquet", "pairwise": "pairwise.csv", "seeds": "seeds.csv", "fits": "fits.csv"}
    ISSUES.to_csv(tmp_path / "issues.csv", index=False)
    LEAKS.to_csv(tmp_path / "leaks.csv", index=False)
    names |= {"issues": "issues.csv", "leaks": "leaks.csv", "out": "findings.md"}
    findings_script.main([text for key, name in names.items() for text in (f"--{key}", str(tmp_path / name))])
    assert (tmp_path / "findings.md").read_text() == findings(three, tests, seeds, NO_FITS, ISSUES, LEAKS)


@pytest.mark.parametrize("report", [leaderboard, no_findings, markdown_tables])
def test_problems_of_the_data_are_said_where_there_are_any(results, report):
    page = report(results, NO_PAIRS, ISSUES, LEAKS)
    assert "quarantined" not in page
    assert "dropped" not in page
    issues = pd.DataFrame({"file": ["a.jpg", "b.jpg"], "row": ["", ""], "problem": ["truncated", "wrong size"]})
    leaks = pd.DataFrame([["t1", "train", "v1", "test"], ["t2", "train", "v2", "val"]], columns=LEAKS.columns)
    page = said(report(results, NO_PAIRS, issues, leaks))
    assert "2 problem(s) in the source files" in page
    assert "a.jpg: truncated" in page
    assert "2 image(s) dropped (2 from train)" in page
    assert "t1 = v1" in page


def test_images_that_nothing_groups_are_noted(results):
    assert "split.group_by" not in leaderboard(results, NO_PAIRS, ISSUES, LEAKS)
    page = said(leaderboard(results, NO_PAIRS, ISSUES, LEAKS, ungrouped=True))
    assert "split.group_by is not set, so images of one coil, part or photo are not known as such." in page


def test_markdown_table_pads_its_cells():
    assert markdown_table(["a", "bb"], [["xyz", "1"], ["x", "100"]]).splitlines() == [
        "| a   |  bb |",
        "| --- | --: |",
        "| xyz |   1 |",
        "| x   | 100 |",
    ]


def test_the_script_writes_the_page(results, tmp_path, capsys):
    results.to_parquet(tmp_path / "results.parquet")
    ISSUES.to_csv(tmp_path / "issues.csv", index=False)
    LEAKS.to_csv(tmp_path / "leaks.csv", index=False)
    NO_PAIRS.to_csv(tmp_path / "pairwise.csv", index=False)
    paths = {
        "results": "results.parquet",
        "pairwise": "pairwise.csv",
        "issues": "issues.csv",
        "leaks": "leaks.csv",
        "out": "leaderboard.md",
    }
    script.main([text for name, path in paths.items() for text in (f"--{name}", str(tmp_path / path))])
    assert (tmp_path / "leaderboard.md").read_text() == leaderboard(results, NO_PAIRS, ISSUES, LEAKS)
    assert "4 experiments in" in capsys.readouterr().out


def test_names_of_the_configuration_stand_for_ids_in_every_table():
    ids = [f"unet-resnet18_full_{TAIL}", f"unet-resnet18_100_{TAIL}", f"all_empty_full_{TAIL}"]
    results = table(
        row(ids[0], name="baseline"),
        row(ids[1]),
        row(ids[2], track="reference", model="all_empty", variant=""),
    )
    assert short_names(results) == ["baseline", "unet-resnet18 100", "all_empty"]
    assert experiment_names(results)[ids[0]] == "baseline"
    page = leaderboard(results, NO_PAIRS, ISSUES, LEAKS)
    assert f"- baseline: `{ids[0]}`" in page
    tables = as_markdown(paper_tables(results, NO_PAIRS, {}), [])
    assert "baseline" in tables
    assert ids[0] not in tables


def test_no_derived_name_is_the_given_name_of_another_row():
    ids = [f"unet-resnet18_{subset}_{TAIL}" for subset in (50, 100, "full")]
    results = table(row(ids[0], name="unet-resnet18 100"), row(ids[1]), row(ids[2]))
    assert short_names(results) == ["unet-resnet18 100", ids[1], "unet-resnet18 full"]


def test_seeds_share_the_name_of_their_grid():
    ids = [f"unet-resnet18_full_none_native_s{seed}" for seed in (1, 2)]
    rows = [row(exp_id, name=f"unet_s{seed}", seed=seed, experiment="u_s1+2") for seed, exp_id in enumerate(ids, 1)]
    assert experiment_names(table(*rows)) == {"u_s1+2": "unet (2 seeds)"}


def test_shortened_ids_are_named_by_all_their_settings():
    ids = ["unet-resnet18_full_none_native_0123abcd_s42", "unet-resnet18_full_none_native_4567abcd_s42"]
    rows = [
        row(exp_id, unabridged_id=f"unet-resnet18_full_none_native_lr-{lr}_s42") for lr, exp_id in enumerate(ids, 1)
    ]
    assert short_names(table(*rows)) == ["unet-resnet18 lr-1", "unet-resnet18 lr-2"]
