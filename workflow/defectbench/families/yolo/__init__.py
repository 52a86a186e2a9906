"""The YOLO family: detection and segmentation through ultralytics."""
