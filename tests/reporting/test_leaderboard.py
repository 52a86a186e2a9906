"""The leaderboard: a row per experiment, sorted within tracks, and winners only where the tests name one."""

import leaderboard as script
import pandas as pd
import pytest
from board_tables import EMPTY, ISSUES, LEAKS, NO_PAIRS, TAIL, A, B, C, pair, pairs, ranks, row, seeds, table, three

from defectbench.evaluation.pairwise import SEEDS
from defectbench.reporting import leaderboard as leaderboard_module
from defectbench.reporting.data_notes import data_notes
from defectbench.reporting.findings import findings
from defectbench.reporting.leaderboard import markdown_table
from defectbench.reporting.names import experiment_names, short_names
from defectbench.reporting.page.answer import answer
from defectbench.reporting.paper import as_markdown, paper_tables
from defectbench.reporting.power_law import FITS
from defectbench.reporting.verdicts import Standing


def leaderboard(results, pairwise=NO_PAIRS, issues=ISSUES, leaks=LEAKS, ungrouped=False):
    return leaderboard_module.leaderboard(results, ranks(results), pairwise, issues, leaks, ungrouped)


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
            images_seen=None,
        ),
    )


def all_findings(results, pairwise=NO_PAIRS, issues=ISSUES, leaks=LEAKS):
    none = (pd.DataFrame(columns=list(columns)) for columns in (SEEDS, FITS))
    return findings(results, ranks(results), pairwise, *none, issues, leaks)


def markdown_tables(results, pairwise=NO_PAIRS, issues=ISSUES, leaks=LEAKS):
    return as_markdown(paper_tables(results, ranks(results), pairwise, {}), data_notes(issues, leaks))


def lines_of(page, start):
    return [line for line in page.splitlines() if line.startswith(start)]


def test_tracks_have_their_own_tables_sorted_by_their_metric(results):
    page = leaderboard(results)
    assert lines_of(page, "## ") == ["## Automatic track", "## Reference track", "## Notes"]
    unets = lines_of(page, "| unet")
    assert [line.split("|")[1].strip() for line in unets] == [
        "unet-resnet18 full",
        "unet-resnet18 full task-per-class",
        "unet-resnet18 80",
    ]
    expected = ["0.800 [.740, .860]", "0.600", "0.700", "0.125", "0.336", "336", "96k", "14.3 M", "12.3"]
    assert [cell.strip() for cell in unets[0].split("|")[3:-1]] == expected
    assert page.index("all_empty") > page.index("## Reference track")
    assert "86 test images in 80 groups, 45 images defective" in page


def test_values_after_post_processing_stand_beside_the_others_where_any_was_chosen():
    chosen = {"post_processing": '{"merged": "open 1"}', "dice_all_pp": 0.8125}
    rows = [row("unet-resnet18_a", **chosen), row("unet-resnet18_b", dice=0.7, dice_all_pp=0.7)]
    page = leaderboard(table(*rows))
    (header,) = lines_of(page, "| experiment")
    assert [cell.strip() for cell in header.split("|")[3:6]] == ["dice_all [95 % CI]", "dice_all_pp", "test_mIoU"]
    assert [line.split("|")[4].strip() for line in lines_of(page, "| unet")] == ["0.812", "–"]
    assert "_pp" not in leaderboard(table(rows[1])).split("## Notes")[0]


def test_cross_validated_rows_show_mean_and_spread_between_folds():
    folds = {"cv_folds": 5, "cv_dice_all_mean": 0.75, "cv_dice_all_sd": 0.0125}
    rows = [row("unet-resnet18_a", **folds), row("unet-resnet18_b", dice=0.7)]
    page = leaderboard(table(*rows))
    (header,) = lines_of(page, "| experiment")
    assert header.split("|")[4].strip() == "CV"
    assert [line.split("|")[4].strip() for line in lines_of(page, "| unet")] == ["0.750 ± 0.013", "–"]
    assert " CV " not in lines_of(leaderboard(table(rows[1])), "| experiment")[0]


def test_a_dash_for_the_threshold_of_a_zero_shot_model_is_explained_where_there_is_one():
    trained = row("unet-resnet18_a", policy="calibrated")
    empty = row("all_empty", "reference", policy="at_0.5", used_val_labels=False)
    zero_shot = row("sam3", policy="at_0.5", used_val_labels=False)
    note = "Zero-shot models are scored at p = 0.5"
    assert note not in leaderboard(table(trained, empty))
    assert note in leaderboard(table(trained, empty, zero_shot))


def test_an_oracle_table_is_sorted_by_dice_on_defective_images():
    rows = [
        row("unet-resnet18_a", "oracle", dice=0.8, test_Dice=0.2),
        row("unet-resnet18_b", "oracle", dice=0.7, test_Dice=0.9),
    ]
    page = leaderboard(table(*rows))
    assert "## Oracle track" in page
    assert "test_Dice [95 % CI]" in page
    assert [line.split("|")[1].strip() for line in lines_of(page, "| unet")] == ["unet-resnet18 b", "unet-resnet18 a"]


def test_nulls_are_dashes_and_methods_without_scores_have_no_threshold(results):
    page = leaderboard(results)
    (line,) = lines_of(page, "| all_empty")
    assert [cell.strip() for cell in line.split("|")[7:11]] == ["–", "0", "–", "0"]
    assert lines_of(page, "| unet-resnet18 full task")[0].split("|")[7].strip() == "–"
    assert "nan" not in page.lower().replace("resnet", "")


def test_tables_are_aligned_and_narrow(results):
    page = leaderboard(results)
    for section in page.split("## ")[1:3]:
        widths = {len(line) for line in lines_of(section, "|")}
        assert len(widths) == 1
        assert widths.pop() <= 150
    assert max(len(line) for line in page.splitlines() if not line.startswith("|")) <= 120


def test_short_names_are_unique_and_every_id_is_listed(results):
    automatic = results[results["track"] == "automatic"]
    assert len(set(short_names(automatic))) == 3
    page = leaderboard(results)
    for exp_id in results["exp_id"]:
        assert f"`{exp_id}`" in page


def test_what_the_numbers_mean_is_said(results):
    page = said(leaderboard(results))
    assert "Thresholds were chosen on validation images alone" in page
    assert "Intervals: 95 %, by groups of test images" in page


def said(page):
    return " ".join(page.split())


def marked(page):
    rows = [line.split("|") for line in page.splitlines() if line.startswith("| ")]
    return [cells[1].strip() for cells in rows if cells[2].strip() == "●"]


def test_a_winner_is_named_only_when_every_other_is_significantly_worse():
    results = three()
    beaten = pairs(pair(A, B, "a better"), pair(A, C, "a better"), pair(A, EMPTY, "a better", "vs_reference"))
    page = leaderboard(results, beaten)
    assert (
        "Winner: this training of unet-resnet18 full; every other experiment of the track is significantly worse."
        in said(page)
    )
    assert marked(page) == ["unet-resnet18 full"]
    for claim in ("no claim", "too few groups"):
        page = leaderboard(results, pairs(pair(A, B, "a better"), pair(A, C, claim)))
        assert "Winner" not in page
        assert marked(page) == ["unet-resnet18 full", "unet-resnet18 160"]


def test_whoever_beats_the_best_on_val_stands_above_all_that_it_beats():
    results = three()
    page = leaderboard(results, pairs(pair(A, B, "a better"), pair(A, C, "b better")))
    worse = "every other experiment of the track is significantly worse than it, or than one that is"
    assert f"Winner: this training of unet-resnet18 160; {worse} (not compared with it: unet-resnet18 80)." in said(
        page
    )
    untested = leaderboard(results, pairs(pair(A, B), pair(A, C, "b better")))
    assert marked(untested) == ["unet-resnet18 160", "unet-resnet18 80"]
    assert "Winner" not in untested


def test_few_groups_and_methods_no_worse_than_a_reference_are_said():
    results = three()
    few = pairs(*(pair(A, other, "too few groups") for other in (B, C)), pair(A, EMPTY, "no claim", "vs_reference"))
    page = said(leaderboard(results, few))
    assert "Not shown to be worse than unet-resnet18 full: all_empty." in page
    reason = "No winner is named: too few groups of test images, so nothing was tested; at least 20 are needed."
    assert reason not in page  # 80 groups
    few = few.assign(n_groups=11, n_groups_differ=11)
    page = leaderboard(results, few)
    assert reason in said(page)
    assert marked(page) == []


@pytest.mark.parametrize("report", [leaderboard, all_findings, markdown_tables])
def test_problems_of_the_data_are_said_where_there_are_any(results, report):
    page = report(results)
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
    assert "split.group_by" not in leaderboard(results)
    page = said(leaderboard(results, ungrouped=True))
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
    ranks(results).to_csv(tmp_path / "ranks.csv", index=False)
    paths = {
        "results": "results.parquet",
        "ranks": "ranks.csv",
        "pairwise": "pairwise.csv",
        "issues": "issues.csv",
        "leaks": "leaks.csv",
        "out": "leaderboard.md",
    }
    script.main([text for name, path in paths.items() for text in (f"--{name}", str(tmp_path / path))])
    assert (tmp_path / "leaderboard.md").read_text() == leaderboard(results)
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
    page = leaderboard(results)
    assert f"- baseline: `{ids[0]}`" in page
    tables = as_markdown(paper_tables(results, ranks(results), NO_PAIRS, {}), [])
    assert "baseline" in tables
    assert ids[0] not in tables


def test_a_row_is_an_experiment_and_the_luckiest_seed_is_not_the_first():
    lucky = seeds("unet-resnet18_full_none_native_s1+2+3+4+5", (0.66, 0.68, 0.70, 0.72, 0.76))
    sam3 = row("sam3_full_text_1008_s42", dice=0.75, model="sam3", variant="")
    page = leaderboard(table(*lucky, sam3))
    first, second = (line.split("|") for line in lines_of(page, "| ")[2:4])
    assert [first[1].strip(), first[3].strip()] == ["sam3", "0.750 [.690, .810]"]
    assert [second[1].strip(), second[3].strip()] == ["unet-resnet18 (5 seeds)", "0.704 ± 0.038 [.644, .764]"]
    assert "± sd" in lines_of(page, "| experiment")[0]
    listed = lines_of(page, "  - seed")
    assert [line.split(":")[0] for line in listed] == [f"  - seed {k}" for k in range(1, 6)]
    assert f"  - seed 5: 0.760 [.710, .810], `{lucky[4]['exp_id']}`" in listed
    assert page.count("0.760") == 1


def test_other_columns_are_means_over_the_seeds():
    two = seeds("unet-resnet18_full_none_native_s1+2", (0.6, 0.8))
    two[0] |= {
        "infer_ms_p50": 10.0,
        "fp_image_rate": 0.1,
        "post_processing": '{"merged": "open 1"}',
        "dice_all_pp": 0.7,
    }
    two[1] |= {"infer_ms_p50": 14.0, "fp_image_rate": 0.2, "dice_all_pp": 0.8}
    (line,) = lines_of(leaderboard(table(*two)), "| unet")
    cells = [cell.strip() for cell in line.split("|")]
    assert (cells[4], cells[7], cells[-2]) == ("0.750", "0.150", "12.0")


def test_the_luck_of_the_first_row_is_said_with_its_size(results):
    lucky = ranks(results, luck=0.0213)
    page = said(leaderboard_module.leaderboard(results, lucky, NO_PAIRS, ISSUES, LEAKS))
    assert "The first of 3 is partly lucky: its value is too high by about 2.1 pp on average." in page
    one = results[results["track"] == "reference"]
    assert "lucky" not in leaderboard_module.leaderboard(one, ranks(one, luck=0.0), NO_PAIRS, ISSUES, LEAKS)


def test_what_predicts_nothing_is_named_seed_by_seed(results):
    note = "so that dice_all is just the share of clean images"
    assert note not in leaderboard(results)
    empty = row(EMPTY, "reference", model="all_empty", variant="", Precision=None)
    seeded = table(*seeds("unet-resnet18_full_none_native_s1+2", (0.5, 0.8)), empty)
    seeded.loc[0, "Precision"] = None
    page = said(leaderboard(seeded))
    assert f"{note}: unet-resnet18 (2 seeds) seed 1." in page
    assert f"{note}: all_empty." in page


def test_numbers_of_zero_shot_rows_that_val_labels_had_a_part_in_are_marked():
    chosen = {"post_processing": '{"merged": "open 1"}', "dice_all_pp": 0.81}
    trained = row("unet-resnet18_a", **chosen)
    zero_shot = row("sam3", model="sam3", variant="", dice=0.7, policy="at_0.5", used_val_labels=False, **chosen)
    page = leaderboard(table(trained, zero_shot))
    assert [line.split("|")[4].strip() for line in lines_of(page, "| ")[2:4]] == ["0.810", "0.810†"]
    assert "†: chosen with val labels" in page
    assert "†" not in leaderboard(table(trained))


def test_times_are_medians_and_means_are_marked_as_such():
    stages = {"infer_ms_p50": None, "avg_inference_time": 0.03, "infer_ms_stage1": 20.0, "infer_ms_stage2": 10.0}
    page = leaderboard(table(row("unet-resnet18_a"), row("cascade_b", dice=0.7, model="cascade", variant="", **stages)))
    assert [line.split("|")[-2].strip() for line in lines_of(page, "| ")[2:4]] == ["12.3", "~30.0 = 20.0 + 10.0"]


def test_dice_at_the_clean_share_of_the_line_stands_beside_dice_all_where_it_is_set():
    share = {"clean_share": 0.98, "dice_at_clean_share": 0.912}
    bounds = {"dice_at_clean_share_lo": 0.88, "dice_at_clean_share_hi": 0.94}
    two = seeds("unet-resnet18_full_none_native_s1+2", (0.6, 0.7), **share)
    two[1]["dice_at_clean_share"] = 0.932
    results = table(row("sam3", model="sam3", variant="", **share, **bounds), *two)
    page = leaderboard(results)
    (header,) = lines_of(page, "| experiment")
    assert header.split("|")[4].strip() == "at 98 % clean"
    cells = [line.split("|")[4].strip() for line in lines_of(page, "| ")[2:4]]
    assert cells == ["0.912 (0.88 – 0.94)", "0.922 (± 0.014)"]
    assert "at … % clean: dice_all if that share of the images were clean" in page
    assert "clean" not in lines_of(leaderboard(table(row("unet-resnet18_a"))), "| experiment")[0]
    told = answer(results, ranks(results), NO_PAIRS, {"automatic": Standing.of(results, NO_PAIRS, "automatic")})
    assert "With 98 % clean images, as on the line: 0.912 (0.88 – 0.94)." in told.sure
