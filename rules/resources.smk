"""Memory and time that jobs ask for, and GPUs."""

from defectbench.largest_image import largest_image


def memory(base, factor=0, per_pixel=0):
    """mem_mb of a rule, doubled with each further attempt.

    It is ``base``, ``factor`` times the size of its input files, and ``per_pixel`` bytes of the dataset's largest image.
    """
    return with_signature(
        lambda wildcards, input, attempt: int(
            (
                number(base)
                + factor * megabytes(input, factor)
                + per_pixel * megapixels(per_pixel)
            )
            * 2 ** (attempt - 1)
        )
    )


def memory_per_gpu(base):
    """mem_mb of a training: ``base`` for each GPU, which has a process of its own, doubled with each further attempt."""
    return lambda wildcards, attempt: base * gpus(wildcards) * 2 ** (attempt - 1)


def minutes(base, per_gb=0):
    """runtime of a rule: ``base`` and ``per_gb`` for each GB of its input files, doubled with each further attempt."""
    return with_signature(
        lambda wildcards, input, attempt: int(
            (number(base) + per_gb * megabytes(input, per_gb) / 1000)
            * 2 ** (attempt - 1)
        )
    )


def number(base):
    """A number, or what a function gives that is called when a job needs it."""
    return base() if callable(base) else base


def megabytes(input, factor):
    """Size of a job's input files, where ``factor`` says that it matters: `input.size_mb` takes milliseconds.

    Packs do not count: they are mapped into memory.
    """
    if not factor:
        return 0
    return (
        sum(os.path.getsize(path) for path in input if not path.endswith(".bin")) / 1e6
    )


def megapixels(per_pixel):
    """Size of the dataset's largest image, where ``per_pixel`` says that it matters: known once it is ingested."""
    if not per_pixel:
        return 0
    manifest = Path(f"runs/{DS}/manifest.parquet")
    return largest_image(manifest, manifest.stat().st_mtime_ns) / 1e6


def gpus(wildcards):
    """GPUs that a training takes."""
    return experiment_of(wildcards).traits.devices
