"""What spark-submit runs: the command line, in a driver that spark-submit has started."""

from plait.jobs.cli import main

main()
