"""The error of exports."""


class ExportError(ValueError):
    """A model that can't run, or can't be shown to run rightly, on a microcontroller."""
