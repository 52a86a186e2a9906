"""MkDocs hook: the Markdown pages outside docs/ are pages of the site too.

In the repository, links are relative paths between files, so that they work in an editor and on any code host. The hook
adds the pages of PAGES to the site and rewrites links to and from them.
"""

import posixpath
import re
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).resolve().parents[1]
# Path in the repository -> page of the site.
PAGES = {
    "README.md": "overview.md",
    "config/README.md": "studies.md",
    "CONTRIBUTING.md": "contributing.md",
    "SECURITY.md": "security.md",
    "CHANGELOG.md": "changelog.md",
}
_REPOSITORY_PATHS = {page: path for path, page in PAGES.items()}
# The target of ](target) or src="target", without addresses and links within the page.
_LINK = re.compile(r'(?<=\]\()(?![a-z]+:|#)[^)\s]+|(?<=src=")(?![a-z]+:)[^"]+')


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages that are not in docs/."""
    for path, page in PAGES.items():
        files.append(File.generated(config, page, abs_src_path=str(ROOT / path)))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Rewrite links between pages of docs/ and others; MkDocs itself reports what it does not find."""
    source = page.file.src_uri
    folder = posixpath.dirname(_REPOSITORY_PATHS.get(source, f"docs/{source}"))

    def rewrite(link: re.Match) -> str:
        target, _, anchor = link[0].partition("#")
        path = posixpath.normpath(posixpath.join(folder, target))
        uri = PAGES.get(path) or path.removeprefix("docs/")
        return posixpath.relpath(uri, posixpath.dirname(source) or ".") + (f"#{anchor}" if anchor else "")

    return _LINK.sub(rewrite, markdown)
