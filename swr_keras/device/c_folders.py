"""Where the C sources are that come with the package."""

import pathlib

C_FOLDERS = pathlib.Path(__file__).with_name("tflite")
"""Its folders are those of `tflite/`."""
