"""A newcomer's path with a stop-watch: from `git clone` to documents of one's own archive in the browser.

    python benchmarks/newcomer.py ARCHIVE

Three commands in a new folder: git clone, cd, make view. A new virtual environment, an empty cache folder; pip keeps
its cache of downloads. Needs the driver of the tests and Debian's chromium, which plays the newcomer.
"""

from __future__ import annotations

import argparse
import os
import resource
import signal
import subprocess
import tempfile
import time
from pathlib import Path

from playwright.sync_api import sync_playwright

REPO = Path(__file__).parents[1]


def main() -> None:
    """Walks the path once."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("archive", type=Path)
    archive = parser.parse_args().archive.resolve()
    with tempfile.TemporaryDirectory(prefix="plait-newcomer-") as folder:
        began = time.monotonic()
        subprocess.run(["git", "clone", "--quiet", str(REPO), "plait"], cwd=folder, check=True)
        print(f"git clone: {time.monotonic() - began:.0f} s", flush=True)
        env = {name: value for name, value in os.environ.items() if not name.startswith(("VIRTUAL_ENV", "PYTHON"))}
        env["PLAIT_CACHE"] = f"{folder}/cache"
        command = ["make", "view", f"ARCHIVE={archive}", "VIEW=--no-browser --port 0"]
        with subprocess.Popen(
            command, cwd=f"{folder}/plait", env=env, stdout=subprocess.PIPE, text=True, start_new_session=True
        ) as server:
            try:
                assert server.stdout is not None
                url = ""
                for line in server.stdout:
                    print(f"{time.monotonic() - began:4.0f} s  {line.rstrip()}", flush=True)
                    if line.startswith("http"):
                        url = line.split()[0]
                        break
                look(url)
                print(f"{time.monotonic() - began:4.0f} s  a document is on the screen")
            finally:
                os.killpg(server.pid, signal.SIGTERM)
        used = resource.getrusage(resource.RUSAGE_CHILDREN)
        print(f"{used.ru_utime + used.ru_stime:4.0f} s of CPU; the machine's load is {os.getloadavg()[0]:.0f}")


def look(url: str) -> None:
    """Opens the page and the first document in it."""
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path="/usr/bin/chromium", args=["--no-sandbox", "--disable-gpu"])
        page = browser.new_page()
        page.goto(url)
        page.locator("#documents .document").first.click()
        page.locator("#page p").first.wait_for()
        browser.close()


if __name__ == "__main__":
    main()
