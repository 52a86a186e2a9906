"""Prediction of logit maps at the image's own pixels, and the files that hold them."""
