"""The environment files agree with the lock, and name no index host."""

import ast
import importlib.metadata
import itertools
import re
import runpy
import sys
import tomllib

import yaml
from packaging.specifiers import SpecifierSet
from tiny_study import ROOT

LOCK = (ROOT / "requirements.lock").read_text()
# Apart, since it must be compiled: without it all else installs.
CRF_LOCK = (ROOT / "envs/crf.lock").read_text()
CONDA = runpy.run_path(str(ROOT / "envs/make_conda_env.py"))


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


def test_the_script_of_the_conda_environment_installs_what_the_lock_pins():
    script = (ROOT / "envs/defectbench.post-deploy.sh").read_text()
    assert CONDA["post_deploy"](LOCK) == script
    pin = re.search(r"^opencv-python-headless==\S+", script, re.M)[0]
    assert f"\n{pin} " in f"\n{LOCK}"
    assert "--require-hashes" in script


def recipe(target):
    """The commands of a target of the Makefile, one line each."""
    text = (ROOT / "Makefile").read_text().replace("\\\n", "")
    variables = dict(re.findall(r"^(\w+) := (.*)$", text, re.M))
    lines = re.search(rf"^{re.escape(target)}:.*\n((?:\t.*\n?)+)", text, re.M)[1].splitlines()
    return [re.sub(r"\$\((\w+)\)", lambda match: variables.get(match[1], match[0]), line.strip()) for line in lines]


def test_every_package_and_every_tool_that_builds_one_is_installed_by_its_hash():
    installing = [line for line in recipe("$(READY)") if "pip install" in line]
    assert len(installing) == 4
    for line in installing:
        if line.endswith("-e ."):
            # The project itself, built by tools that are installed already.
            assert {"--no-deps", "--no-build-isolation"} <= set(line.split())
            continue
        assert "--require-hashes" in line
        assert "--only-binary :all:" in line or re.search(
            r"--require-build-hashes .*--build-constraints \S+\.lock", line
        )


def test_the_locks_pin_the_tools_that_build_the_packages_without_wheels():
    build = (ROOT / "envs/crf-build.lock").read_text()
    for lock, names in ((build, ("setuptools", "wheel", "cython==0.29.36")), (LOCK, ("setuptools", "torch"))):
        pins = CONDA["read_pins"](lock)
        for name in names:
            (pin,) = (pin for pin in pins if pin.startswith(f"{name.partition('==')[0]}=="))
            assert pin.startswith(name)
            assert "--hash=sha256:" in pin


def test_python_is_new_enough_to_unpack_archives_safely():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    supported = SpecifierSet(project["requires-python"])
    # tarfile.data_filter came with 3.11.4.
    assert "3.11.4" in supported
    assert "3.11.3" not in supported


def test_lock_files_name_no_index():
    for path in [*(ROOT / "envs").iterdir(), ROOT / "requirements.lock"]:
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
