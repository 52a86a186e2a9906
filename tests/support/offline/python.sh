# Read by the shells of Snakemake's jobs (BASH_ENV): they set PYTHONPATH themselves.
python() { PYTHONPATH="${BASH_SOURCE[0]%/*}:$PYTHONPATH" command python "$@"; }
