"""The dataset card says what the manifest holds, in words and pictures."""

import card as card_script
import cv2
import numpy as np
import pandas as pd
import pytest
from html_outline import Outline
from manifest_rows import box, image, manifest
from markdown_it import MarkdownIt
from small_datasets import HEIGHT, WIDTH, write_image, write_masks, write_severstal

from defectbench.config.ingest import AreaTable, YoloFolder
from defectbench.data.audit import audit
from defectbench.data.ingest import ingest, write_issues, write_notes
from defectbench.data.manifest import Manifest, read_manifest, write_manifest
from defectbench.data.tables import read_names
from defectbench.reporting.dataset_card import PICTURES, dataset_card
from defectbench.reporting.plots import dataset_card_charts as plots
from defectbench.reporting.plots.dataset_card_examples import (
    OF_CLASS,
    ExampleError,
    examples_figure,
    read_examples,
    typical_images,
)

NO_ISSUES = pd.DataFrame(columns=["file", "row", "problem"])


def make_card(settings, tmp_path) -> tuple[str, pd.DataFrame, set[str]]:
    """Ingest and run the script; returns the card, the findings and the names of the pictures."""
    runs = tmp_path / "runs"
    settings.write(runs / "ingest.yaml")
    found, problems, notes = ingest(settings, runs / "found.csv")
    write_manifest(runs / "manifest.parquet", found)
    write_issues(runs / "issues.csv", problems)
    write_notes(runs / "notes.csv", notes)
    names = {"settings": "ingest.yaml", "manifest": "manifest.parquet", "issues": "issues.csv"}
    names["notes"] = "notes.csv"
    names |= {"audit": "audit.csv", "card": "card.md"}
    card_script.main([text for key, name in names.items() for text in (f"--{key}", str(runs / name))])
    pictures = {path.name for path in (runs / "card").glob("*")}
    return (runs / "card.md").read_text(), pd.read_csv(runs / "audit.csv", dtype=str), pictures


def files(*names: str) -> set[str]:
    return {f"{name}.{suffix}" for name in names for suffix in ("png", "svg")}


def text_of(data: Manifest, settings=None, issues=NO_ISSUES, pictures=()) -> str:
    settings = settings or write_settings()
    return dataset_card(data, audit(data), issues, settings, pictures)


def write_settings(**changes) -> YoloFolder:
    return YoloFolder(**{"name": "parts", "format": "yolo", "root": ".", "classes": {1: "dent", 2: "stain"}} | changes)


# the script ------------------------------------------------------------------------------------------------------


def test_names_of_files_and_classes_are_text(tmp_path):
    names = (r"$\frac{$ <img src=x onerror=alert(1)>", "_=1+1 ![x](http://host.example/y.png)|`")
    masks = {f"=${number} ![x](y) <b>&lt;.png": np.eye(24, 40, k=number, dtype=np.uint8) for number in range(4)}
    classes = dict(enumerate(names, start=1))
    settings = write_masks(tmp_path / "data", masks, classes=classes, on_bad_sample="quarantine")
    (tmp_path / "data" / "images" / "=broken <img src=x>.png").write_bytes(b"nothing")
    (tmp_path / "data" / "masks" / "=broken <img src=x>.png").write_bytes(b"nothing")
    card, _, pictures = make_card(settings, tmp_path)
    outline = Outline(MarkdownIt("commonmark", {"xhtmlOut": False}).enable("table").render(card))
    assert {image["src"] for image in outline.all("img")} == {
        f"card/{name}" for name in pictures if name.endswith("png")
    }
    assert all(name in outline.text for name in names)
    assert "=broken <img src=x>.png" in outline.text
    for name in ("issues", "audit"):
        text = (tmp_path / "runs" / f"{name}.csv").read_text()
        assert not [line for line in text.splitlines() if line.startswith(("=", '"='))]
    assert read_names(tmp_path / "runs" / "issues.csv")["file"].str.contains("=broken <img src=x>.png").all()


def test_script_writes_card_findings_and_pictures(tmp_path):
    masks = {name: np.zeros((HEIGHT, WIDTH), np.uint8) for name in "abcd"}
    masks["a"][2:12, 3:20] = 1
    masks["b"][5:9, 5:9] = 2
    masks["b"][20, 30] = 1
    settings = write_masks(tmp_path, masks, on_bad_sample="quarantine")
    (tmp_path / "images" / "d.png").write_bytes((tmp_path / "images" / "a.png").read_bytes())
    write_image(tmp_path / "images" / "e.png")
    cv2.imwrite(str(tmp_path / "masks" / "e.png"), masks["a"].T)

    card, findings, pictures = make_card(settings, tmp_path)
    assert findings.values.tolist() == [
        ["d.png", "exact copy", "the same file as a.png"],
        ["d.png", "different labels", "the same picture as a.png, labelled differently"],
        ["b.png", "tiny specks", "dent: 1 of 1 regions below 4 pixels, the smallest of 1"],
    ]
    for words in (
        "**4 images**: 2 with a defect (50.0%), 2 clean (50.0%). Classes: dent, stain. Labels: `mask_folder`.",
        "| height x width | 24 x 40: 4 images |",
        "| stored as | grey 8-bit: 4 images |",
        "| dent | 1 | 2 | 50.0% | 2 | 86 | 171 | 4.453% |",  # (170 + 1) / 3840 pixels, regions of 170 and 1
        "| stain | 2 | 1 | 25.0% | 1 | 16 | 16 | 0.417% |",
        "Pictures that come at least twice: 1, in 2 images.",
        "| **different labels** | 1 |",
        "Every finding, 3 in all: [audit.csv](audit.csv)",
        "Samples that cannot be used: 1; problems: 1.",
        "- masks/e.png: ",
    ):
        assert words in card
    assert pictures == files("examples", "classes", "areas", "duplicates")
    assert all(f"](card/{name}.png)" in card for name in ("examples", "classes", "areas", "duplicates"))
    assert "card/sizes.png" not in card
    for path in (tmp_path / "runs" / "card").glob("*.png"):
        picture = cv2.imread(str(path))
        assert picture.shape[1] == 1600
        assert (picture < 128).mean() > 0.005, path


def test_pictures_of_an_earlier_run_do_not_stay(tmp_path):
    settings = write_severstal(tmp_path, ["0.png,1,1 50"], n_images=2)
    write_image(tmp_path / "train_images" / "1.png", size=(30, 50))
    assert make_card(settings, tmp_path)[2] == files("examples", "classes", "areas", "sizes")
    write_image(tmp_path / "train_images" / "1.png", seed=1)
    card, _, pictures = make_card(settings, tmp_path)
    assert pictures == files("examples", "classes", "areas")
    assert "sizes.png" not in card


@pytest.mark.parametrize(
    ("change", "words"), [("gone", "cannot be read"), ("cut", "cannot be decoded"), ("size", "size")]
)
def test_images_that_changed_since_ingest_are_refused(tmp_path, change, words):
    settings = write_severstal(tmp_path, ["0.png,1,1 50"], n_images=2)
    make_card(settings, tmp_path)
    path = tmp_path / "train_images" / "0.png"
    if change == "gone":
        path.unlink()
    elif change == "cut":
        path.write_bytes(path.read_bytes()[:100])
    else:
        write_image(path, size=(30, 50))
    data = read_manifest(tmp_path / "runs" / "manifest.parquet")
    with pytest.raises(ExampleError, match=f"0.png: image .*{words}.*ingest the dataset again"):
        read_examples(data, tmp_path)


def test_table_of_areas_has_a_card_without_images(tmp_path):
    (tmp_path / "areas.csv").write_text("ImageId,area_1\na.jpg,0\nb.jpg,7\n")
    size = {"height": 10, "width": 20}
    settings = AreaTable(name="table", format="area_table", root=tmp_path, csv="areas.csv", classes={1: "dent"}, **size)
    card, findings, pictures = make_card(settings, tmp_path)
    assert "**Areas only.**" in card
    assert "| dent | 1 | 1 | 50.0% | – | – | 7 | 1.750% |" in card
    assert "Looked for and not found: full mask, odd size." in card
    assert findings.empty
    assert pictures == files("classes")


# the text --------------------------------------------------------------------------------------------------------


def test_filled_boxes_are_told_before_anything_else():
    round_one = box(2, 2, 6, 6) - box(2, 2, 1, 1)
    data = manifest(image("a", box(2, 2, 5, 5)), image("b", round_one), image("c"))
    card = text_of(data, write_settings(boxes="fill"))
    assert card.splitlines()[2].startswith("> **Boxes were filled.**")
    assert "1 of 2 regions of the masks are full rectangles" in card
    assert "Boxes were filled" not in text_of(data)


def test_lack_of_clean_images_and_of_a_class_is_told():
    data = manifest(image("a", box(2, 2, 5, 5)))
    assert "> **No clean images**: false alarms" in text_of(data)
    assert "> **No clean images**, since `images: defective` is set" in text_of(
        data, write_settings(images="defective")
    )
    assert "**No image shows stain**" in text_of(data)
    clean = text_of(manifest(image("a", box(2, 2, 5, 5), box(9, 9, 5, 5)), image("b")))
    assert "No clean images" not in clean
    assert "No image shows" not in clean


def test_findings_are_counted_with_examples_and_the_rest_is_named():
    speck = box(2, 2, 1, 1)
    card = text_of(manifest(*(image(f"{number}|x", speck, speck) for number in range(5)), image("y")))
    (row,) = (line for line in card.splitlines() if line.startswith("| **tiny specks** | 5 |"))
    assert "0\\|x: dent: 1 of 1 regions below 4 pixels" in row
    assert row.count("dent") == 2  # three examples: both classes of the first image, one of the second
    assert "Every finding, 15 in all" in card  # specks of both classes, and their overlap
    assert "Looked for and not found: exact copy, near-duplicate, different labels, full mask, odd size" in card


def test_names_of_a_roboflow_export_are_told():
    exported = manifest(*(image(f"photo-{n // 3}_jpg.rf.{n:032x}.jpg", box(n, 2, 5, 5)) for n in range(6)))
    assert "6 images are named as Roboflow names copies (name.rf.hash), and have 2 names." in text_of(exported)
    assert "Roboflow" not in text_of(manifest(image("a"), image("b", box(2, 2, 5, 5))))


def test_only_pictures_that_were_drawn_are_shown():
    data = manifest(image("a", box(2, 2, 5, 5)), image("b"))
    for name in PICTURES:
        card = text_of(data, pictures=[name])
        assert card.count("](card/") == 1
        assert f"](card/{name}.png)" in card


def test_problems_of_ingest_are_shown_with_their_rows():
    issues = pd.DataFrame({"file": list("abcd"), "row": [3, None, None, 1], "problem": ["too long", "p", "q", "r"]})
    card = text_of(manifest(image("a")), issues=issues)
    assert "- a, row 3: too long\n- b: p\n- c: q\n\nAll of them: [issues.csv](issues.csv)." in card
    assert "problems: 4." in card


# pictures --------------------------------------------------------------------------------------------------------


def test_typical_image_is_nearest_to_the_median_and_shows_one_class():
    areas = [[10, 0], [100, 0], [1000, 0], [90, 5], [0, 0], [0, 0], [0, 0]]
    frame = pd.DataFrame({"area": areas})
    assert typical_images(frame, [0, 1]) == [(0, 1), (1, 3), (None, 5)]
    assert typical_images(frame[:3], [0, 1]) == [(0, 1)]


def test_example_shows_the_outline_on_the_masks_border(tmp_path):
    mask = box(5, 5, 10, 20)
    write_image(tmp_path / "images" / "a.png", size=(20, 30))
    (example,) = read_examples(manifest(image("a.png", mask)), tmp_path)
    assert not example.shows_others
    assert example.caption == "33.33% of a.png"
    figure = examples_figure([example], "parts", 2)
    picture = np.asarray(figure.images[0].get_array())
    scale = picture.shape[0] / 20
    colour = [int(OF_CLASS[place : place + 2], 16) for place in (1, 3, 5)]
    rows, columns = np.nonzero((picture == colour).all(axis=2))
    np.testing.assert_allclose([rows.min(), rows.max() + 1], [5 * scale, 15 * scale], atol=1)
    np.testing.assert_allclose([columns.min(), columns.max() + 1], [5 * scale, 25 * scale], atol=1)
    assert (
        not (picture[round(8 * scale) : round(12 * scale), round(8 * scale) : round(22 * scale)] == colour).all(2).any()
    )


def test_many_classes_are_cut_and_it_is_said():
    n = plots.MOST_CLASSES + 3
    names = tuple(f"class {number}" for number in range(n))
    frame = manifest(image("a"), image("b")).frame
    frame["area"] = [[0, 1, *[2] * (n - 2)], [0, 0, 0, *[2] * (n - 3)]]
    data = Manifest(frame, "parts", names, tuple(range(n)), 0)
    assert plots.frequent_classes(data) == list(range(3, n))
    texts = " ".join(text.get_text() for text in plots.classes_figure(data).texts)
    assert "3 more classes, which fewer images show" in texts


def test_bars_and_histograms_hold_the_counts():
    specks = box(0, 0, 1, 1) + box(0, 5, 1, 2) + box(5, 5, 10, 10)
    data = manifest(image("a", specks), image("b", specks, box(5, 5, 10, 10)), image("c"))
    left, right = plots.classes_figure(data).axes
    assert [bar.get_width() for bar in left.patches] == [2, 1, 1]
    np.testing.assert_allclose([bar.get_width() for bar in right.patches], [206 / 1800, 100 / 1800])
    (axes,) = plots.areas_figure(data, audit(data).regions).axes
    histograms = [stairs.get_data() for stairs in axes.patches]
    heights = [(data.baseline - data.values) / 0.8 for data in histograms]
    assert [np.flatnonzero(height).tolist() for height in heights] == [[0, 1, 12], [12]]  # areas 1, 2 and 100
    assert [height.max() for height in heights] == pytest.approx([1, 1])
    np.testing.assert_allclose(histograms[0].edges[[0, 6, 12]], [1, 10, 100], rtol=0.002)
    clusters = pd.DataFrame({"images": [2, 2, 3, 7, 400], "near": [True, False, False, True, False]})
    (axes,) = plots.duplicates_figure(clusters).axes
    heights = np.array([bar.get_height() for bar in axes.patches]).reshape(2, -1)
    assert heights.tolist() == [[1, 0, 0, 0, 1, 0, 0, 0, 0], [1, 1, 0, 0, 0, 0, 0, 0, 1]]
    assert [label.get_text() for label in axes.get_xticklabels()][-1] == plots.LARGEST_CLUSTERS
