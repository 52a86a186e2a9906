"""SAM 2 and 2.1, prompted with boxes, points or masks, for still images of any size."""
