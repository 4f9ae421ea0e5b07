"""Checks of a report page: well-formed, self-contained, small."""
import html.parser
import json
import pathlib
import re

VOID = {"meta", "br", "path", "rect", "wbr"}
MAX_BYTES = 2_000_000


class Page(html.parser.HTMLParser):
    """Collects text, ids and embedded data; asserts that every element is closed."""

    def __init__(self, text):
        super().__init__()
        self.open, self.text, self.ids, self.data, self.links = [], [], [], [], []
        self.feed(text)
        self.close()
        assert not self.open, f"never closed: {self.open}"
        assert len(set(self.ids)) == len(self.ids), "an id stands twice"
        assert all(link[1:] in self.ids for link in self.links), self.links

    def handle_starttag(self, tag, attributes):
        attributes = dict(attributes)
        assert not {"src", "srcset", "action"} & attributes.keys(), (tag, attributes)
        if "href" in attributes:
            assert attributes["href"].startswith("#"), attributes
            self.links.append(attributes["href"])
        if "id" in attributes:
            self.ids.append(attributes["id"])
        if tag not in VOID:
            self.open.append((tag, attributes.get("type")))

    def handle_startendtag(self, tag, attributes):
        assert tag in VOID, tag

    def handle_endtag(self, tag):
        assert self.open and self.open[-1][0] == tag, (tag, self.open)
        self.open.pop()

    def handle_data(self, data):
        if self.open and self.open[-1] == ("script", "application/json"):
            self.data.append(json.loads(data))
        elif self.open and self.open[-1][0] not in ("script", "style"):
            self.text.append(data)


def check(path):
    """Returns the page's visible text and its embedded data."""
    text = pathlib.Path(path).read_text(encoding="utf-8")
    assert len(text.encode()) < MAX_BYTES
    for forbidden in (r"https?:", r"@import", r"url\(", r"\bfetch\(", r"XMLHttpRequest", r"<link", r"//\w"):
        assert not re.search(forbidden, text), forbidden
    assert "prefers-color-scheme:dark" in text
    page = Page(text)
    for data in page.data:
        assert len(data["cells"]) == len(data["rows"]) * len(data["columns"])
        assert all(0 <= cell < len(data["texts"]) for cell in data["cells"])
    return " ".join(page.text), page.data
