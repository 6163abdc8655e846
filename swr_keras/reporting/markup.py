"""HTML that can't be written unescaped."""

import html
from collections.abc import Iterable, Sequence
from typing import Any

_VOID = ("br", "meta")


class Markup(str):
    """Text that is HTML already."""


def element(tag: str, *children: Any, **attributes: Any) -> Markup:
    """Makes an element; children that are no `Markup` become escaped text.

    Args:
        tag: Name of the element.
        children: Its contents in order.
        attributes: Its attributes; `_` stands for `-`, and one at the end is left out.
    """
    written = "".join(
        f' {name.rstrip("_").replace("_", "-")}="{html.escape(str(value))}"'
        for name, value in attributes.items()
    )
    if tag in _VOID:
        return Markup(f"<{tag}{written}>")
    return Markup(f"<{tag}{written}>{join(children)}</{tag}>")


def join(children: Iterable[Any]) -> Markup:
    """Puts children in a row; those that are no `Markup` become escaped text."""
    return Markup(
        "".join(
            child if isinstance(child, Markup) else html.escape(str(child)) for child in children
        )
    )


def table(headings: Sequence[Any], rows: Iterable[Sequence[Any]], *, text_columns=1) -> Markup:
    """Makes a table that scrolls sideways where it doesn't fit.

    Args:
        headings: Contents of the head.
        rows: Contents of each row.
        text_columns: Number of columns that are aligned to the left; all others are numbers.
    """

    def cells(tag, row):
        return [
            element(tag, cell, class_="text" if column < text_columns else "number")
            for column, cell in enumerate(row)
        ]

    head = element("thead", element("tr", *cells("th", headings)))
    body = element("tbody", *(element("tr", *cells("td", row)) for row in rows))
    return element("div", element("table", head, body), class_="scroll")


def bar(share: float) -> Markup:
    """Makes a bar that fills a share of its cell, in [0, 1]."""
    fill = element("span", class_="fill", style=f"width:{100 * min(max(share, 0), 1):.1f}%")
    return element("span", fill, class_="bar")
