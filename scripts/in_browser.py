"""What the scripts share that look at the package in a real browser: the command line, a Chromium, a Jupyter server, a cell that is run."""
import argparse, json, os, re, secrets, shutil, signal, socket, subprocess, sys, tempfile, time, urllib.error, urllib.request
from contextlib import contextmanager
from pathlib import Path

FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"]
NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
MIN = 60_000  # milliseconds a slow machine may take to show a page, times three
FRONTS = dict(lab=("jupyterlab", "lab/tree"), notebook=("notebook", "notebooks"))  # module to start, and where it shows a notebook


def parser(doc):
    "The options every script has."
    ap = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("--shots", type=Path, help="folder for screenshots")
    ap.add_argument("--chromium", help="a Chromium or Chrome to drive")
    return ap


@contextmanager
def chromium(args):
    "A running browser and `shot(page or element, name)`; without Playwright or a Chromium, one sentence and the end."
    try: from playwright.sync_api import sync_playwright
    except ImportError: sys.exit("Playwright is not installed. Install it: pip install playwright")
    path = args.chromium or next(filter(None, map(shutil.which, NAMES)), None)
    if not path: sys.exit("No Chromium found. Install one (apt install chromium, or: playwright install chromium), or give --chromium PATH")
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


def http_request(url, method="GET", **headers):
    "Status and text of a request; redirects are not followed."
    class Stay(urllib.request.HTTPRedirectHandler):
        def redirect_request(self, *a): return None
    try:
        with urllib.request.build_opener(Stay).open(urllib.request.Request(url, headers=headers, method=method, data=b"" if method == "POST" else None), timeout=30) as r: return r.status, r.read()
    except urllib.error.HTTPError as e: return e.code, e.read()


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def port_open(port):
    with socket.socket() as s: return s.connect_ex(("127.0.0.1", port)) == 0


def stop(process):
    "Ctrl-C, as a user would."
    if process.poll() is None: process.send_signal(signal.SIGINT)
    try: process.wait(30)
    except subprocess.TimeoutExpired: process.kill()


def write_notebook(path, *cells):
    "A notebook of these cells."
    kernel = dict(name="python3", display_name="Python 3", language="python")
    cells = [dict(cell_type="code", id=f"c{i}", metadata={}, execution_count=None, outputs=[], source=c.strip()) for i, c in enumerate(cells)]
    path.write_text(json.dumps(dict(nbformat=4, nbformat_minor=5, metadata=dict(kernelspec=kernel), cells=cells)))


@contextmanager
def jupyter(folder, front="lab"):
    "JupyterLab or Notebook 7 on a folder; yields `address(name of a notebook)`. Its log is told when something fails."
    port, token, log = free_port(), secrets.token_hex(8), folder/f"{front}.log"
    command = [sys.executable, "-m", FRONTS[front][0], "--no-browser", f"--port={port}", f"--IdentityProvider.token={token}", f"--ServerApp.root_dir={folder}", "--allow-root", "--LabApp.news_url="]
    with open(log, "w") as out:
        server = subprocess.Popen(command, stdout=out, stderr=subprocess.STDOUT, start_new_session=True, env={**os.environ, "JUPYTERLAB_WORKSPACES_DIR": str(folder/"workspaces")})
    try:
        wait_until(f"{front} is up", lambda: server.poll() is not None or port_open(port) and http_request(f"http://127.0.0.1:{port}/api?token={token}")[0] == 200, 180)
        assert server.poll() is None, f"{FRONTS[front][0]} does not start: is it installed?"
        yield lambda name: f"http://127.0.0.1:{port}/{FRONTS[front][1]}/{name}?token={token}&reset"
    except Exception:
        print(log.read_text()[-1500:], file=sys.stderr)
        raise
    finally: stop(server)


def run_first_cell(page, address):
    "Open a notebook and run its first cell; a kernel that is still starting swallows the key, or JupyterLab asks which one."
    page.goto(address, timeout=3*MIN)
    page.locator(".jp-CodeCell").first.wait_for(timeout=3*MIN)
    page.add_style_tag(content=".Toastify{display:none}")  # JupyterLab asks about its news
    wait_until("the kernel is idle", lambda: page.locator(".jp-Notebook-ExecutionIndicator[data-status=idle]").count() > 0, 180)
    prompt = lambda: page.locator(".jp-CodeCell .jp-InputArea-prompt").first.inner_text()
    began = prompt()
    for _ in range(20):
        if page.locator(".jp-Dialog").count(): page.keyboard.press("Enter"); page.wait_for_timeout(3000)
        page.locator(".jp-CodeCell .cm-content").first.click(timeout=3*MIN)
        page.keyboard.press("Control+Enter"); page.wait_for_timeout(4000)
        if prompt() != began and re.search(r"[\d*]", prompt()) and not page.locator(".jp-Dialog").count(): return
    raise AssertionError(f"the cell does not run: {began}")
