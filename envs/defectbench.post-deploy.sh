#!/usr/bin/env bash
# ultralytics asks for opencv-python, whose cv2 overwrites the headless one and needs a display library.
set -euo pipefail
version=$(python -c "import importlib.metadata as m; print(m.version('opencv-python-headless'))")
python -m pip uninstall --yes opencv-python opencv-python-headless
python -m pip install --no-deps "opencv-python-headless==$version"
