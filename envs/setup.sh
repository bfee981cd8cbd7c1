#!/usr/bin/env bash
# Makes .venv from the pins in envs/constraints.txt, or leaves it alone when it is up to date.
# Every failure ends in one sentence that says what to do.
set -euo pipefail
cd "$(dirname "$0")/.."

fail() { echo "setup: $*" >&2; exit 1; }

python=${PYTHON:-}
if [ -z "$python" ]; then
    for candidate in python3.13 python3.12 python3.11 python3; do
        if command -v "$candidate" >/dev/null &&
            "$candidate" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' 2>/dev/null; then
            python=$candidate
            break
        fi
    done
fi
found=$(python3 --version 2>/dev/null || echo "no python3 at all")
[ -n "$python" ] || fail "Python 3.11 to 3.13 is needed, found: $found; install one, or name it: make PYTHON=/path/to/python3.12 …"
"$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' ||
    fail "Python 3.11 or newer is needed, $python is $("$python" --version 2>&1)."
"$python" -c 'import ensurepip, venv' 2>/dev/null ||
    fail "$python has no venv module; on Debian and Ubuntu: apt install python3-venv"

stamp=$("$python" -c '
import hashlib, pathlib, sys
files = [pathlib.Path("envs/constraints.txt"), pathlib.Path("pyproject.toml")]
text = sys.version.encode() + b"".join(file.read_bytes() for file in files)
print(hashlib.sha256(text + str(pathlib.Path.cwd()).encode()).hexdigest())')
[ "$(cat .venv/stamp 2>/dev/null)" != "$stamp" ] || exit 0

gpu=no
if command -v nvidia-smi >/dev/null && nvidia-smi -L >/dev/null 2>&1; then gpu=yes; fi
if [ $gpu = yes ]; then need=14; else need=5; fi
free=$(df -Pk . | awk 'NR==2 {print int($4 / 1048576)}')
[ "$free" -ge $need ] || fail "$need GB of disk are needed for the Python packages, $free GB are free in $PWD."

# Without a GPU the CPU build of torch is enough; PyPI's own build for Linux brings CUDA along.
index=()
if [ $gpu = no ] && [ "$(uname -s)" = Linux ] && [ -z "${PIP_FIND_LINKS:-}" ]; then
    index=(--extra-index-url https://download.pytorch.org/whl/cpu)
fi

echo "setup: installing the pinned packages into .venv ($("$python" --version), NVIDIA GPU: $gpu); a few minutes"
[ -x .venv/bin/python ] && .venv/bin/python -c 'import pip' 2>/dev/null || "$python" -m venv --clear .venv
rm -f .venv/stamp
log=.venv/install.log
# torch is named with its version, so that nothing else can ask for another build of it.
if ! .venv/bin/python -m pip install --progress-bar off --disable-pip-version-check \
    "${index[@]}" -c envs/constraints.txt "$(grep '^torch==' envs/constraints.txt)" -e '.[dev]' \
    >"$log" 2>&1; then
    tail -n 5 "$log" >&2
    if grep -qi 'no space left' "$log"; then fail "the disk is full; free some space and run it again."; fi
    if grep -qiE 'NewConnectionError|Temporary failure in name resolution|ConnectTimeout|ProxyError|Max retries' "$log"; then
        fail "the package index cannot be reached; check the network or proxy and run it again."
    fi
    fail "pip could not install the pinned packages; its full output is in $log."
fi
echo "$stamp" >.venv/stamp
echo "setup: done"
