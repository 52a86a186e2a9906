"""The page and the plots of large studies: seconds to build, bytes, and seconds until a browser has opened the page.

Records are made up (tests/support/synthetic_study.py). Making them is not timed: the page is built from records.
"""

import argparse
import importlib.util
import os
import re
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / "tests" / "support"), str(ROOT / "workflow"), str(ROOT / "workflow" / "scripts")]

from synthetic_study import write_study  # noqa: E402

PLOTS = ("cost", "success", "image_scores", "by_class", "precision_recall", "reliability", "training", "ablations")
BROWSERS = ("chromium", "chromium-browser", "google-chrome")


def main() -> None:
    """Build studies of several sizes and print what each part took."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--experiments", type=int, nargs="+", default=[1, 3, 60])
    parser.add_argument("--images", type=int, default=2000)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--folder", type=Path, help="keep the studies here; one that is there is used again")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        print("| experiments | plots, s | page, s | CPU of both, s | page, MB | of it pictures, MB | opened, s |")
        print("| --- | --- | --- | --- | --- | --- | --- |")
        for n in args.experiments:
            folder = (args.folder or Path(temporary)) / f"study_{n}"
            if not (folder / "seeds.csv").is_file():
                write_study(folder, n, args.images)
            print(_measured(n, folder, args.repeats), flush=True)


def _measured(n: int, folder: Path, repeats: int) -> str:
    common = ["--experiments", str(folder / "results.yaml"), "--results", str(folder / "results.parquet")]
    pairwise = ["--pairwise", str(folder / "pairwise.csv")]
    plots = []
    start, before = time.perf_counter(), _cpu()
    for name in PLOTS:
        plots.append(folder / "plots" / f"{name}.svg")
        files = ["--png", str(plots[-1].with_suffix(".png")), "--svg", str(plots[-1])]
        _run(f"plot_{name}", [*common, *files, *(pairwise if name == "ablations" else [])])
    of_plots = time.perf_counter() - start
    out = folder / "index.html"
    files = [folder / name for name in ("ranks.csv", "issues.csv", "leaks.csv", "split.csv")]
    tables = [text for path in files for text in (f"--{path.stem}", str(path))]
    tables += ["--points", str(folder / "operating_points.csv")]
    shown = ["--plots", *map(str, plots), "--captions", str(ROOT / "resources" / "captions")]
    arguments = ["--study", f"of_{n}", *common, *pairwise, *tables, "--pack", str(folder / "packed"), *shown]
    seconds = [_run("page", [*arguments, "--out", str(out)])]
    cpu = _cpu() - before
    seconds += [_run("page", [*arguments, "--out", str(out)]) for _ in range(repeats - 1)]
    text = out.read_text(encoding="utf-8")
    pictures = sum(len(part.split('"', 1)[0]) for part in text.split("data:image/")[1:] if not part.startswith("svg"))
    opened = _opened(out, repeats)
    return (
        f"| {n} | {of_plots:.0f} | {statistics.median(seconds):.1f} | {cpu:.0f} | {len(text.encode()) / 1e6:.1f} | "
        f"{pictures / 1e6:.1f} | {opened} |"
    )


def _cpu() -> float:
    """Processor seconds of all children so far: unlike the clock's, they do not depend on who else uses the machine."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _run(script: str, arguments: list[str]) -> float:
    """Seconds of one script, its start included, as a rule runs it."""
    path = Path(importlib.util.find_spec(script).origin)
    start = time.perf_counter()
    subprocess.run([sys.executable, str(path), *arguments], check=True, capture_output=True, env=_environment())
    return time.perf_counter() - start


def _environment() -> dict[str, str]:
    return os.environ | {"PYTHONPATH": str(ROOT / "workflow")}


def _opened(page: Path, repeats: int) -> str:
    """Median seconds from the start of navigation until the page and its scripts have run."""
    command = next((path for name in BROWSERS if (path := shutil.which(name))), None)
    if command is None:
        return "no browser"
    copy = page.with_name("timed.html")
    told = "<pre id=told></pre><script>addEventListener('load',()=>{document.getElementById('told').textContent="
    told += "'LOADED '+performance.now()})</script></body>"
    copy.write_text(page.read_text(encoding="utf-8").replace("</body>", told), encoding="utf-8")
    found = []
    for _ in range(repeats):
        with tempfile.TemporaryDirectory() as profile:
            options = ["--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={profile}", "--dump-dom"]
            done = subprocess.run([command, *options, copy.as_uri()], capture_output=True, text=True, check=True)
        found.append(float(re.search(r">LOADED ([\d.]+)<", done.stdout)[1]) / 1000)
    return f"{statistics.median(found):.2f}"


if __name__ == "__main__":
    main()
