# Read by the shells of Snakemake's jobs (BASH_ENV): instead of running Python they write down its arguments, each ended
# by a zero byte, and fail.
python() { printf '%s\0' "$@" >> "$RECORDED_ARGUMENTS"; return 1; }
