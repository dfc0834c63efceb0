#!/bin/sh
# Submit a build to a Ray cluster: the wheel of this checkout goes along, the cluster's nodes have plait's dependencies.
#
#   scripts/ray_submit.sh http://head:8265 build 's3://crawl/*.warc.gz' --out s3://corpora/crawl
#
# The program stops with the job's exit code. Stop it, or lose the driver: the same command goes on where it was.
set -eu
address=${1:?usage: ray_submit.sh ADDRESS build INPUTS... --out FOLDER [OPTIONS]}
shift
here=$(cd "$(dirname "$0")/.." && pwd)
python=${PYTHON:-$here/.venv/bin/python}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
"$python" -m pip wheel --quiet --no-deps --no-build-isolation --wheel-dir "$work" "$here"
wheel=$(ls "$work"/plait-*.whl)
# Relative paths of the command are the submitter's; the job runs in a folder of its own.
exec_line=""
for argument in "$@"; do
  case $argument in
    -* | *://*) ;;
    *) if [ -e "$argument" ]; then argument=$(realpath "$argument"); fi ;;
  esac
  exec_line="$exec_line '$(printf %s "$argument" | sed "s/'/'\\\\''/g")'"
done
"$(dirname "$python")/ray" job submit --address "$address" \
  --runtime-env-json "{\"py_modules\": [\"$wheel\"]}" \
  -- sh -c "python -m plait.jobs $exec_line --engine ray --ray-address auto"
