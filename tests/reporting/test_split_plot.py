"""The picture of the split: shares and percentiles as NumPy and pandas count them."""

import numpy as np
import pandas as pd
import plot_split
import pytest

from defectbench.data.manifest import Manifest, write_manifest
from defectbench.reporting.plots.split import MOST_ROWS, class_combinations, split_figure

ROLES = ("train", "val", "test")


def dataset(n=400, classes=("pits", "cracks"), shares=(0.4, 0.2), seed=0):
    """Images of two sizes, and a split."""
    rng = np.random.default_rng(seed)
    height = rng.choice([100, 200], n)
    area = np.where(rng.random((n, len(classes))) < shares, rng.integers(1, 5000, (n, len(classes))), 0)
    ids = [f"{i:04d}.png" for i in range(n)]
    frame = pd.DataFrame({"image_id": ids, "height": height, "width": 50, "area": list(area)})
    split = pd.DataFrame({"image_id": ids, "role": rng.choice(ROLES, n, p=[0.6, 0.2, 0.2]), "group": "g"})
    # Leaks are dropped from a split, and its rows need not be in the manifest's order.
    return Manifest(frame, "steel", tuple(classes), (1, 2), 0), split.iloc[:0:-1].reset_index(drop=True)


def drawn(figure):
    """Artists by their id."""
    return {artist.get_gid(): artist for axes in figure.axes for artist in axes.get_children() if artist.get_gid()}


def said(figure):
    return " ".join(" ".join(text.get_text() for text in figure.texts).split())


def test_bars_are_the_shares_of_each_combination():
    manifest, split = dataset()
    joined = split.merge(manifest.frame)
    pits, cracks = (np.array([area[c] > 0 for area in joined["area"]]) for c in (0, 1))
    expected = {
        "pits": pits & ~cracks,
        "cracks": cracks & ~pits,
        "pits + cracks": pits & cracks,
        "clean": ~pits & ~cracks,
    }
    found = drawn(split_figure(manifest, split))
    for label, shown in expected.items():
        for role in ROLES:
            own = joined["role"] == role
            assert found[f"{label} {role}"].get_width() == pytest.approx((shown & own).sum() / own.sum())
    rows = [text.get_text() for text in split_figure(manifest, split).axes[0].texts if "(" not in text.get_text()]
    assert rows == ["pits", "cracks", "pits + cracks", "clean"]


def test_medians_and_percentiles_are_of_the_images_that_show_the_class():
    manifest, split = dataset()
    joined = split.merge(manifest.frame)
    found = drawn(split_figure(manifest, split))
    for c, name in enumerate(manifest.class_names):
        share = np.array([area[c] for area in joined["area"]]) / (joined["height"] * joined["width"])
        for role in ROLES:
            own = share[(joined["role"] == role) & (share > 0)]
            assert found[f"median {name} {role}"].get_xdata()[0] == pytest.approx(np.median(own))
            (line,) = found[f"spread {name} {role}"].get_segments()
            assert line[:, 0] == pytest.approx(np.percentile(own, [5, 95]))


def test_roles_are_described_and_what_one_lacks_is_said():
    manifest, split = dataset()
    area = np.array(manifest.frame.set_index("image_id").loc[split["image_id"], "area"].tolist())
    both = (area > 0).all(axis=1)
    kept = split[~(both & (split["role"] == "val"))].assign(group=split["image_id"].str[:3])
    figure = said(split_figure(manifest, kept))
    n = (kept["role"] == "test").sum()
    n_groups, n_defective = (
        kept.loc[kept["role"] == "test", "group"].nunique(),
        area[kept.index][kept["role"] == "test"],
    )
    assert f"test: {n} images in {n_groups} groups, {n_defective.any(axis=1).sum()} defective" in figure
    assert "Not in val: pits + cracks." in figure


def test_many_combinations_are_summed_and_no_image_is_lost():
    names = [f"c{i:02d}" for i in range(20)]
    manifest, split = dataset(2000, names, [0.1] * 20)
    figure = split_figure(manifest, split)
    widths = {
        gid: artist.get_width() for gid, artist in drawn(figure).items() if "spread" not in gid and "median" not in gid
    }
    for role in ROLES:
        assert sum(width for gid, width in widths.items() if gid.endswith(role)) == pytest.approx(1)
    assert len(widths) == 3 * (MOST_ROWS + 1)
    assert any("other combinations" in gid for gid in widths)
    assert f"Shown are the {MOST_ROWS} most frequent of 20 classes." in said(figure)


def test_combinations_in_words():
    area = np.array([[0, 0], [3, 0], [1, 9]])
    assert class_combinations(area, ("pits", "cracks")) == ["clean", "pits", "pits + cracks"]


def test_only_clean_images_have_no_areas():
    manifest, split = dataset(shares=(0.0, 0.0))
    assert len(split_figure(manifest, split).axes) == 1


def test_the_script_writes_the_same_bytes_every_time(tmp_path):
    manifest, split = dataset()
    unknown = {
        "path": "",
        "channels": 1,
        "stored_as": "grey 8-bit",
        "sha256": None,
        "phash": None,
        "group": "",
        "rle": None,
    }
    write_manifest(
        tmp_path / "manifest.parquet", Manifest(manifest.frame.assign(**unknown), "steel", ("a", "b"), (1, 2), 0)
    )
    split.to_csv(tmp_path / "split.csv", index=False)
    common = ["--manifest", str(tmp_path / "manifest.parquet"), "--split", str(tmp_path / "split.csv")]
    for name in ("a", "b"):
        plot_split.main([*common, "--png", str(tmp_path / f"{name}.png"), "--svg", str(tmp_path / f"{name}.svg")])
    for kind in ("png", "svg"):
        assert (tmp_path / f"a.{kind}").read_bytes() == (tmp_path / f"b.{kind}").read_bytes()
