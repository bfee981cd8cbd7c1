#!/usr/bin/env bash
# All tests: unit tests side by side, and their coverage; then those that run the workflow itself.
set -euo pipefail
cd "$(dirname "$0")/.."
export HF_HUB_OFFLINE=1 COVERAGE_FILE="$PWD/.coverage"
rm -f .coverage .coverage.*
side_by_side=(--dist loadfile --no-loadscope-reorder) # tests/conftest.py says which files are first
pytest -n 2 "${side_by_side[@]}" -m "not e2e and not demo" --cov --cov-report= tests
coverage report --skip-covered --fail-under=90
# These wait for schedulers and servers much of the time: a third worker computes meanwhile.
pytest -n 3 "${side_by_side[@]}" -m "e2e" tests
pytest -m "demo" tests
