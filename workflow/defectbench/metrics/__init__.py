"""Counts and histograms of images, and metrics as pure functions of them."""
