#!/bin/sh
# Takes the documentation that ships in pygame's wheel (HTML pages with pictures) into FOLDER/site.
# usage: demo_site.sh PYTHON FOLDER
set -eu
python=$1
folder=$2
mkdir -p "$folder"
[ -d "$folder/site" ] && exit 0
# The wheel is only unpacked, so any one of them will do, whatever this machine is.
"$python" -m pip download --quiet --no-deps --only-binary=:all: --python-version 3.12 --implementation cp \
    --platform manylinux2014_x86_64 --dest "$folder" pygame==2.6.1
"$python" - "$folder" <<'PYTHON'
import pathlib
import shutil
import sys
import zipfile

folder = pathlib.Path(sys.argv[1])
wheel = next(folder.glob("pygame-*.whl"))
inside = "pygame/docs/generated/"
with zipfile.ZipFile(wheel) as archive:
    names = [name for name in archive.namelist() if name.startswith(inside)]
    archive.extractall(folder / "unpacked", names)
shutil.move(folder / "unpacked" / inside, folder / "site")
shutil.rmtree(folder / "unpacked")
PYTHON
