#!/usr/bin/env bash
# Install Slurm from Debian's packages, for tests/slurm/test_slurm.py. Needs root and apt; without them it says so.
set -euo pipefail
if command -v slurmctld slurmd munged sbatch >/dev/null; then
    echo "Slurm is here: $(slurmctld -V)"
elif [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then
    echo "Slurm is not installed: that needs root and apt-get" >&2
else
    export DEBIAN_FRONTEND=noninteractive
    apt() { apt-get -qq -y -o Acquire::Retries=0 -o Acquire::http::Timeout=20 "$@"; }
    apt update && apt install --no-install-recommends slurm-wlm munge slurm-wlm-basic-plugins ||
        echo "Slurm could not be installed; its test will be skipped" >&2
fi
