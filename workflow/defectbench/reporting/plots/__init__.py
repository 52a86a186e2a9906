"""Plots: a module each, so that an edit of one redraws only that one."""
