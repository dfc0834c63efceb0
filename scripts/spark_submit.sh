#!/bin/sh
# Submit a build to a Spark cluster with the whole environment packed: nothing has to be installed on its nodes but Java.
#
#   scripts/spark_submit.sh spark://head:7077 build 's3://crawl/*.warc.gz' --out s3://corpora/crawl
#
# ENVIRONMENT=folder.tar.gz takes an environment packed before; SPARK_OPTIONS="--conf a=b" goes to spark-submit.
# Wheels of pyarrow and lexbor hold native code, which --py-files cannot carry: hence venv-pack and --archives.
set -eu
master=${1:?usage: spark_submit.sh MASTER build INPUTS... --out FOLDER [OPTIONS]}
shift
here=$(cd "$(dirname "$0")/.." && pwd)
packed=${ENVIRONMENT:-$here/build/plait-environment.tar.gz}
venv=$here/build/cluster
if [ ! -e "$packed" ]; then
  ${PYTHON:-python3} -m venv "$venv"
  "$venv/bin/python" -m pip install --quiet "$here[spark,s3]" venv-pack
  "$venv/bin/python" -c 'from plait.filters.models import lid176; lid176()'
  "$venv/bin/venv-pack" --quiet --force --prefix "$venv" --output "$packed"
fi
driver=${DRIVER_PYTHON:-$venv/bin/python}
JAVA_HOME=$("$driver" -c 'from plait.jobs.java import java_home; print(java_home())')
export JAVA_HOME
export PYSPARK_DRIVER_PYTHON="$driver"
export PYSPARK_PYTHON=./environment/bin/python
submit=$("$driver" -c 'import pyspark, pathlib; print(pathlib.Path(pyspark.__file__).parent / "bin" / "spark-submit")')
# shellcheck disable=SC2086 (several options in one variable)
exec "$submit" --master "$master" --archives "$packed#environment" \
  --conf spark.task.maxFailures=4 --conf spark.scheduler.mode=FAIR ${SPARK_OPTIONS:-} \
  "$here/scripts/spark_main.py" "$@" --engine spark
