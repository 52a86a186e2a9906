"""Code digests: a real edit of code that a script runs changes its digest, and nothing else does."""

import json
import os
import shutil
import subprocess
import sys

import pytest
from tiny_study import ROOT

from defectbench import code_digest


@pytest.fixture
def project(tmp_path):
    shutil.copytree(ROOT / "workflow", tmp_path / "workflow", ignore=shutil.ignore_patterns("__pycache__"))
    return tmp_path / "workflow"


def ask(project, method, scripts):
    """Call a method of the copied library's CodeDigests for some scripts, in a process of its own."""
    program = (
        "import json, sys\n"
        "from pathlib import Path\n"
        "from defectbench.code_digest import CodeDigests\n"
        "digests = CodeDigests()\n"
        f"answers = {{s: digests.{method}(Path('scripts') / (s + '.py')) for s in sys.argv[1:]}}\n"
        "print(json.dumps({s: sorted(a) if isinstance(a, set) else a for s, a in answers.items()}))"
    )
    environment = {**os.environ, "PYTHONPATH": str(project)}
    command = [sys.executable, "-c", program, *scripts]
    done = subprocess.run(command, cwd=project, env=environment, capture_output=True, text=True, check=True)
    return json.loads(done.stdout)


def edit(project, module, old, new):
    path = project / "defectbench" / module
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


def test_a_real_edit_of_a_loss_makes_training_stale_and_nothing_before_it(project):
    scripts = ("train_unet", "train_yolo", "ingest", "score", "predict_unet")
    before = ask(project, "of", scripts)
    edit(project, "training/losses.py", "smooth=1.0", "smooth=2.0")
    after = ask(project, "of", scripts)
    assert {name for name in before if after[name] != before[name]} == {"train_unet"}


def test_a_real_edit_of_a_script_counts_and_a_comment_in_it_does_not(project):
    path = project / "scripts" / "ingest.py"
    before = ask(project, "of", ["ingest", "score"])
    path.write_text(path.read_text() + "# the end\n")
    assert ask(project, "of", ["ingest", "score"]) == before
    path.write_text(path.read_text() + "OTHER = 1\n")
    after = ask(project, "of", ["ingest", "score"])
    assert {name for name in before if after[name] != before[name]} == {"ingest"}


def test_comments_and_docstrings_do_not_count(project):
    before = ask(project, "of", ["train_unet"])
    edit(project, "training/losses.py", '"""Losses of', '"""The losses of')
    edit(project, "training/losses.py", "import torch\n", "import torch  # tensors\n\n")
    assert ask(project, "of", ["train_unet"]) == before


def test_an_edit_in_reporting_never_retrains(project):
    scripts = sorted(path.stem for path in (project / "scripts").glob("*.py"))
    stale_safe = [name for name in scripts if name.startswith(("ingest", "split", "pack", "train", "predict", "score"))]
    stale_safe.remove("predict_images")  # its pictures are what it is for, and nothing is trained or scored on it
    closures = ask(project, "modules", stale_safe)
    assert len(closures) >= 8
    offenders = {n for n, modules in closures.items() if any(m.startswith("defectbench.reporting") for m in modules)}
    assert offenders == set()


def test_closure_has_function_level_imports_and_the_packages_above(project):
    (project / "defectbench" / "data" / "late.py").write_text("def f():\n    from defectbench.data import rle\n")
    (project / "scripts" / "late.py").write_text("from defectbench.data.late import f\n")
    modules = ask(project, "modules", ["late"])["late"]
    assert {"defectbench", "defectbench.data", "defectbench.data.late", "defectbench.data.rle"} <= set(modules)


def test_a_digest_within_one_package_leaves_out_the_others(project, monkeypatch):
    monkeypatch.setattr(code_digest, "LIBRARY", project)

    def digests():
        script = project / "defectbench" / "families" / "sam2" / "weights.py"
        digests = code_digest.CodeDigests()
        return digests.of(script, within="defectbench.families"), digests.of(script)

    before = digests()
    edit(project, "config/train.py", "from pydantic", "OTHER = 1\nfrom pydantic")
    between = digests()
    assert between[0] == before[0]
    assert between[1] != before[1]
    edit(project, "families/sam2/network.py", "images.float() / 255", "images.float() / 256")
    assert digests()[0] != before[0]


def test_one_family_is_not_in_the_digest_of_another(project):
    modules = ask(project, "modules", ["train_unet"])["train_unet"]
    assert "defectbench.families.unet.network" in modules
    assert "defectbench.families.reference.methods" not in modules
    assert "defectbench.config.study" not in modules


def test_a_new_version_of_the_metrics_retrains_nothing(project):
    scripts = ("score", *sorted(path.stem for path in (project / "scripts").glob("train_*.py")))
    before = ask(project, "of", scripts)
    edit(project, "metrics/version.py", "METRIC_VERSION = ", "METRIC_VERSION = 10")
    edit(project, "metrics/definitions.py", "averaging=ALL_IMAGES", "averaging=CLEAN_IMAGES")
    edit(project, "metrics/component_metrics.py", "averaging=TOTALS", "averaging=ALL_IMAGES")
    after = ask(project, "of", scripts)
    assert {name for name in before if after[name] != before[name]} == {"score"}
