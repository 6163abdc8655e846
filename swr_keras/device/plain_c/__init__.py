"""From int8 models to constants of C, and the steps that read them."""
