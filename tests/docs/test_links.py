"""Links and paths in the Markdown files, read as plain files of the repository."""

import re
from functools import cache
from pathlib import Path

import pytest
from tiny_study import ROOT

# Folders of what is computed or installed, not written.
NOT_OURS = {".venv", ".snakemake", ".git", "runs", "results", "weights", "site", "data"}
PAGES = sorted(path for path in ROOT.rglob("*.md") if not NOT_OURS & set(path.relative_to(ROOT).parts))
# Where a path in backticks may begin: at the root, or in the library as its import does.
BASES = (ROOT, ROOT / "workflow", ROOT / "workflow/defectbench")
FOLDERS = ("benchmarks", "config", "docs", "envs", "profiles", "resources", "rules", "tests", "workflow", "defectbench")
# Files that a reader is told to make.
READERS_OWN = {"config/mydata.yaml", "config/my.yaml"}


@cache
def prose(page: Path) -> str:
    """The text of ``page`` without its blocks of code."""
    text = page.read_text(encoding="utf-8")
    text = re.sub(r"^(```+)[^\n]*\n.*?^\1\s*$", "", text, flags=re.M | re.S)
    return re.sub(r"(?<=\n\n)(?: {4}[^\n]*\n)+", "", text)


@cache
def anchors(page: Path) -> set[str]:
    """Anchors of the headings, as code hosts make them; a repeated heading's end in -1, -2, ..."""
    slugs: list[str] = []
    for heading in re.findall(r"^#+ +(.+)$", prose(page), re.M):
        text = re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", heading).strip().lower()
        slug = re.sub(r"[^\w\- ]", "", text).replace(" ", "-")
        slugs.append(f"{slug}-{n}" if (n := slugs.count(slug)) else slug)
    return set(slugs)


def links(page: Path) -> list[str]:
    """Relative targets of links and pictures in ``page``."""
    text = re.sub(r"`[^`\n]*`", "", prose(page))
    targets = re.findall(r'\]\(([^)\s]+)\)|src="([^"]+)"|href="([^"]+)"', text)
    return [target for groups in targets for target in groups if target and not re.match(r"[a-z]+:", target)]


def test_pages_are_found():
    names = {path.relative_to(ROOT).as_posix() for path in PAGES}
    assert {"README.md", "CONTRIBUTING.md", "docs/README.md", "config/README.md"} <= names
    assert "statistics.md#which-images-form-a-group" in links(ROOT / "docs/README.md")


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_relative_links_lead_to_files_and_headings(page):
    dead = []
    for link in links(page):
        target, _, anchor = link.partition("#")
        path = (page.parent / target).resolve() if target else page
        if not path.is_relative_to(ROOT) or not path.exists() or (anchor and anchor not in anchors(path)):
            dead.append(link)
    assert dead == []


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_paths_in_backticks_exist(page):
    text = re.sub(r"\n *", " ", prose(page))
    named = re.findall(rf"`(?:python |-s )?((?:{'|'.join(FOLDERS)})/[^`\s]*)", text)
    # Of a pattern, such as rules/*.smk, the folder must exist.
    paths = {re.sub(r"[^/]*(\*|\{|<|…|NAME).*", "", path) for path in named} - READERS_OWN
    assert [path for path in sorted(paths) if not any((base / path).exists() for base in BASES)] == []


def test_every_page_is_listed_in_the_index():
    index = {link.partition("#")[0] for link in links(ROOT / "docs/README.md")}
    assert {path.name for path in (ROOT / "docs").glob("*.md")} - {"README.md"} <= index
