"""Shared by the scripts that check the package in a browser: options, Chromium, a Jupyter server, running a cell."""
import argparse
import json
import os
import re
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from contextlib import contextmanager
from pathlib import Path

FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"]
NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
MIN = 60_000  # milliseconds a slow machine may take to show a page, times three
FRONTS = {  # module to start, and the address of a notebook in it
    "lab": ("jupyterlab", "lab/tree"),
    "notebook": ("notebook", "notebooks"),
}


def parser(doc):
    "The options every script has."
    ap = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("--shots", type=Path, help="folder for screenshots")
    ap.add_argument("--chromium", help="a Chromium or Chrome to drive")
    return ap


@contextmanager
def chromium(args):
    "A running browser and `shot(page or element, name)`; ends the script without Playwright or a Chromium."
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        sys.exit("Playwright is not installed. Install it: pip install playwright")
    path = args.chromium or next(filter(None, map(shutil.which, NAMES)), None)
    if not path:
        sys.exit("No Chromium found. Install one (apt install chromium, or: playwright install chromium), "
                 "or give --chromium PATH")
    def shot(what, name):
        if args.shots:
            args.shots.mkdir(parents=True, exist_ok=True)
            what.screenshot(path=args.shots/f"{name}.png")
    with sync_playwright() as p:
        browser = p.chromium.launch(executable_path=path, args=FLAGS)
        try: yield browser, shot
        finally: browser.close()


@contextmanager
def temporary_folder():
    "A folder for the time of the check."
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as d: yield Path(d)


def wait_until(what, ok, seconds=20):
    "Wait for something to become true, or fail by its name."
    end = time.time()+seconds
    while time.time() < end:
        try:
            if ok(): return
        except (FileNotFoundError, KeyError): pass
        time.sleep(.1)
    raise AssertionError(f"did not happen in {seconds} s: {what}")


def http_request(url, method="GET", timeout=30, **headers):
    "Status and text of a request; redirects are not followed."
    class NoRedirects(urllib.request.HTTPRedirectHandler):
        def redirect_request(self, *args): return None
    data = b"" if method == "POST" else None
    request = urllib.request.Request(url, headers=headers, method=method, data=data)
    try:
        with urllib.request.build_opener(NoRedirects).open(request, timeout=timeout) as response:
            return response.status, response.read()
    except urllib.error.HTTPError as e:
        return e.code, e.read()


def free_port():
    "A port of this machine that nothing uses."
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        port = s.getsockname()[1]
    return port if port <= 65000 else free_port()  # the highest that `serve_page` accepts


def port_open(port):
    "Whether a server listens on a port of this machine."
    with socket.socket() as s: return s.connect_ex(("127.0.0.1", port)) == 0


def stop(process):
    "Ctrl-C, as a user would."
    if process.poll() is None: process.send_signal(signal.SIGINT)
    try:
        process.wait(30)
    except subprocess.TimeoutExpired:
        process.kill()


def write_notebook(path, *cells):
    "Write a notebook of these cells."
    kernel = dict(name="python3", display_name="Python 3", language="python")
    empty = dict(cell_type="code", metadata={}, execution_count=None, outputs=[])
    cells = [dict(empty, id=f"c{i}", source=source.strip()) for i, source in enumerate(cells)]
    path.write_text(json.dumps(dict(nbformat=4, nbformat_minor=5, metadata=dict(kernelspec=kernel), cells=cells)))


@contextmanager
def jupyter(folder, front="lab"):
    "JupyterLab or Notebook 7 on a folder; yields `address(name of a notebook)`. Prints its log when something fails."
    module, place = FRONTS[front]
    port = free_port()
    token = secrets.token_hex(8)
    log = folder/f"{front}.log"
    command = [
        sys.executable, "-m", module, "--no-browser", f"--port={port}", f"--IdentityProvider.token={token}",
        f"--ServerApp.root_dir={folder}", "--allow-root", "--LabApp.news_url=",
    ]
    environment = {**os.environ, "JUPYTERLAB_WORKSPACES_DIR": str(folder/"workspaces")}
    with open(log, "w") as out:
        server = subprocess.Popen(
            command, stdout=out, stderr=subprocess.STDOUT, start_new_session=True, env=environment)
    def is_up():
        if not port_open(port): return False
        return http_request(f"http://127.0.0.1:{port}/api?token={token}")[0] == 200
    try:
        wait_until(f"{front} is up", lambda: server.poll() is not None or is_up(), 180)
        assert server.poll() is None, f"{module} does not start: is it installed?"
        yield lambda name: f"http://127.0.0.1:{port}/{place}/{name}?token={token}&reset"
    except Exception:
        print(log.read_text()[-1500:], file=sys.stderr)
        raise
    finally:
        stop(server)


def run_first_cell(page, address):
    "Open a notebook and run its first cell; repeats the key, which a kernel that is still starting ignores."
    page.goto(address, timeout=3*MIN)
    page.locator(".jp-CodeCell").first.wait_for(timeout=3*MIN)
    page.add_style_tag(content=".Toastify{display:none}")  # JupyterLab asks about its news
    idle = page.locator(".jp-Notebook-ExecutionIndicator[data-status=idle]")
    wait_until("the kernel is idle", lambda: idle.count() > 0, 180)
    dialog = page.locator(".jp-Dialog")  # JupyterLab may ask for a kernel
    def prompt(): return page.locator(".jp-CodeCell .jp-InputArea-prompt").first.inner_text()
    first_prompt = prompt()
    for _ in range(20):
        if dialog.count():
            page.keyboard.press("Enter")
            page.wait_for_timeout(3000)
        page.locator(".jp-CodeCell .cm-content").first.click(timeout=3*MIN)
        page.keyboard.press("Control+Enter")
        page.wait_for_timeout(4000)
        if prompt() != first_prompt and re.search(r"[\d*]", prompt()) and not dialog.count(): return
    raise AssertionError(f"the cell does not run: {first_prompt}")
