#!/usr/bin/env bash
# What rests on Snakemake's inner workings, under the oldest version that pyproject.toml allows and the newest of the index.
set -euo pipefail
cd "$(dirname "$0")/.."
requirement=$(sed -n 's/^    "\(snakemake>=.*\)",$/\1/p' pyproject.toml)
packages=$(.venv/bin/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')
for resolution in lowest highest; do
    # An environment of its own with Snakemake alone; all else is that of .venv.
    folder=.venv/snakemake-$resolution
    .venv/bin/python -m venv --clear --without-pip "$folder"
    uv pip install --quiet --no-deps --resolution "$resolution" --python "$folder/bin/python" "$requirement"
    inner=$("$folder/bin/python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))')
    echo "import site; site.addsitedir('$packages')" > "$inner/environment.pth"
    echo "$resolution of $requirement: $("$folder/bin/snakemake" --version)"
    PATH="$PWD/$folder/bin:$PATH" "$folder/bin/python" -m pytest tests/workflow/test_staleness.py \
        tests/workflow/test_cascade_staleness.py tests/workflow/test_digests.py tests/workflow/test_chaos.py \
        tests/workflow/test_kill.py
done
