"""The training loop: Lightning module, losses, augmentation, sampling, checkpoints."""

import os

# Read when albumentations is imported, which would ask a server for a newer version.
os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")
