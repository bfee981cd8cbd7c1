#!/usr/bin/env bash
# Makes envs/brain-score, in which Brain-Score's own package scores our networks (measure brain_score).
set -euo pipefail
cd "$(dirname "$0")/.."

echo "brain-score: installing its package into envs/brain-score; a few minutes, 3 GB"
.venv/bin/python -m venv --clear envs/brain-score
pins=$(grep -E '^(torch|torchvision)==' envs/constraints.txt)
# The variable holds two requirements, each without a space.
# shellcheck disable=SC2086
envs/brain-score/bin/python -m pip install --progress-bar off --disable-pip-version-check \
    --quiet $pins -r envs/brain-score.txt || {
    rm -rf envs/brain-score
    echo "brain-score: pip could not install it; is the package index reachable?" >&2
    exit 1
}
echo "brain-score: done; presets that name the measure brain_score now take it"
