"""Names and sentences are text in Markdown, by two other people's renderers."""

import re
import textwrap

import markdown
import pytest
from html_outline import Outline
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from defectbench.reporting.markdown import WIDTH, as_text, markdown_table, paragraph

RENDERERS = {
    "markdown-it": MarkdownIt("commonmark").enable(["table", "strikethrough"]).render,
    "Python-Markdown": lambda text: markdown.markdown(text, extensions=["tables", "footnotes", "sane_lists"]),
}
NAMES = [
    "<img src=x onerror=alert(1)>",
    "<script>alert(1)</script>",
    "</td><b>x",
    "<!-- x",
    "![x](http://host.example/y.png)",
    "[x](http://host.example)",
    "[x][y]",
    "[x]: http://host.example",
    "[^1]: x",
    "<http://host.example>",
    "http://host.example",
    "`code`",
    "a|b",
    "**bold**",
    "*it*",
    "_it_",
    "~~gone~~",
    "# heading",
    "> quote",
    "- item",
    "+ item",
    "1. item",
    "2) item",
    "---",
    "===",
    "&lt;b&gt;",
    "&#60;b>",
    "a\\",
    "\\*a*",
    "$x$",
    "unet_subset-10",
    "p < 0.05",
    "[0.1, 0.2]",
    "it's.png",
]
PLACES = {
    "cell": lambda text: markdown_table(["name", "n"], [[as_text(text), "1"], ["other", "2"]]),
    "bullet": lambda text: f"- {as_text(text)}\n- other",
    "paragraph": lambda text: f"{paragraph(as_text(text))}\n\nother",
    "bold": lambda text: f"**{as_text(text)}**",
}
TAGS = {
    "cell": ["table", "thead", "tr", "th", "th", "tbody", "tr", "td", "td", "tr", "td", "td"],
    "bullet": ["ul", "li", "li"],
    "paragraph": ["p", "p"],
    "bold": ["p", "strong"],
}


@pytest.mark.parametrize("renderer", RENDERERS)
@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("name", NAMES)
def test_a_name_is_shown_and_does_nothing(name, place, renderer):
    outline = Outline(RENDERERS[renderer](PLACES[place](name)))
    if not (place == "bold" and name in ("a\\",)):
        assert [tag for tag, _ in outline.elements] == TAGS[place]
    assert all(set(attributes) <= {"style", "align"} for _, attributes in outline.elements)
    shown = outline.text
    if renderer == "Python-Markdown":
        # It takes a backslash only before some signs, and shows it before the others.
        shown, name = shown.replace("\\", ""), name.replace("\\", "")
    assert " ".join(name.split()) in shown


@given(st.text(st.sampled_from("<>[]()!`*_~|#&;:/\\-+=.1a $\n\x1b"), max_size=12))
def test_any_text_is_shown_and_makes_no_element(text):
    outline = Outline(RENDERERS["markdown-it"](PLACES["cell"](f"a{text}a")))
    assert [tag for tag, _ in outline.elements] == TAGS["cell"]
    expected = f"a{text}a".replace("\n", " ").replace("\x1b", "\\x1b")
    assert " ".join(expected.split()) in outline.text


@given(st.lists(st.sampled_from(["#", "-", "+", "1.", "2)", ">", "===", "---", "word", "a" * 40]), max_size=60))
def test_no_line_of_a_paragraph_begins_anything_else(words):
    text = " ".join(["start", *words])
    for bullet, tags in (("", ["p"]), ("- ", ["ul", "li"])):
        written = paragraph(as_text(text), bullet)
        assert all(len(line) <= WIDTH + 1 for line in written.splitlines())
        outline = Outline(RENDERERS["markdown-it"](written))
        assert [tag for tag, _ in outline.elements] == tags
        assert outline.text == text


def test_usual_sentences_stay_readable():
    text = "unet_subset-25 − yolo: +6.1 pp dice_all [−0.9, 12.7], not significant; Holm p < 0.001 (limit), 168 of which"
    assert as_text(text) == text
    assert paragraph(text * 3, "- ") == textwrap.fill(
        text * 3, WIDTH, initial_indent="- ", subsequent_indent="  ", break_on_hyphens=False
    )
    assert not re.search(r"\\", as_text("Experiments of one seed: 3 of 4; see docs/statistics.md (2 groups)."))
