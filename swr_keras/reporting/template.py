"""Templates of pages, in which everything that is put in is text, and escaped."""

import importlib.resources
from typing import Any

import jinja2


def render(template: str, **values: Any) -> str:
    """Renders a template of this package.

    Args:
        template: Its file.
        values: What it shows; a value that it names and isn't here is an error.
    """
    environment = jinja2.Environment(
        loader=jinja2.FunctionLoader(_read),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    return environment.get_template(template).render(**values)


def _read(name: str) -> str:
    return (importlib.resources.files(__package__) / name).read_text("utf-8")
