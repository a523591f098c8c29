#!/bin/sh
# A browser test goes through a proxy as a lab would have it: install nginx when it is absent, or say how.
set -eu
PATH="$PATH:/usr/sbin"
if command -v nginx >/dev/null && command -v openssl >/dev/null; then
    exit 0
fi
if ! command -v apt-get >/dev/null; then
    echo "A browser test needs nginx and openssl. Install them, then try again." >&2
    exit 1
fi
if [ "$(id -u)" -ne 0 ]; then
    echo "A browser test needs nginx. As root: apt-get install nginx openssl" >&2
    exit 1
fi
export DEBIAN_FRONTEND=noninteractive
apt-get update -qq
# Only the program: as if nothing were to be started now.
RUNLEVEL=1 apt-get install -y -qq --no-install-recommends nginx openssl
