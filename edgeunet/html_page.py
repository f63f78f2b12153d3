"""Write an HTML page as one file, with its style and its pictures inside."""

from __future__ import annotations

import base64
from html import escape

_STYLE = """
:root { color-scheme: light dark; --text: #1d2430; --page: #fff; --quiet: #566; --line: #dde;
  --worse: #b03020 }
@media (prefers-color-scheme: dark) { :root { --text: #dde3ea; --page: #16191e; --quiet: #9aa6b2;
  --line: #353c46; --worse: #ff8a75 } }
body { font: 15px/1.45 system-ui, sans-serif; margin: 2em auto; max-width: 75em; padding: 0 1em;
  color: var(--text); background: var(--page); overflow-wrap: anywhere }
h1 { font-size: 1.5em } h2 { font-size: 1.2em; margin-top: 2em } h3 { font-size: 1em }
.wide { overflow-x: auto; margin: .7em 0 }
table { border-collapse: collapse; overflow-wrap: normal }
caption { text-align: left; color: var(--quiet) }
th, td { padding: .25em .6em; border-bottom: 1px solid var(--line); text-align: right;
  vertical-align: top }
th { vertical-align: bottom } td { white-space: nowrap }
th:first-child, td:first-child { text-align: left; padding-left: 0 }
td:first-child { white-space: normal; min-width: 7em; overflow-wrap: anywhere }
.facts td { text-align: left; white-space: normal; overflow-wrap: anywhere }
small, .legend, figcaption { color: var(--quiet); font-size: .85em }
td small { display: block } small.worse { color: var(--worse) }
.legend span { display: inline-block; margin-right: 1.2em }
.legend i { display: inline-block; width: .9em; height: .9em; margin-right: .4em;
  border: 1px solid var(--line); vertical-align: -.1em }
.scene { display: grid; gap: .6em; margin-bottom: 1.6em;
  grid-template-columns: repeat(auto-fill, minmax(min(12.5em, 47%), 1fr)) }
figure { margin: 0 } .below { grid-column-start: 1 }
img { image-rendering: pixelated; width: 100%; display: block }
"""


def html_of(title: str, body: str) -> str:
    """Return the text of an HTML page whose heading is its title.

    title: plain text, which is escaped. body: HTML for what stands below the heading.
    """
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(title)}</title><style>{_STYLE}</style></head>\n"
        f"<body><h1>{escape(title)}</h1>{body}</body></html>\n"
    )


def figure_of(
    png: bytes, title: str, caption: str | None = None, *, starts_row: bool = False
) -> str:
    """Return the HTML of a picture with a caption below it.

    png: the bytes of a PNG file, which become part of the page. title: plain text that stands for
    the picture where it is not seen. caption: plain text, the title unless given. starts_row:
    whether the picture begins a new row of its scene.
    """
    data = base64.b64encode(png).decode()
    place = ' class="below"' if starts_row else ""
    return (
        f'<figure{place}><img alt="{escape(title)}" src="data:image/png;base64,{data}">'
        f"<figcaption>{escape(title if caption is None else caption)}</figcaption></figure>"
    )
