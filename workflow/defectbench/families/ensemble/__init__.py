"""Ensembles: averages of other experiments' maps."""
