"""Shapes: boundary, centre lines and components of the masks of one image, each computed once."""

from collections.abc import Callable
from functools import cached_property

import numpy as np

from defectbench.metrics import boundary, centreline, components
from defectbench.metrics.components import Components


class Shape:
    """Properties of one mask, (H, W) bool, each computed at its first use. Masks are kept in a bit per pixel."""

    def __init__(self, mask: np.ndarray) -> None:
        """Keep ``mask``, (H, W) bool."""
        self._size = mask.shape
        self._packed = {"mask": np.packbits(mask)}

    @property
    def mask(self) -> np.ndarray:
        """The mask, (H, W) bool."""
        return self._unpack("mask")

    @property
    def is_empty(self) -> bool:
        """Whether no pixel is defective."""
        return not self.components

    @property
    def boundary(self) -> np.ndarray:
        """Boundary pixels, (H, W) bool."""
        return self._kept("boundary", lambda: boundary.boundary(self.mask))

    @property
    def near_boundary(self) -> np.ndarray:
        """Pixels within the tolerance of the boundary, (H, W) bool."""
        return self._kept("near_boundary", lambda: boundary.within_tolerance(self.boundary))

    @cached_property
    def components(self) -> Components:
        """Connected components."""
        return components.find_components(self.mask)

    @cached_property
    def clusters(self) -> np.ndarray:
        """The cluster of each component, (N,) int32."""
        return components.assign_clusters(self.mask, self.components)

    @property
    def skeleton(self) -> np.ndarray:
        """Centre lines, (H, W) bool."""
        return self._kept("skeleton", lambda: centreline.skeleton(self.components))

    def _kept(self, name: str, compute: Callable[[], np.ndarray]) -> np.ndarray:
        """The mask that ``compute`` gave at the first call with this ``name``."""
        if name not in self._packed:
            self._packed[name] = np.packbits(compute())
        return self._unpack(name)

    def _unpack(self, name: str) -> np.ndarray:
        height, width = self._size
        return np.unpackbits(self._packed[name], count=height * width).view(bool).reshape(self._size)


class Shapes:
    """The shapes of one image; equal masks, as of several policies or of the only class present, share one."""

    def __init__(self) -> None:
        """Start without any."""
        self._known: dict[bytes, Shape] = {}

    def of(self, mask: np.ndarray) -> Shape:
        """The shape of ``mask``, (H, W) bool; all masks have the image's size."""
        return self._known.setdefault(np.packbits(mask).tobytes(), Shape(mask))
