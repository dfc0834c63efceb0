#!/bin/sh
# readers.sh PYTHON FOLDER: a virtual environment of the loaders whose pins clash with ours (scripts/readers.txt), over
# the packages of the environment that PYTHON belongs to: torch, webdataset and datasets are taken from there.
set -eu
python=$1
folder=$2
rm -rf "$folder"
"$python" -m venv "$folder"
packages='import sysconfig; print(sysconfig.get_path("purelib"))'
"$python" -c "$packages" > "$("$folder/bin/python" -c "$packages")/under.pth"
"$folder/bin/python" -m pip install --quiet --no-deps -r "$(dirname "$0")/readers.txt"
