"""The documentation as a site: built without a warning, and nothing is fetched from elsewhere when a page is viewed."""

import os
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import pytest
from tiny_study import ROOT

# What a browser loads by itself, in contrast to links that a reader follows.
LOADING = {"script", "link", "img", "iframe", "source", "video", "audio", "object", "embed", "use", "input"}
NOT_LOADED = {"canonical", "next", "prev", "alternate"}
ELSEWHERE = re.compile(r"\s*(?:[a-z][a-z+.-]*:)?//", re.I)


class Resources(HTMLParser):
    """The addresses that a browser fetches for a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.addresses: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = {name: value or "" for name, value in attrs}
        if tag in LOADING and not NOT_LOADED & set(values.get("rel", "").split()):
            self.addresses += [values[name] for name in ("src", "href", "data", "poster") if name in values]
            self.addresses += [part.split()[0] for part in values.get("srcset", "").split(",") if part.strip()]
        self.addresses += addresses_in_css(values.get("style", ""))


def addresses_in_css(text: str) -> list[str]:
    """Addresses that a style sheet loads."""
    found = re.findall(r"""url\(\s*["']?([^"')]+)|@import\s+["']([^"']+)""", text)
    return [address for pair in found for address in pair if address]


def build(folder: Path, *options: str) -> subprocess.CompletedProcess:
    """Build the site strictly, in ``folder``."""
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(folder), *options]
    environment = os.environ | {"NO_MKDOCS_2_WARNING": "1"}
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)


@pytest.fixture(scope="module")
def site(tmp_path_factory) -> Path:
    """The built site."""
    folder = tmp_path_factory.mktemp("site")
    done = build(folder)
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


def test_every_page_is_built(site):
    built = {path.stem for path in site.glob("*.html")}
    assert {path.stem for path in (ROOT / "docs").glob("*.md")} - {"README"} <= built
    assert {"index", "overview", "studies", "contributing", "changelog"} <= built
    assert [path for path in site.rglob("*") if path.suffix in (".py", ".pyc", ".md")] == []


def test_links_to_pages_outside_docs_lead_to_the_sites_pages(site):
    index = (site / "index.html").read_text(encoding="utf-8")
    assert 'href="contributing.html"' in index
    overview = (site / "overview.html").read_text(encoding="utf-8")
    assert 'src="images/ranking.png"' in overview
    assert 'href="statistics.html#which-images-form-a-group"' in overview


def test_nothing_is_fetched_from_elsewhere(site):
    fetched = {}
    for page in site.rglob("*.html"):
        fetched[page.name] = Resources(page.read_text(encoding="utf-8")).addresses
    for sheet in site.rglob("*.css"):
        fetched[sheet.name] = addresses_in_css(sheet.read_text(encoding="utf-8"))
    assert any("search" in address or "bundle" in address for address in fetched["index.html"])
    assert {name: [a for a in addresses if ELSEWHERE.match(a)] for name, addresses in fetched.items()} == {
        name: [] for name in fetched
    }


def test_a_resource_from_elsewhere_would_be_noticed():
    text = '<link rel="stylesheet" href="https://fonts.example/x.css"><a href="https://docs.example">x</a>'
    assert [a for a in Resources(text).addresses if ELSEWHERE.match(a)] == ["https://fonts.example/x.css"]


def test_tables_and_lists_are_not_left_as_text(site):
    for page in site.glob("*.html"):
        article = re.search(r"<article.*?</article>", page.read_text(encoding="utf-8"), re.S)
        text = re.sub(r"<(pre|code).*?</\1>", "", article[0], flags=re.S) if article else ""
        left = re.findall(r"^\s*(?:\| |- |\*\*|\d+\. ).*", re.sub(r"<[^>]+>", "", text), re.M)
        assert left == [], page.name


def test_a_dead_link_fails_the_build(tmp_path):
    """Strict means strict: the same settings on a page whose link leads nowhere."""
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "README.md").write_text("[nowhere](other.md)\n", encoding="utf-8")
    text = (ROOT / "mkdocs.yml").read_text(encoding="utf-8").partition("\nnav:")[0]
    (tmp_path / "mkdocs.yml").write_text(text.replace("hooks: [docs/site_pages.py]\n", ""), encoding="utf-8")
    done = build(tmp_path / "site", "--config-file", str(tmp_path / "mkdocs.yml"))
    assert done.returncode != 0
    assert "other.md" in done.stdout + done.stderr
