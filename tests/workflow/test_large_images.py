"""Memory of the stages that see whole images: so many bytes per pixel of one image at most, held by the system."""

import json
import os
import subprocess
import sys

import cv2
import numpy as np
import pytest
import yaml
from tiny_study import ROOT

from defectbench.config.base import MERGED
from defectbench.inference.prediction_file import PredictionFile, PredictionHeader, write_predictions

HEIGHT, WIDTH = 2400, 3600
CLASSES = {1: "pits", 2: "scratches"}

LIMITED = """
import resource
import sys
from pathlib import Path
sys.path.insert(0, {scripts!r})
import skimage.morphology
{imports}
used = int(next(line for line in Path("/proc/self/status").read_text().splitlines() if "VmData" in line).split()[1])
resource.setrlimit(resource.RLIMIT_DATA, (used * 1024 + {limit}, -1))
{call}
"""
"""Python with a limit of ``limit`` bytes of memory beyond that of its imports."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Two noisy images in colour with mask files, in val and test, and maps of any defect for them."""
    root = tmp_path_factory.mktemp("large")
    rng = np.random.default_rng(0)
    maps = {}
    for name in ("images", "masks"):
        (root / name).mkdir()
    for role in ("val", "test"):
        mask = np.zeros((HEIGHT, WIDTH), np.uint8)
        for x, y in rng.integers(0, (WIDTH, HEIGHT), (40, 2)).tolist():
            cv2.circle(mask, (x, y), int(rng.integers(5, 60)), int(rng.integers(1, 3)), -1)
        image = rng.integers(100, 116, (HEIGHT, WIDTH, 3), np.uint8)
        for folder, pixels in (("images", image), ("masks", mask)):
            cv2.imwrite(str(root / folder / f"{role}.png"), pixels, [cv2.IMWRITE_PNG_COMPRESSION, 1])
        noise = cv2.resize(rng.normal(scale=2, size=(HEIGHT // 8, WIDTH // 8)).astype(np.float32), (WIDTH, HEIGHT))
        maps[role] = (32768 + 512 * (5 * np.where(mask, 1, -1) + noise)).astype(np.uint16)
    for role, codes in maps.items():
        with write_predictions(root / f"{role}.pred.parquet", PredictionHeader(role, (MERGED,), True)) as writer:
            writer.add(f"{role}.png", codes[None])
    dataset = {"name": "large", "format": "mask_folder", "root": str(root), "images_dir": "images", "classes": CLASSES}
    (root / "ingest.yaml").write_text(yaml.safe_dump({**dataset, "masks_dir": "masks", "mask_kind": "index"}))
    (root / "split.csv").write_text("image_id,role,group\nval.png,val,a\ntest.png,test,b\n")
    (root / "run.json").write_text(json.dumps({"experiment": {"exp_id": "large", "track": "auto"}}))
    (root / "defaults.yaml").write_text("{}\n")
    return root


STAGES = {
    "ingest": (
        13,
        "--settings ingest.yaml --threads 1 --manifest manifest.parquet --issues issues.csv --notes notes.csv",
    ),
    "pack": (14, "--dataset ingest.yaml --manifest manifest.parquet --out-dir packed --threads 1"),
    "calibrate": (
        20,
        "--settings defaults.yaml --predictions val.pred.parquet --manifest manifest.parquet --split split.csv"
        " --out calibration.json",
    ),
    "score": (
        24,
        "--settings defaults.yaml --val val.pred.parquet --test test.pred.parquet --run run.json"
        " --calibration calibration.json --manifest manifest.parquet --split split.csv --per-image per_image.parquet"
        " --hist hist.parquet --pooled pooled.parquet --components components.parquet --froc froc.parquet"
        " --metrics metrics.json",
    ),
}
"""Bytes per pixel of an image, and options of each stage; in order."""


def test_bytes_per_pixel_of_each_stage(folder):
    for script, (per_pixel, options) in STAGES.items():
        call = f"stage.main({options.split()!r})"
        run_limited(folder, f"import pandas, scipy.ndimage, {script} as stage", per_pixel * HEIGHT * WIDTH, call)
    assert json.loads((folder / "metrics.json").read_text())["dice_all"] > 0.9


PREDICTION = """
tiling = Tiling((512, 512), 64)
noise = np.random.default_rng(0).normal(size=(1, 512, 512)).astype(np.float32)
with write_predictions(Path("tiles.pred.parquet"), PredictionHeader("val", ("merged",), True)) as writer:
    writer.add("a", tiling.codes({height}, {width}, lambda window: noise))
"""


def test_bytes_per_pixel_of_tiled_prediction(tmp_path):
    imports = """
import numpy as np
from defectbench.inference.prediction_file import PredictionHeader, write_predictions
from defectbench.inference.tiling import Tiling
"""
    height, width = 4 * HEIGHT, WIDTH // 2
    run_limited(tmp_path, imports, 8 * height * width, PREDICTION.format(height=height, width=width))
    with PredictionFile(tmp_path / "tiles.pred.parquet") as file:
        ((_, codes),) = file
    assert codes.shape == (1, height, width)


def run_limited(folder, imports, limit, call):
    code = LIMITED.format(scripts=str(ROOT / "workflow/scripts"), imports=imports, limit=limit, call=call)
    # Memory comes from the system, and goes back to it, array by array.
    memory = {"ARROW_DEFAULT_MEMORY_POOL": "system", "MALLOC_MMAP_THRESHOLD_": "65536", "MALLOC_ARENA_MAX": "1"}
    environment = os.environ | memory | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT / "workflow")}
    done = subprocess.run([sys.executable, "-c", code], cwd=folder, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
