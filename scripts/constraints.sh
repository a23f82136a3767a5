#!/bin/sh
# Writes constraints.txt from the versions now installed in .venv.
set -eu
cd "$(dirname "$0")/.."
{
  echo "# Every version that make demo and make test install; regenerate with scripts/constraints.sh."
  # A local build tag such as +cpu is not on every index.
  .venv/bin/pip freeze --exclude-editable | sed 's/+cpu$//' | grep -v -e '^-e' -e '^emojudge'
} > constraints.new
mv constraints.new constraints.txt
