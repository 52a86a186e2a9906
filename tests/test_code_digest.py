"""Code digests: a real edit of code that a script runs changes its digest, and nothing else does."""

import shutil

import pytest
from conftest import ROOT

from defectbench.code_digest import CodeDigests


@pytest.fixture
def project(tmp_path):
    shutil.copytree(ROOT / "workflow", tmp_path / "workflow", ignore=shutil.ignore_patterns("__pycache__"))
    return tmp_path / "workflow"


def digest(project, script):
    return CodeDigests(project).of(project / "scripts" / f"{script}.py")


def edit(project, module, old, new):
    path = project / "defectbench" / module
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


def test_a_real_edit_of_a_loss_makes_training_stale_and_nothing_before_it(project):
    before = {name: digest(project, name) for name in ("train_unet", "ingest", "score", "predict_unet")}
    edit(project, "training/losses.py", "smooth=1.0", "smooth=2.0")
    after = {name: digest(project, name) for name in before}
    assert after["train_unet"] != before["train_unet"]
    assert {name for name in before if after[name] != before[name]} == {"train_unet"}


def test_comments_and_docstrings_do_not_count(project):
    before = digest(project, "train_unet")
    edit(project, "training/losses.py", '"""Losses on', '"""The losses on')
    edit(project, "training/losses.py", "import torch\n", "import torch  # tensors\n\n")
    assert digest(project, "train_unet") == before


def test_an_edit_in_reporting_never_retrains(project):
    scripts = sorted(path.stem for path in (project / "scripts").glob("*.py"))
    stale_safe = [name for name in scripts if name.startswith(("ingest", "split", "pack", "train", "predict", "score"))]
    closures = {name: CodeDigests(project).modules(project / "scripts" / f"{name}.py") for name in stale_safe}
    assert len(closures) >= 8
    offenders = {n for n, modules in closures.items() if any(m.startswith("defectbench.reporting") for m in modules)}
    assert offenders == set()


def test_closure_has_function_level_imports_and_the_packages_above(project):
    (project / "defectbench" / "data" / "late.py").write_text("def f():\n    from defectbench.data import rle\n")
    script = project / "scripts" / "late.py"
    script.write_text("from defectbench.data.late import f\n")
    modules = CodeDigests(project).modules(script)
    assert {"defectbench", "defectbench.data", "defectbench.data.late", "defectbench.data.rle"} <= modules


def test_one_family_is_not_in_the_digest_of_another(project):
    modules = CodeDigests(project).modules(project / "scripts" / "train_unet.py")
    assert "defectbench.models.unet" in modules
    assert "defectbench.models.reference" not in modules
    assert "defectbench.config.study" not in modules
