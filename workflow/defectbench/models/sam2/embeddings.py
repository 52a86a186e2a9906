"""What SAM 2's frozen encoder makes of images, kept on disk."""

from pathlib import Path

from defectbench.models.feature_cache import FeatureCache, encoder_digest
from defectbench.models.sam2 import base, native
from defectbench.models.sam2.native import Embedding, NativeSam2


class EmbeddingCache(FeatureCache[Embedding]):
    """A cache of :meth:`NativeSam2.encode`."""

    def __init__(self, network: NativeSam2, folder: Path, weights_sha256: str) -> None:
        """Keep embeddings of ``network``, whose encoder's weights have the digest ``weights_sha256``, in ``folder``."""
        code = encoder_digest("sam2", native, base)
        # Not bound yet: what wraps the encoder later, wraps it here too.
        super().__init__(lambda images: network.encode(images), Embedding, folder, weights_sha256, code)
