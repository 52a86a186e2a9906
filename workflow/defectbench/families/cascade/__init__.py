"""Cascades: one experiment's predictions prompt a promptable model."""
