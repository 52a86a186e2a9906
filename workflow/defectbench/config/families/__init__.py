"""Settings of the model families, one module each; importable without torch."""
