"""What a new user does with the wheel alone: pip in an empty folder, a training, a model's answer in the browser.

    make wheel-test
    python benchmarks/reliability/wheel.py dist/seqlight-0.1.0-py3-none-any.whl --picture build/wheel.png

Everything that the wheel needs comes from the package index, in an environment of its own. The Python that runs this
needs playwright, and the machine a Chromium. Printed are the wall seconds of each step, and from `seqlight try` to the
answer those of the wall clock and of the CPU, server and browser together. It ends with 1 where the answer is wrong or
took more than two minutes of the CPU: on a busy machine the wall clock says little.
"""

import argparse
import json
import os
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import IO

from playwright.sync_api import Page, TimeoutError, sync_playwright

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
LIMIT = 120  # CPU seconds from `seqlight try` to the answer


def run(folder: Path, *command: str | Path) -> str:
    """Runs a command in a folder, without this checkout on the path; its output."""
    words = list(map(str, command))
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    began = time.perf_counter()
    done = subprocess.run(words, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    print(f"{time.perf_counter() - began:6.1f} s  {' '.join([Path(words[0]).name, *words[1:]])}", flush=True)
    if done.returncode:
        sys.exit(done.stdout + done.stderr)
    return done.stdout


def address_in(lines: IO[str]) -> str:
    """The address that the page's command prints."""
    said = []
    for line in lines:
        said.append(line)
        if line.startswith("seqlight: http"):
            return line.split()[1]
    sys.exit("".join(said))


def ask(page: Page, address: str) -> str:
    """Takes the first checkpoint of the list and asks it about a string of bits; the answer."""
    page.goto(address)
    page.click("#checkpoint input")
    with page.expect_navigation():
        page.locator("[role=option]").first.click()
    page.fill("#string textarea, #string input", "1101")
    answer = page.locator("#answer img").first
    for _ in range(4):  # gradio shows a button a moment before it heeds it
        page.click("#go")
        try:
            answer.wait_for(timeout=30_000)
        except TimeoutError:
            continue
        return page.inner_text("#answer")
    sys.exit(f"the page does not answer: {page.inner_text('body')}")


def children() -> float:
    """CPU seconds of the processes that were started here and have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("wheel", type=Path)
    parser.add_argument("--picture", type=Path, help="where a picture of the page is left")
    args = parser.parse_args()
    browser = next(filter(None, map(shutil.which, BROWSERS)), None)
    if browser is None:
        sys.exit(f"there is no browser; looked for {', '.join(BROWSERS)}")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        run(folder, sys.executable, "-m", "venv", "env")
        run(folder, folder / "env/bin/pip", "install", "--quiet", f"{args.wheel.resolve()}[web]")
        seqlight = folder / "env/bin/seqlight"
        run(folder, seqlight, "fit", "--config", "parity/lstm_last")
        began, before = time.perf_counter(), children()
        server = subprocess.Popen([seqlight, "try"], cwd=folder, stdout=subprocess.PIPE, text=True)
        assert server.stdout is not None
        try:
            address = address_in(server.stdout)
            with sync_playwright() as driver:
                window = driver.chromium.launch(executable_path=browser, args=["--no-sandbox", "--disable-gpu"])
                page = window.new_page(viewport={"width": 1100, "height": 800})
                page.set_default_timeout(60_000)
                answer = ask(page, address)
                wall = time.perf_counter() - began
                if args.picture:
                    args.picture.parent.mkdir(parents=True, exist_ok=True)
                    page.screenshot(path=args.picture, full_page=True)
                window.close()
        finally:
            server.send_signal(signal.SIGINT)
            code = server.wait(timeout=60)
        cpu = children() - before
    print(answer)
    print(json.dumps({"wall_seconds": round(wall, 1), "cpu_seconds": round(cpu, 1), "exit_code": code}))
    if "The number of ones is odd." not in answer:
        sys.exit("the answer is wrong")
    if cpu > LIMIT:
        sys.exit(f"the answer took more than {LIMIT} CPU seconds")


if __name__ == "__main__":
    main()
