#!/usr/bin/env bash
# Install the Debian packages that tests use, where this is root on Debian; else say what is missing.
set -u
missing=()
for package in $PACKAGES; do
  dpkg-query -W -f='${Status}' "$package" 2>/dev/null | grep -q 'install ok installed' || missing+=("$package")
done
[ ${#missing[@]} -eq 0 ] && exit 0
if [ "$(id -u)" -ne 0 ] || ! command -v apt-get >/dev/null; then
  echo "Not installed (their tests will be skipped by name): ${missing[*]}"
  exit 0
fi
echo "Installing Debian packages for the tests: ${missing[*]}"
export DEBIAN_FRONTEND=noninteractive RUNLEVEL=1
# No server may start by itself: the tests start their own, on loopback, and end them.
policy=/usr/sbin/policy-rc.d
made=
if [ ! -e "$policy" ]; then printf '#!/bin/sh\nexit 101\n' > "$policy"; chmod +x "$policy"; made=1; fi
apt-get update -qq && apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
status=$?
[ -n "$made" ] && rm -f "$policy"
[ $status -eq 0 ] || echo "Some Debian packages could not be installed; their tests will be skipped by name."
exit 0
