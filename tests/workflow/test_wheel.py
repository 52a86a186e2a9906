"""The library as a package: what is built is complete, and works where the project's folder is not."""

import subprocess
import sys
import sysconfig
import venv
import zipfile
from pathlib import Path

import pytest
from tiny_study import ROOT

PACKAGE = ROOT / "workflow" / "defectbench"
IMPORT_ALL = """
import importlib, pkgutil, sys
import defectbench
from defectbench.config.study import load_study
names = [module.name for module in pkgutil.walk_packages(defectbench.__path__, "defectbench.")]
print(defectbench.__path__[0], len(names))
"""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", str(folder)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    (built,) = folder.glob("defectbench-*.whl")
    return built


def test_the_wheel_has_every_file_of_the_library_and_nothing_else(wheel):
    expected = {
        path.relative_to(PACKAGE.parent).as_posix()
        for path in PACKAGE.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    names = {name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name}
    assert names == expected
    assert any(name.endswith("page.html") for name in names)


def test_the_wheel_works_in_a_clean_environment(wheel, tmp_path):
    venv.create(tmp_path / "env", with_pip=False)
    (site,) = (tmp_path / "env").glob("lib/*/site-packages")
    zipfile.ZipFile(wheel).extractall(site)
    # Its dependencies, but none of the editable installations beside them.
    (site / "dependencies.pth").write_text(sysconfig.get_path("purelib"))
    command = [tmp_path / "env/bin/python", "-I", "-c", IMPORT_ALL]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    folder, n_modules = done.stdout.split()
    assert Path(folder) == site / "defectbench"
    assert int(n_modules) >= len(list(PACKAGE.rglob("[!_]*.py")))
