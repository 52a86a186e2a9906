"""Model families: one folder each, behind the contract of :mod:`defectbench.families.contract`."""
