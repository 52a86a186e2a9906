"""The training loop: Lightning module, losses, augmentation, sampling, checkpoints."""
