"""Cache of the features of SAM 3's image encoder."""

from pathlib import Path

from defectbench.families.sam3 import network, weights
from defectbench.families.sam3.network import Features, PhraseSam3
from defectbench.models.feature_cache import FeatureCache, encoder_digest


class PhraseFeatureCache(FeatureCache[Features]):
    """A cache of :meth:`PhraseSam3.encode`."""

    def __init__(self, phrased: PhraseSam3, folder: Path, weights_sha256: str) -> None:
        """Cache in ``folder`` the features of ``phrased``, whose weights have the digest ``weights_sha256``."""
        code = encoder_digest("transformers", network, weights)
        super().__init__(phrased.encode, Features, folder, weights_sha256, code)
