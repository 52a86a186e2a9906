"""The U-Net family: CNNs of segmentation-models-pytorch."""
