"""Prediction of logit maps at the image's own pixels: resizing, tiles, test-time augmentation, ensembles, timing."""
