"""A segmentation head on SAM 2's image encoder."""
