"""Command-line recipes: `python -m swr_keras.recipes.<name>`."""
