"""A headless Chromium for tests of pages, where the machine has one."""

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
# Both come before the page's policy, which allows no other script than its own. What goes wrong, and what is requested:
_WATCH = """<script>const problems = [];
addEventListener("error", (event) => problems.push(`${event.message}`));
addEventListener("securitypolicyviolation", (event) => problems.push(`blocked: ${event.blockedURI}`));</script>"""
_REPORT = """<script>addEventListener("load", () => { const found = {};
try { %s } catch (error) { problems.push(String(error)); }
found.problems = problems;
const loaded = performance.getEntriesByType("resource").map((entry) => entry.name);
found.requests = loaded.filter((name) => !name.startsWith("data:"));
const report = document.createElement("pre"); report.id = "report"; report.textContent = JSON.stringify(found);
document.body.replaceChildren(report); });</script>"""


def probe(page: Path, script: str, width: int = 1280) -> dict:
    """Open ``page`` in a window ``width`` pixels wide, run ``script``, which fills ``found``, and return that.

    ``found`` also gets ``problems`` (errors of scripts, blocked loads), ``requests`` (anything but data URIs), and
    ``console`` (what the browser logged).
    """
    command = next((path for name in NAMES if (path := shutil.which(name))), None)
    if command is None:
        pytest.skip("no Chromium on this machine")
    text = page.read_text(encoding="utf-8").replace("<head>", f"<head>{_WATCH}{_REPORT % script}", 1)
    copy = page.with_name(f"probe_{width}.html")
    copy.write_text(text, encoding="utf-8")
    options = ["--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={page.parent / 'browser'}"]
    options += [f"--window-size={width},900", "--enable-logging=stderr", "--dump-dom", copy.as_uri()]
    done = subprocess.run([command, *options], capture_output=True, text=True, timeout=120, check=True)
    report = re.search(r'<pre id="report">(.*?)</pre>', done.stdout, re.S)
    assert report, done.stderr
    unescaped = report[1].replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")
    return json.loads(unescaped) | {"console": re.findall(r".*CONSOLE.*", done.stderr)}
