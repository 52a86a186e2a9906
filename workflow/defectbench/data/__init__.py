"""Data: source files, manifest, splits, subsets, packs, prompts and exports of labels."""
