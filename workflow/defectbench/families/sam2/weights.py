"""Base weights of SAM 2: safetensors of the still-image parts."""

from pathlib import Path

from defectbench.config.families.sam2_encoder import parse_base_name
from defectbench.families.sam2.network import NativeSam2
from defectbench.files import file_sha256
from defectbench.models.adapters import check_fit, read_tensors


def load_base(path: Path, name: str) -> tuple[NativeSam2, dict[str, str]]:
    """The network with the base weights in ``path``, and their origin, for the run record.

    Raises:
        WeightsError: if the file is missing, damaged, or of another version or size.
    """
    values, metadata = read_tensors(path, ". Make it with the rule weights_sam2")
    version, size, _ = parse_base_name(name)
    network = NativeSam2(version, size)
    check_fit(network, values, path, name)
    network.load_state_dict(values)
    return network, {"weights_source": metadata.get("source", "unknown"), "base_sha256": file_sha256(path)}
