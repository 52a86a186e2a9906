"""The environment files agree with the lock, and name no index host."""

import ast
import importlib.metadata
import itertools
import re
import sys
import tomllib

import yaml
from tiny_study import ROOT

LOCK = (ROOT / "requirements.lock").read_text()
# Apart, since it must be compiled: without it all else installs.
CRF_LOCK = (ROOT / "envs/crf.lock").read_text()


def test_the_conda_file_holds_exactly_the_pins_of_the_lock():
    conda = yaml.safe_load((ROOT / "envs/defectbench.yaml").read_text())
    pins = next(entry["pip"] for entry in conda["dependencies"] if isinstance(entry, dict))
    locked = re.findall(r"^([\w.-]+==[^\s;\\]+)", LOCK, re.M)
    assert sorted(re.match(r"[\w.-]+==[^\s;]+", pin)[0] for pin in pins) == sorted(locked)
    assert all("--hash=sha256:" in pin for pin in pins)


def test_every_direct_dependency_is_locked():
    text = (ROOT / "pyproject.toml").read_text()
    section = text[text.index("dependencies = [") : text.index("[build-system]")]
    names = {re.match(r"[\w-]+", name)[0].lower() for name in re.findall(r'"([^"]+)"', section)}
    locked = {name.lower() for name in re.findall(r"^([\w.-]+)==", LOCK + CRF_LOCK, re.M)}
    assert names - locked == set()


def test_lock_files_name_no_index():
    for path in (
        ROOT / "requirements.lock",
        ROOT / "envs/uv.lock",
        ROOT / "envs/crf.lock",
        ROOT / "envs/defectbench.yaml",
    ):
        assert not re.search(r"https?://|index-url|find-links", path.read_text())


def test_every_imported_package_is_declared():
    imported = set()
    for path in (ROOT / "workflow").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_bytes())):
            if isinstance(node, ast.Import):
                imported |= {alias.name.partition(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module:
                imported.add(node.module.partition(".")[0])
    own = {"defectbench", *(path.stem for path in (ROOT / "workflow" / "scripts").glob("*.py"))}
    distributions = importlib.metadata.packages_distributions()
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    requirements = [*project["dependencies"], *itertools.chain(*project["optional-dependencies"].values())]
    declared = {re.match(r"[\w-]+", text)[0].lower().replace("_", "-") for text in requirements}
    undeclared = {
        package
        for package in imported - own - set(sys.stdlib_module_names)
        if not declared & {name.lower().replace("_", "-") for name in distributions.get(package, [])}
    }
    assert undeclared == set()
