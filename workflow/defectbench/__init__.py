"""DefectBench: a segmentation benchmark for surface inspection that can be believed."""
