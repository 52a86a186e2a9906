"""What SAM 2's frozen encoder makes of images, kept on disk."""

from pathlib import Path

from defectbench.families.sam2 import network as network_code
from defectbench.families.sam2 import weights as weights_code
from defectbench.families.sam2.network import Embedding, NativeSam2
from defectbench.models.feature_cache import FeatureCache, encoder_digest


class EmbeddingCache(FeatureCache[Embedding]):
    """A cache of :meth:`NativeSam2.encode`."""

    def __init__(self, network: NativeSam2, folder: Path, weights_sha256: str) -> None:
        """Keep embeddings of ``network``, whose encoder's weights have the digest ``weights_sha256``, in ``folder``."""
        code = encoder_digest("sam2", network_code, weights_code)
        # Not bound yet: what wraps the encoder later, wraps it here too.
        super().__init__(lambda images: network.encode(images), Embedding, folder, weights_sha256, code)
