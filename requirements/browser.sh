#!/usr/bin/env bash
# Installs Debian's chromium, in which tests open the pages that are written for people; without it
# they are skipped. Not playwright's own download: a distribution keeps its browser up to date.
set -euo pipefail

if command -v chromium >/dev/null || command -v chromium-headless-shell >/dev/null; then exit 0; fi
if ! command -v apt-get >/dev/null || [[ $(id -u) != 0 ]]; then
  echo "browser.sh: it needs apt-get and root; install chromium with the system's packages" >&2
  exit 1
fi
export DEBIAN_FRONTEND=noninteractive
apt-get -o Acquire::Retries=3 update -qq
# The browser alone is 80 MB.
apt-get -o Acquire::Retries=3 install -qq -y --no-install-recommends chromium >/dev/null
command -v chromium
