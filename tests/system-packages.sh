#!/usr/bin/env bash
# Installs the packages of tests/system-packages.txt that are missing, without starting a service.
# Needs root and Debian or Ubuntu.
set -euo pipefail
cd "$(dirname "$0")"
missing=()
while read -r package; do
    dpkg-query -W -f='${Status}' "$package" 2>/dev/null | grep -q 'ok installed' || missing+=("$package")
done < <(grep -v '^#' system-packages.txt)
[ ${#missing[@]} -gt 0 ] || exit 0

# Debian asks this file whether an installed service may start; the tests start their own.
policy=/usr/sbin/policy-rc.d
if [ ! -e $policy ]; then
    printf '#!/bin/sh\nexit 101\n' >$policy
    chmod +x $policy
    trap 'rm -f $policy' EXIT
fi
export DEBIAN_FRONTEND=noninteractive
apt=(apt-get -qq -o DPkg::Lock::Timeout=120)
"${apt[@]}" update
"${apt[@]}" install -y --no-install-recommends "${missing[@]}" >/dev/null
