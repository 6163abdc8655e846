"""Which classes a model takes for which."""

import math
from collections.abc import Sequence

from swr_keras.reporting.markup import Markup, element, join
from swr_keras.reporting.results import percent

_RIGHT, _WRONG = "0,114,178", "213,94,0"
_DARK = 0.55
_MISTAKES = 5


def confusion_table(labels: Sequence[str], counts: Sequence[Sequence[int]]) -> Markup:
    """Makes a table of how often each true class (rows) was taken for each class (columns).

    Colour is the share of the row, on a scale of square roots, so that rare mistakes show.

    Args:
        labels: Class names, which may be of any script.
        counts: `counts[i][j]`: examples of class i that were taken for class j.
    """
    heads = [element("th", element("span", label), scope="col") for label in labels]
    corner = element("th", "true class / taken for")
    head = element("tr", corner, *heads, element("th", element("b", "correct"), scope="col"))
    rows = []
    for index, (label, row) in enumerate(zip(labels, counts, strict=True)):
        total = sum(row)
        cells = [_cell(count, total, column == index) for column, count in enumerate(row)]
        right = percent(row[index] / total) if total else "-"
        rows.append(element("tr", element("th", label, scope="row"), *cells, element("td", right)))
    content = element("thead", head), element("tbody", *rows)
    return element("div", element("table", *content, class_="confusion"), class_="scroll")


def frequent_mistakes(labels: Sequence[str], counts: Sequence[Sequence[int]]) -> Markup:
    """Names the most frequent mistakes in words."""
    mistakes = sorted(
        (
            (count, sum(row), labels[true], labels[found])
            for true, row in enumerate(counts)
            for found, count in enumerate(row)
            if count and found != true
        ),
        key=lambda mistake: -mistake[0],
    )
    if not mistakes:
        return element("p", "No mistakes.")
    listed = [
        join([element("b", true), " taken for ", element("b", found), f" ({count} of {total})"])
        for count, total, true, found in mistakes[:_MISTAKES]
    ]
    separated = [part for item in listed for part in (", ", item)][1:]
    return element("p", "Most frequent mistakes: ", *separated, ".")


def _cell(count, total, is_right):
    if not count:
        return element("td")
    share = math.sqrt(count / total)
    colour = "#fff" if share > _DARK else "inherit"
    background = f"rgba({_RIGHT if is_right else _WRONG},{share:.2f})"
    return element("td", count, style=f"background:{background};color:{colour}")
