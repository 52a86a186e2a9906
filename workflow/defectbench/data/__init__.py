"""From source files to the manifest, splits, subsets and packs: everything that happens before a model."""
