#!/bin/sh
# Submit a build to a Ray cluster: the wheel of this checkout goes along, the cluster's nodes have plait's dependencies.
#
#   scripts/ray_submit.sh http://head:8265 build 's3://crawl/*.warc.gz' --out s3://corpora/crawl
#
# NODE_PYTHON=/path/to/python names the interpreter of the nodes where it is not the `python` of their PATH.
# A cluster that asks for a token (Ray's own from 2.60 do, where one lies in ~/.ray) wants RAY_AUTH_MODE=token here too,
# and the same token in RAY_AUTH_TOKEN or in ~/.ray/auth_token.
#
# The program stops with the job's exit code. Stop it, or lose the driver: the same command goes on where it was.
set -eu
address=${1:?usage: ray_submit.sh ADDRESS build INPUTS... --out FOLDER [OPTIONS]}
shift
here=$(cd "$(dirname "$0")/.." && pwd)
python=${PYTHON:-$here/.venv/bin/python}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
rm -rf "$here/build/lib" # of an earlier wheel: what has gone since would be packed again
"$python" -m pip wheel --quiet --no-deps --no-build-isolation --wheel-dir "$work" "$here"
# Unpacked: Ray would install a wheel with all its dependencies anew on each node, over those that are there.
"$python" -m zipfile -e "$work"/plait-*.whl "$work/wheel"
# Relative paths are the submitter's; the job runs in a folder of its own. The first word is plait's command.
exec_line=" '$1'"
shift
before=""
for argument in "$@"; do
  case $argument in
    -* | *://*) ;;
    *) if [ "$before" = --out ] || [ -e "$argument" ]; then argument=$(realpath -m "$argument"); fi ;;
  esac
  before=$argument
  exec_line="$exec_line '$(printf %s "$argument" | sed "s/'/'\\\\''/g")'"
done
"$(dirname "$python")/ray" job submit --address "$address" \
  --runtime-env-json "{\"py_modules\": [\"$work/wheel/plait\"]}" \
  -- sh -c "${NODE_PYTHON:-python} -m plait.jobs $exec_line --engine ray --ray-address auto"
