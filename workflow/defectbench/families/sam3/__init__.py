"""SAM 3 prompted with phrases."""
