"""The page says what the tables say, asks nothing of the network, and works by keyboard and on a phone."""

import base64
import hashlib
import re
import shutil
from collections import Counter
from pathlib import Path

import page as script
import pandas as pd
import pytest
from board_tables import ranks
from browser import probe
from html_outline import Outline
from synthetic_study import write_study

from defectbench.files import read_json, write_json, write_text
from defectbench.reporting.names import experiment_names
from defectbench.reporting.page.answer import answer, standings_by_track
from defectbench.reporting.page.caveats import caveats
from defectbench.reporting.page.experiment_cards import experiment_card
from defectbench.reporting.records import read_records

N_IMAGES, N = 30, 8
NO_ROWS = pd.DataFrame({"dropped_role": []})


def make_page(folder: Path, n_experiments: int, n_images: int = N_IMAGES, **how) -> Path:
    study = write_study(folder, n_experiments, n_images, **how)
    captions, plot = folder / "captions", folder / "ranking.svg"
    write_text(captions / "ranking.rst", "Every value\nwith its interval.\n")
    write_text(plot, '<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"></svg>')
    out = folder / "index.html"
    script.main([*study.page_arguments, "--plots", str(plot), "--captions", str(captions), "--out", str(out)])
    return out


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    return make_page(tmp_path_factory.mktemp("study"), N)


def tables_of(folder):
    return pd.read_parquet(folder / "results.parquet"), pd.read_csv(folder / "pairwise.csv")


def test_every_experiment_has_a_row_and_a_card_with_its_numbers(page):
    outline, (results, _) = Outline(page.read_text()), tables_of(page.parent)
    rows = [row for row in outline.all("tr") if "data-card" in row]
    assert sorted(row["data-card"] for row in rows) == sorted(f"card-{i}" for i in range(N))
    assert [dialog["id"] for dialog in outline.all("dialog")] == [f"card-{i}" for i in range(N)]
    for row in results.to_dict("records"):
        assert row["exp_id"] in outline.text
        value = row["test_Dice"] if row["track"] == "oracle" else row["dice_all"]
        assert f"{value:.3f}" in outline.text
    tracks = [section["aria-labelledby"] for section in outline.all("section") if section.get("class") == "board"]
    assert tracks == ["track-automatic", "track-oracle", "track-reference"]


def test_the_page_is_well_formed_and_says_what_its_controls_and_pictures_are(page):
    outline = Outline(page.read_text())
    ids = Counter(attributes["id"] for _, attributes in outline.elements if "id" in attributes)
    assert max(ids.values()) == 1
    assert all(image.get("alt") for image in outline.all("img"))
    assert all("aria-label" in svg or svg.get("aria-hidden") for svg in outline.all("svg"))
    targets = [a["href"].removeprefix("#") for a in outline.all("a")]
    assert set(targets) <= set(ids)
    assert all("scope" in header for header in outline.all("th"))
    assert "Every value with its interval." in outline.text


def policy_of(page) -> dict[str, list[str]]:
    """Directive -> sources."""
    (policy,) = [meta["content"] for meta in Outline(page.read_text()).all("meta") if "http-equiv" in meta]
    return {name: sources for name, *sources in (directive.split() for directive in policy.split(";"))}


def test_only_the_pages_own_script_and_style_may_run(page):
    def source(text):
        return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"

    text = page.read_text()
    (script,), (style,) = (re.findall(rf"<{tag}>(.*?)</{tag}>", text, re.S) for tag in ("script", "style"))
    assert policy_of(page) == {
        **{name: ["'none'"] for name in ("default-src", "base-uri", "form-action")},
        "img-src": ["data:"],
        "script-src": [source(script)],
        "style-src": [source(style)],
    }
    for name, attributes in Outline(text).elements:
        assert not [key for key in attributes if key == "style" or key.startswith("on")], name


SMUGGLED = """<img src="data:," onerror="found = {}; document.title = 'run'"><script>document.title = "run"</script>
<style>h1 { color: rgb(1, 2, 3) }</style><p id="styled" style="color: rgb(1, 2, 3)">x</p><base href="http://host.example">
<form action="http://host.example"><button id="send">send</button></form><iframe src="http://host.example"></iframe>"""
LOOK = """const seen = (selector) => getComputedStyle(document.querySelector(selector));
found.title = document.title; found.heading = seen("h1").color; found.base = document.baseURI;
found.dot = seen(".dot").backgroundColor; found.ring = seen(".ring").borderTopColor;"""


def test_what_is_smuggled_into_the_page_does_nothing_in_a_browser(page):
    text = page.read_text()
    smuggled = page.with_name("smuggled.html")
    smuggled.write_text(text.replace('<main id="main">', f'<main id="main">{SMUGGLED}'))
    found = probe(smuggled, f"{LOOK} found.styled = seen('#styled').color; byId('send').click();")
    assert found["title"] == re.search("<title>(.*?)</title>", text)[1]
    assert "rgb(1, 2, 3)" not in (found["heading"], found["styled"])
    assert found["base"].startswith("file:")
    assert "blocked: http://host.example" in " ".join(found["problems"])
    assert all(problem.startswith("blocked: ") for problem in found["problems"])
    # Handler, script, style, style attribute, base and frame; the form is sent after this report.
    assert len(found["problems"]) >= 6


def test_the_pages_own_colours_are_allowed(page):
    found = probe(page, LOOK)
    assert found["dot"] == "rgb(0, 114, 178)"  # the first of the palette
    assert found["ring"] == "rgb(0, 224, 160)"  # the first class
    assert found["problems"] == found["console"] == []


def test_nothing_is_loaded_from_anywhere(page):
    text = page.read_text()
    for name, attributes in Outline(text).elements:
        for key in ("src", "href"):
            assert attributes.get(key, "#").startswith(("#", "data:")), (name, attributes)
    assert not re.search(r"url\((?!data:)|@import|fetch\(|XMLHttpRequest", text)
    assert "default-src 'none'" in text


ACTIONS = """
const board = document.querySelector("#track-automatic ~ .scroll");
const rows = () => [...board.querySelectorAll("tbody tr")];
const head = (k) => board.querySelectorAll("thead th")[k];
const cell = (row, k) => row.cells[k].dataset.value;
const sort = (k) => head(k).querySelector("button").click();
found.start = rows().map((row) => Number(cell(row, 2)));
sort(2); found.ascending = rows().map((row) => Number(cell(row, 2)));
found.state = head(2).getAttribute("aria-sort");
sort(0); found.names = rows().map((row) => cell(row, 0));
const filter = document.querySelector(".filter"); filter.value = "unetpp"; filter.dispatchEvent(new Event("input"));
found.shown = rows().filter((row) => !row.hidden).map((row) => cell(row, 0));
found.count = document.querySelector(".count").textContent;
filter.value = ""; filter.dispatchEvent(new Event("input"));
rows()[0].querySelector(".open").click();
const card = document.querySelector("dialog[open]");
found.card = card.querySelector("h2").textContent; found.focusInside = card.contains(document.activeElement);
found.pictures = card.querySelectorAll(".shot").length;
card.querySelector(".close").click(); found.closed = document.querySelector("dialog[open]") === null;
const choose = (id, value) => { byId(id).value = value; byId(id).dispatchEvent(new Event("input")); };
choose("model-a", 0); choose("model-b", 1);
found.compared = byId("compared").textContent; found.dots = document.querySelectorAll("#scatter circle").length;
found.difference = document.querySelector("#images tr").textContent;
choose("model-b", data.experiments.findIndex((e) => e.track === "oracle")); found.mixed = byId("compared").textContent;
choose("gallery-model", 1); found.layers = document.querySelectorAll("#pictures .shot:first-child img").length;
byId("show-truth").click(); found.fewer = document.querySelectorAll("#pictures .shot:first-child img").length;
"""


def test_the_page_sorts_filters_opens_and_compares_in_a_browser(page):
    found = probe(page, ACTIONS)
    results, pairwise = tables_of(page.parent)
    values = results.loc[results["track"] == "automatic", "dice_all"].tolist()
    assert found["start"] == pytest.approx(sorted(values, reverse=True))
    assert found["ascending"] == pytest.approx(sorted(values))
    assert found["state"] == "ascending"
    assert found["names"] == sorted(found["names"])
    assert found["shown"] == ["unetpp-resnet34"]
    assert found["count"] == f"1 of {len(values)} shown"
    assert found["card"] == found["names"][0]
    assert found["focusInside"]
    assert found["closed"]
    assert found["pictures"] > 3
    assert found["dots"] == N_IMAGES
    first, second = (_dice(page.parent, results["exp_id"][i]) for i in (0, 1))
    higher = (first.round(3) > second.round(3)).sum(), (first.round(3) < second.round(3)).sum()
    assert f"A has the higher Dice on {higher[0]}, B on {higher[1]};" in found["compared"]
    assert ("Test on all images" in found["compared"]) == _tested(results, pairwise)
    largest = (first - second).abs().max()
    assert f"{largest:.3f}" in found["difference"]
    assert "never compared" in found["mixed"]
    assert (found["layers"], found["fewer"]) == (3, 2)
    assert found["problems"] == found["requests"] == found["console"] == []


def _dice(folder, exp_id):
    rows = pd.read_parquet(folder / "experiments" / exp_id / "per_image.parquet")
    rows = rows[(rows["role"] == "test") & (rows["policy"] == "calibrated")].set_index("image_id").sort_index()
    return ((2 * rows["tp"]) / (2 * rows["tp"] + rows["fp"] + rows["fn"])).fillna(1)


def _tested(results, pairwise):
    names = set(results["experiment"][:2])
    return any({a, b} == names for a, b in zip(pairwise["a"], pairwise["b"], strict=True))


def test_a_phone_needs_no_sideways_scrolling_and_the_gallery_fits(page):
    script = "found.width = document.documentElement.scrollWidth; found.window = innerWidth;"
    found = probe(page, script, width=500)
    assert found["width"] <= found["window"]
    assert found["problems"] == []


@pytest.mark.parametrize(("n", "bare"), [(1, False), (1, True), (5, True)])
def test_pages_of_one_experiment_and_of_missing_values_are_whole(n, bare, tmp_path):
    text = make_page(tmp_path / "study", n, 12, bare=bare).read_text()
    outline = Outline(text)
    assert len([row for row in outline.all("tr") if "data-card" in row]) == n
    assert not re.search(r"\b(nan|None|NaN|null)\b", outline.text)
    if n == 1:
        assert "There is only one experiment." in outline.text
        assert "there is nothing to compare" in outline.text


def said(folder, results=None, pairwise=None, issues=NO_ROWS, leaks=NO_ROWS):
    stored = tables_of(folder)
    results = stored[0] if results is None else results
    pairwise = stored[1] if pairwise is None else pairwise
    folders = sorted((folder / "experiments").iterdir())
    called, standings = experiment_names(results), standings_by_track(results, pairwise)
    records = read_records(results, folders)
    found = caveats(results, records, standings, called, issues, leaks)
    return found, answer(results, ranks(results), pairwise, standings)


def test_caveats_follow_the_data(page):
    results, _ = tables_of(page.parent)
    found = " ".join(said(page.parent)[0])
    assert "Too few test images to test anything: 30 images in 10 groups; 20 groups are needed." in found
    assert "5 of 5 experiments started from random weights" in found
    assert "1 experiment(s) were given prompts from the true masks" in found
    assert "with one seed: intervals and tests do not cover the chance of training" in Outline(page.read_text()).text
    assert "quarantined" not in found
    issues = pd.DataFrame({"file": ["train.csv", "b"], "row": [3, 4], "problem": ["no such image", "-"]})
    leaks = pd.DataFrame({"dropped_role": ["train", "train"]})
    many = results.assign(n_test_groups=2000, n_test=2000, weights_source="resnet")
    found = " ".join(said(page.parent, many, issues=issues, leaks=leaks)[0])
    assert "2 problem(s) in the source files" in found
    assert "The first: train.csv: no such image" in found
    assert "2 image(s) were dropped (2 from train)" in found
    assert "random weights" not in found
    assert "Too few" not in found
    assert "Few test images" not in found


def test_images_that_nothing_groups_are_a_caveat(page):
    results, pairwise = tables_of(page.parent)
    records = read_records(results, sorted((page.parent / "experiments").iterdir()))
    called, standings = experiment_names(results), standings_by_track(results, pairwise)
    plain = caveats(results, records, standings, called, NO_ROWS, NO_ROWS)
    (found,) = set(caveats(results, records, standings, called, NO_ROWS, NO_ROWS, ungrouped=True)) - set(plain)
    assert found.startswith("split.group_by is not set")


def test_batches_taken_in_parts_are_a_caveat(page, tmp_path):
    study = shutil.copytree(page.parent, tmp_path / "study")
    said_before = said(study)[0]
    runs = sorted(study.glob("experiments/*/run.json"))
    run = next(path for path in runs if read_json(path)["experiment"]["track"] == "automatic")
    write_json(run, read_json(run) | {"batch_parts": 2})
    (found,) = set(said(study)[0]) - set(said_before)
    assert found.startswith("Batches did not fit into memory")


def test_a_model_that_predicts_nothing_is_a_caveat(page):
    results, _ = tables_of(page.parent)
    problem = "no pixel of any test image is predicted. To change: a larger budget (images_seen)"
    failed = results.assign(problems=[problem, *[None] * (len(results) - 1)])
    (found,) = set(said(page.parent, failed)[0]) - set(said(page.parent)[0])
    assert found == f"{experiment_names(results)[results['experiment'][0]]}: {problem}."


def test_settings_found_by_a_search_are_a_caveat(page):
    results, _ = tables_of(page.parent)
    found = results.assign(searched=["lr 0.03: found by a search, best of 4 on val", *[None] * (len(results) - 1)])
    (sentence,) = set(said(page.parent, found)[0]) - set(said(page.parent)[0])
    assert sentence.startswith("Settings of 1 of ")
    assert sentence.endswith(f": {experiment_names(results)[results['experiment'][0]]}.")


def test_budgets_that_differ_are_a_caveat(page):
    results, _ = tables_of(page.parent)
    automatic = results["track"] == "automatic"
    first = results["experiment"] == results.loc[automatic, "experiment"].iloc[0]
    trained = results.assign(images_seen=results["images_seen"].where(automatic))
    within = trained.assign(images_seen=trained["images_seen"].where(~first, 641))
    assert said(page.parent, within)[0] == said(page.parent, trained)[0]
    below = trained.assign(images_seen=trained["images_seen"].where(~first, 639))
    (found,) = set(said(page.parent, below)[0]) - set(said(page.parent, trained)[0])
    name = experiment_names(results)[results.loc[first, "experiment"].iloc[0]]
    assert found.startswith("Automatic track: budgets differ.")
    assert f"{name} 639; the most of the track are 960" in found


def test_several_seeds_are_one_row_that_unfolds(tmp_path):
    folder = make_page(tmp_path / "study", 30, 12).parent
    results, outline = pd.read_parquet(folder / "results.parquet"), Outline((folder / "index.html").read_text())
    seeds = results.groupby("experiment")["exp_id"].nunique()
    assert seeds.max() > 1
    assert len([row for row in outline.all("tr") if "data-family" in row]) == len(seeds)
    assert len([row for row in outline.all("tr") if "data-card" in row]) == (seeds == 1).sum()
    assert len(outline.all("details")) >= (seeds > 1).sum()
    cards = [attributes["data-card"] for _, attributes in outline.elements if "data-card" in attributes]
    assert sorted(cards) == sorted(f"card-{index}" for index in range(len(results)))
    several = results[results["experiment"] == seeds.idxmax()]
    assert f"{several['dice_all'].mean():.3f} ± {several['dice_all'].std():.3f}" in outline.text
    for row in several.to_dict("records"):
        assert f"seed {row['seed']}: {row['dice_all']:.3f}" in outline.text
    assert f"{len(seeds)} experiments in {len(results)} trainings" in outline.text
    script = """const row = document.querySelector("tr:has(.seeds)"); row.querySelector("summary").click();
    found.open = row.querySelector("details").open; found.early = document.querySelector("dialog[open]") !== null;
    row.querySelectorAll(".open")[1].click(); found.card = document.querySelector("dialog[open]").id;
    found.expected = row.querySelectorAll(".open")[1].dataset.card;
    found.pair = [byId("model-a").value, byId("model-b").value];"""
    found = probe(folder / "index.html", script)
    assert found["open"]
    assert not found["early"]
    assert found["card"] == found["expected"]
    assert len({results["experiment"][int(index)] for index in found["pair"]}) == 2


def test_cards_of_zero_shot_rows_say_what_used_val_labels(page, tmp_path):
    study = shutil.copytree(page.parent, tmp_path / "study")
    folder = sorted((study / "experiments").iterdir())[-1]
    metrics = read_json(folder / "metrics.json")
    results = tables_of(study)[0]
    no_points = pd.DataFrame({"exp_id": []})
    (record,) = read_records(results[results["exp_id"] == folder.name], [folder])
    assert "with val labels" not in " ".join(experiment_card(record, no_points).metrics[0])
    write_json(folder / "metrics.json", metrics | {"zero_shot": True, "dice_all_calibrated": 0.5})
    (record,) = read_records(results[results["exp_id"] == folder.name], [folder])
    header = experiment_card(record, no_points).metrics[0]
    assert "calibrated with val labels" in header
    assert "post-processed with val labels" in header


def test_times_of_prediction_and_training_are_told_with_their_own_devices(page):
    results, _ = tables_of(page.parent)
    results = results.assign(device="CPU", train_device="NVIDIA H100")
    found, told = said(page.parent, results)
    assert "ms per image (CPU), " in told.cost[0]
    assert " training (NVIDIA H100), " in told.cost[0]
    assert "different devices" not in " ".join(found)
    found, told = said(page.parent, results.assign(device="mixed"))
    assert "ms per image (mixed devices), " in told.cost[0]
    assert "Times were measured on different devices and do not compare: mixed." in found


def test_the_oracle_track_shows_its_own_metric_after_post_processing(page):
    results, _ = tables_of(page.parent)
    outline = Outline(page.read_text())
    oracle = results[results["track"] == "oracle"].iloc[0]
    titles = [attributes["title"] for attributes in outline.all("button") if "title" in attributes]
    assert "test_Dice with the post-processing chosen on validation images" in titles
    cells = [attributes.get("data-value") for attributes in outline.all("td")]
    assert str(oracle["test_Dice_pp"]) in cells


def test_a_lead_without_a_significant_test_is_no_win(page):
    results, pairwise = tables_of(page.parent)
    results = results[results["track"] == "automatic"]
    inside = pairwise[pairwise["kind"] == "vs_best"]
    none = inside.assign(claim="no claim")
    found, told = said(page.parent, results, none)
    assert any("lead is not significant" in text or "not tested against" in text for text in found)
    assert told.which[0].startswith("No winner is named")
    best = none["a"].iloc[0]
    all_worse = none[none["a"] == best].assign(claim="a better")
    found, told = said(page.parent, results, all_worse)
    assert told.which[0].startswith(f"Winner: this training of {experiment_names(results)[best]};")
    assert not any("not significant" in text or "not tested against" in text for text in found)
