#!/bin/sh
# Install Debian's packages of programs that tests need, unless the programs are there, or say how.
# Usage: ensure_programs.sh "program ..." package ...
set -eu
PATH="$PATH:/usr/sbin"
programs=$1
shift
missing=
for program in $programs; do
    command -v "$program" >/dev/null || missing="$missing $program"
done
if [ -z "$missing" ]; then
    exit 0
fi
if ! command -v apt-get >/dev/null; then
    echo "The browser tests need$missing. Install them, then try again." >&2
    exit 1
fi
if [ "$(id -u)" -ne 0 ]; then
    echo "The browser tests need$missing. As root: apt-get install $*" >&2
    exit 1
fi
export DEBIAN_FRONTEND=noninteractive
apt-get update -qq
# Only the programs: as if nothing were to be started now.
RUNLEVEL=1 apt-get install -y -qq --no-install-recommends "$@"
