#!/usr/bin/env bash
# All tests: unit tests side by side, then those that run the workflow itself, then coverage.
set -euo pipefail
cd "$(dirname "$0")/.."
export HF_HUB_OFFLINE=1 COVERAGE_FILE="$PWD/.coverage"
rm -f .coverage .coverage.*
pytest -n 2 --dist loadfile -m "not e2e and not demo" --cov --cov-report= tests
pytest -n 2 --dist loadfile -m "e2e" --cov --cov-append --cov-report= tests
pytest -m "demo" tests
coverage report --skip-covered --fail-under=90
