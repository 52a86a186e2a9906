"""Cache of the embeddings of SAM 2's frozen encoder."""

from pathlib import Path

from defectbench.families.sam2 import network as network_code
from defectbench.families.sam2 import weights as weights_code
from defectbench.families.sam2.network import Embedding, NativeSam2
from defectbench.models.feature_cache import FeatureCache, encoder_digest


class EmbeddingCache(FeatureCache[Embedding]):
    """A cache of :meth:`NativeSam2.encode`."""

    def __init__(self, network: NativeSam2, folder: Path, weights_sha256: str) -> None:
        """Cache in ``folder`` the embeddings of ``network``, whose weights have the digest ``weights_sha256``."""
        code = encoder_digest("sam2", network_code, weights_code)
        # Looked up at each call: the method may be replaced later, e.g. by a wrapper.
        super().__init__(lambda images: network.encode(images), Embedding, folder, weights_sha256, code)
