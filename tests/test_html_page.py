from __future__ import annotations

from html.parser import HTMLParser

from edgeunet.html_page import figure_of, html_of


class Seen(HTMLParser):
    """Collects tags with their attributes, and the text between them."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data


def test_a_page_needs_nothing_else_and_escapes_its_title() -> None:
    page = html_of("a <b> & c", "<p>below</p>")
    assert page.startswith("<!DOCTYPE html>")
    assert page.count("a &lt;b&gt; &amp; c") == 2
    seen = Seen(page)
    assert [tag for tag, _ in seen.tags] == (
        ["html", "head", "meta", "meta", "title", "style", "body", "h1", "p"]
    )
    assert not any("src" in given or "href" in given for _, given in seen.tags)


def test_a_figure_holds_its_picture_and_escapes_its_words() -> None:
    seen = Seen(figure_of(b"PNG", 'x "1" <i>'))
    assert seen.tags[:2] == [
        ("figure", {}),
        ("img", {"alt": 'x "1" <i>', "src": "data:image/png;base64,UE5H"}),
    ]
    assert seen.text == 'x "1" <i>'


def test_a_figure_may_have_another_caption_and_begin_a_row() -> None:
    seen = Seen(figure_of(b"", "noisy", "noisy, 20 dB", starts_row=True))
    assert seen.tags[0] == ("figure", {"class": "below"})
    assert seen.text == "noisy, 20 dB"
