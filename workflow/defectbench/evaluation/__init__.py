"""Calibration on validation images, scoring of prediction files, statistics."""
