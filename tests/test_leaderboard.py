"""The leaderboard: sorted within tracks, aligned, and silent about winners."""

import leaderboard as script
import pandas as pd
import pytest

from defectbench.evaluation.results import COLUMNS
from defectbench.reporting.leaderboard import leaderboard, markdown_table, short_names

ISSUES = pd.DataFrame(columns=["file", "row", "problem"])
LEAKS = pd.DataFrame(columns=["dropped_image_id", "dropped_role", "kept_image_id", "kept_role"])
TAIL = "none_native_lr-0.001_steps-500_s42"


def row(exp_id, track="automatic", dice=0.8, **changes):
    base = {
        "exp_id": exp_id,
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
        "n_test_defective": 45,
    }
    return base | changes


def table(*rows):
    return pd.DataFrame(
        {name: pd.Series([r.get(name) for r in rows], dtype=kind) for name, kind in COLUMNS.items()},
    )


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


def lines_of(page, start):
    return [line for line in page.splitlines() if line.startswith(start)]


def test_tracks_have_their_own_tables_sorted_by_their_metric(results):
    page = leaderboard(results, ISSUES, LEAKS)
    assert lines_of(page, "## ") == ["## Automatic track", "## Reference track", "## Notes"]
    unets = lines_of(page, "| unet")
    assert [line.split("|")[1].strip() for line in unets] == [
        "unet-resnet18 full",
        "unet-resnet18 full task-per-class",
        "unet-resnet18 80",
    ]
    expected = ["0.800 [.750, .850]", "0.600", "0.700", "0.125", "0.336", "336", "14.3 M", "12.3"]
    assert [cell.strip() for cell in unets[0].split("|")[2:-1]] == expected
    assert page.index("all_empty") > page.index("## Reference track")
    assert "86 test images, 45 of them defective" in page


def test_an_oracle_table_is_sorted_by_dice_on_defective_images():
    rows = [
        row("unet-resnet18_a", "oracle", dice=0.8, test_Dice=0.2),
        row("unet-resnet18_b", "oracle", dice=0.7, test_Dice=0.9),
    ]
    page = leaderboard(table(*rows), ISSUES, LEAKS)
    assert "## Oracle track" in page
    assert "test_Dice [95 % CI]" in page
    assert [line.split("|")[1].strip() for line in lines_of(page, "| unet")] == ["unet-resnet18 b", "unet-resnet18 a"]


def test_nulls_are_dashes_and_methods_without_scores_have_no_threshold(results):
    page = leaderboard(results, ISSUES, LEAKS)
    (line,) = lines_of(page, "| all_empty")
    assert [cell.strip() for cell in line.split("|")[6:9]] == ["–", "0", "0"]
    assert lines_of(page, "| unet-resnet18 full task")[0].split("|")[6].strip() == "–"
    assert "nan" not in page.lower().replace("resnet", "")


def test_tables_are_aligned_and_narrow(results):
    page = leaderboard(results, ISSUES, LEAKS)
    for section in page.split("## ")[1:3]:
        widths = {len(line) for line in lines_of(section, "|")}
        assert len(widths) == 1
        assert widths.pop() <= 140
    assert max(len(line) for line in page.splitlines() if not line.startswith("|")) <= 120


def test_short_names_are_unique_and_every_id_is_listed(results):
    automatic = results[results["track"] == "automatic"]
    assert len(set(short_names(automatic))) == 3
    page = leaderboard(results, ISSUES, LEAKS)
    for exp_id in results["exp_id"]:
        assert f"`{exp_id}`" in page


def test_what_the_numbers_mean_is_said_and_no_winner_is_named(results):
    page = " ".join(leaderboard(results, ISSUES, LEAKS).split())
    assert "Thresholds were chosen on validation images alone" in page
    assert "percentile bootstrap over test images" in page
    assert "no significance test yet" in page
    for word in ("best", "wins", "significantly", "outperforms"):
        assert word not in page


def test_problems_of_the_data_are_said_where_there_are_any(results):
    page = leaderboard(results, ISSUES, LEAKS)
    assert "quarantined" not in page
    assert "dropped" not in page
    issues = pd.DataFrame({"file": ["a.jpg", "b.jpg"], "row": ["", ""], "problem": ["truncated", "wrong size"]})
    leaks = pd.DataFrame([["t1", "train", "v1", "test"], ["t2", "train", "v2", "val"]], columns=LEAKS.columns)
    page = " ".join(leaderboard(results, issues, leaks).split())
    assert "2 problem(s) in the source files" in page
    assert "a.jpg: truncated" in page
    assert "2 image(s) dropped (2 from train)" in page
    assert "t1 = v1" in page


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
    paths = {"results": "results.parquet", "issues": "issues.csv", "leaks": "leaks.csv", "out": "leaderboard.md"}
    script.main([text for name, path in paths.items() for text in (f"--{name}", str(tmp_path / path))])
    assert (tmp_path / "leaderboard.md").read_text() == leaderboard(results, ISSUES, LEAKS)
    assert "4 experiments in" in capsys.readouterr().out
