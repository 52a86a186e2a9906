"""Counts, histograms and the pure functions of them. Small, because training uses it too."""
