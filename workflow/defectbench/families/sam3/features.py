"""What SAM 3's image encoder makes of images, kept on disk."""

from pathlib import Path

from defectbench.families.sam3 import network, weights
from defectbench.families.sam3.network import Features, PhraseSam3
from defectbench.models.feature_cache import FeatureCache, encoder_digest


class PhraseFeatureCache(FeatureCache[Features]):
    """A cache of :meth:`PhraseSam3.encode`."""

    def __init__(self, phrased: PhraseSam3, folder: Path, weights_sha256: str) -> None:
        """Keep features of ``phrased``, whose encoder's weights have the digest ``weights_sha256``, in ``folder``."""
        code = encoder_digest("transformers", network, weights)
        super().__init__(phrased.encode, Features, folder, weights_sha256, code)
