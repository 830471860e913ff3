"""Pieces of a page that opens offline: escaped text, tables, pictures inside the page, one style for both themes."""

import base64
from collections.abc import Iterable, Sequence
from html import escape

STYLE = """
:root { color-scheme: light dark; --paper: #fff; --ink: #1b1f24; --soft: #5a6270; --line: #d5d9e0;
  --band: #f4f6f9; --link: #0b5cad; --card: #fff; }
@media (prefers-color-scheme: dark) { :root { --paper: #14171b; --ink: #e7eaee; --soft: #a4adb9;
  --line: #353b44; --band: #1c2127; --link: #7ab8ff; --card: #f3f4f6; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--paper); color: var(--ink); font: 16px/1.5 system-ui, sans-serif; }
main { max-width: 72rem; margin: 0 auto; padding: 2rem 1.25rem 4rem; }
h1 { font-size: 1.8rem; line-height: 1.2; margin: 0 0 .5rem; }
h2 { font-size: 1.4rem; margin: 2.75rem 0 .5rem; padding-top: 1rem; border-top: 2px solid var(--line); }
h3 { font-size: 1.1rem; margin: 2rem 0 .5rem; }
p { max-width: 48rem; margin: .5rem 0; }
p.soft, figcaption, .soft { color: var(--soft); }
a { color: var(--link); }
nav ul { margin: .5rem 0; padding-left: 1.25rem; }
.scroll { overflow-x: auto; margin: .75rem 0 1.25rem; }
.scroll:focus-visible, a:focus-visible { outline: 3px solid var(--link); outline-offset: 2px; }
table { border-collapse: collapse; font-size: .9rem; font-variant-numeric: tabular-nums; }
caption { text-align: left; font-weight: 600; padding: .25rem 0 .4rem; }
th, td { text-align: left; vertical-align: top; padding: .4rem .8rem .4rem .5rem;
  border-bottom: 1px solid var(--line); }
thead th { color: var(--soft); font-weight: 600; border-bottom: 2px solid var(--line); vertical-align: bottom; }
tbody th { font-weight: 600; min-width: 9rem; }
td.figure { white-space: nowrap; }
tbody tr:nth-child(even) { background: var(--band); }
code { font: .85em ui-monospace, monospace; overflow-wrap: anywhere; }
.figures { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 26rem), 1fr)); gap: 1.25rem; }
figure { margin: 0; }
figure img { width: 100%; height: auto; display: block; background: var(--card); border: 1px solid var(--line);
  border-radius: 6px; padding: .4rem; }
figcaption { font-size: .9rem; padding-top: .4rem; }
.pairs { display: flex; flex-wrap: wrap; gap: 1rem; padding: 0; list-style: none; }
.pairs img { display: inline-block; width: 6rem; border: 0; padding: 0; border-radius: 4px; vertical-align: top; }
@media print { :root { --paper: #fff; --ink: #000; --soft: #333; --line: #999; --band: #fff; --link: #000; }
  body { font-size: 10pt; } main { max-width: none; padding: 0; } nav { display: none; }
  td.figure { white-space: normal; }
  .scroll { overflow: visible; } figure, tr, li { break-inside: avoid; } h2, h3 { break-after: avoid; } }
"""


class Markup(str):
    """HTML that was made here and may go into the page as it is; every other text is escaped."""

    __slots__ = ()


def safe(value: object) -> str:
    """``value`` as HTML: escaped, unless it is :class:`Markup`."""
    return value if isinstance(value, Markup) else escape(str(value))


def code(value: object) -> Markup:
    """A digest, an id or a name of a file."""
    return Markup(f"<code>{safe(value)}</code>")


def paragraph(text: str, soft: bool = False) -> Markup:
    """A paragraph; ``soft`` for what explains."""
    kind = ' class="soft"' if soft else ""
    return Markup(f"<p{kind}>{safe(text)}</p>")


def heading(level: int, text: str, anchor: str = "") -> Markup:
    """A heading of level 1 to 6, with the name by which links find it."""
    name = f' id="{safe(anchor)}"' if anchor else ""
    return Markup(f"<h{level}{name}>{safe(text)}</h{level}>")


def table(caption: str, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> Markup:
    """A table with a caption and headings; the first cell of a row is the row's heading.

    Wide tables scroll inside a region that the keyboard reaches.
    """
    head = "".join(f'<th scope="col">{safe(column)}</th>' for column in columns)
    body = "".join(
        f'<tr><th scope="row">{safe(row[0])}</th>' + "".join(map(_cell, row[1:])) + "</tr>" for row in rows
    )
    return Markup(
        f'<div class="scroll" role="region" aria-label="{safe(caption)}" tabindex="0"><table>'
        f"<caption>{safe(caption)}</caption><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>"
    )


def _cell(value: object) -> str:
    text = safe(value)
    kind = ' class="figure"' if text[:1] in {*"+-0123456789"} else ""
    return f"<td{kind}>{text}</td>"


def picture(data: bytes, kind: str, alt: str) -> Markup:
    """A picture inside the page.

    Args:
        data: the encoded picture.
        kind: "png" or "jpeg".
        alt: what somebody who does not see it should know.
    """
    inside = base64.b64encode(data).decode("ascii")
    return Markup(f'<img src="data:image/{kind};base64,{inside}" alt="{safe(alt)}">')


def figure(image: Markup, caption: str) -> Markup:
    """A picture with its caption."""
    return Markup(f"<figure>{image}<figcaption>{safe(caption)}</figcaption></figure>")


def page(title: str, parts: Iterable[Markup]) -> str:
    """The document. Its own policy forbids requests of any kind."""
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta http-equiv="Content-Security-Policy" content="default-src \'none\'; img-src data:; '
        "style-src 'unsafe-inline'\">\n"
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta name="color-scheme" content="light dark">\n'
        f"<title>{safe(title)}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n<main>\n"
        + "\n".join(parts)
        + "\n</main>\n</body>\n</html>\n"
    )
