"""Dense conditional random fields: masks whose outlines follow the edges of the image.

P. Krähenbühl and V. Koltun, Efficient inference in fully connected CRFs with Gaussian edge potentials, NIPS 2011. Any
two pixels i and j at positions x with colours g are joined by w₁·exp(−|xᵢ−xⱼ|²/2s₁²) + w₂·exp(−|xᵢ−xⱼ|²/2s₂² −
|gᵢ−gⱼ|²/2l²), each kernel K normalised to D^−½ K D^−½, D its row sums. Mean-field inference is that of pydensecrf2, an
extra; its filters on a permutohedral lattice are approximations.
"""

import numpy as np

from defectbench.config.calibrate import CrfSettings
from defectbench.metrics.codes import STEPS_PER_LOGIT, threshold_code
from defectbench.script import UserError

# Log-odds of p = 1 - 1e-5. Without this bound the image could change neither surer pixels nor yes-or-no methods.
SUREST = 11.5


class CrfError(UserError):
    """A dense CRF that cannot be applied."""


class ImageCrfs:
    """The dense CRFs of one image. Each is set up once, for all classes and thresholds."""

    def __init__(self, image: np.ndarray | None) -> None:
        """Keep ``image``, (H, W) or (H, W, 3) uint8; None if no CRF will be applied."""
        self._image = image
        self._crfs: dict[CrfSettings, _DenseCrf] = {}

    def mask(self, codes: np.ndarray, k: int, settings: CrfSettings | None) -> np.ndarray:
        """Mask (H, W) bool of a map of ``codes`` (H, W) uint16: p ≥ k/256, or by the CRF of ``settings``.

        The unary term is the map's log-odds minus the threshold's, so that without its neighbours every pixel
        would be decided by the threshold.

        Raises:
            CrfError: if a CRF is to be applied without an image, or without pydensecrf2.
        """
        cut = threshold_code(k)
        mask = codes >= cut
        # Where all pixels agree, no neighbour favours the other label.
        if settings is None or mask.all() or not mask.any():
            return mask
        if settings not in self._crfs:
            self._crfs[settings] = _DenseCrf(self._image, settings)
        return self._crfs[settings].infer((codes.astype(np.float32) - cut) / STEPS_PER_LOGIT) >= 0.5


class _DenseCrf:
    """A CRF of two labels with the pairwise terms of one image."""

    def __init__(self, image: np.ndarray | None, settings: CrfSettings) -> None:
        if image is None:
            raise CrfError("post-processing by a dense CRF needs the images: give the pack with --pack")
        try:
            from pydensecrf.densecrf import DenseCRF
            from pydensecrf.utils import create_pairwise_bilateral, create_pairwise_gaussian
        except ImportError as error:
            raise CrfError(
                f"a dense CRF needs pydensecrf2 ({error}); install it with: pip install 'defectbench[crf]'"
            ) from None
        self._shape, self._iterations = image.shape[:2], settings.iterations
        self._crf = DenseCRF(image.shape[0] * image.shape[1], 2)
        if settings.smoothness_weight:
            near = create_pairwise_gaussian((settings.smoothness_std,) * 2, self._shape)
            self._crf.addPairwiseEnergy(near, compat=settings.smoothness_weight)
        if settings.appearance_weight:
            colours, levels = _colours(image, settings.appearance_levels)
            alike = create_pairwise_bilateral((settings.appearance_std,) * 2, levels, colours, chdim=2)
            self._crf.addPairwiseEnergy(alike, compat=settings.appearance_weight)

    def infer(self, log_odds: np.ndarray) -> np.ndarray:
        """Probabilities (H, W) float32 after mean-field inference from ``log_odds`` (H, W)."""
        sure = np.clip(log_odds, -SUREST, SUREST).astype(np.float32).ravel()
        self._crf.setUnaryEnergy(np.stack([np.zeros_like(sure), -sure]))
        return np.array(self._crf.inference(self._iterations))[1].reshape(self._shape)


def _colours(image: np.ndarray, levels: float) -> tuple[np.ndarray, tuple[float, ...]]:
    """``image`` as (H, W, channels) and the scale of each channel.

    Grey images get the distances of RGB images with three equal channels, which are treated as grey; so do the
    channels of others.
    """
    if image.ndim == 3 and not (image == image[..., :1]).all():
        return image, (levels * (image.shape[2] / 3) ** 0.5,) * image.shape[2]
    grey = image if image.ndim == 2 else image[..., 0]
    return grey[..., None], (levels / 3**0.5,)
