"""Drive the annotator in a browser, as web page, in JupyterLab and Notebook 7: place, drag, undo, reload, export.

    python scripts/check_annotator.py                      all three
    python scripts/check_annotator.py --only app           only the web page (or: lab, notebook)
    python scripts/check_annotator.py --shots pictures     keep screenshots in this folder

Needs Playwright (`pip install playwright`), a Chromium (`--chromium PATH`, or found by name), voila, jupyterlab and
notebook. Not part of `make test`.
"""
import json
import re
import signal
import socket
import subprocess
import sys
import urllib.parse
from functools import partial
from pathlib import Path

import numpy as np
import psutil
from PIL import Image

sys.path.insert(0, str(Path(__file__).resolve().parent))
from in_browser import (FRONTS, MIN, chromium, free_port, http_request, jupyter, parser, run_first_cell, stop,
                        temporary_folder, wait_until, write_notebook)


def people(folder):
    "Three synthetic people and their true joints."
    from xmodreid.synth.world import SynthConfig, SynthWorld
    world = SynthWorld(SynthConfig(n_train=4, n_val=0, n_test=2, size=(128, 64)))
    truth = []
    folder.mkdir(parents=True)
    for k, (pid, camid) in enumerate([(1, 1), (2, 3), (3, 2)]):
        img, pose = world.sample_image(pid, camid, np.random.default_rng(k))
        Image.fromarray(img).save(folder/f"{k:04}.png")
        truth.append(pose[:, :2].clip([1, 1], [62, 126]))
    return truth


def rows(folder):
    "What is on disk: name -> (keypoints, flags, done)."
    with np.load(folder/"annotations.npz") as f:
        values = zip(f["keypoints"], f["flags"], f["done"])
        return dict(zip(f["path"], values))


def near(folder, joint, place, limit=.5):
    "Whether a joint of the first image is stored at a place, in pixels."
    return np.abs(rows(folder)["0000.png"][0][joint, :2]-place).max() < limit


class Mouse:
    "The user's mouse, in pixels of the picture."
    def __init__(self, page): self.page = page

    def at(self, x, y):
        "Place of a pixel on the screen."
        box = self.page.locator(".xm-stage img").bounding_box()
        return box["x"]+(x+.5)*box["width"]/64, box["y"]+(y+.5)*box["height"]/128

    def move(self, x, y):
        "Move to a pixel."
        self.page.mouse.move(*self.at(x, y))

    def click(self, x, y, **kwargs):
        "Click a pixel."
        self.page.mouse.click(*self.at(x, y), **kwargs)

    def drag(self, a, b):
        "Drag from one pixel to another."
        self.move(*a)
        self.page.mouse.down()
        self.move(*((np.array(a)+b)/2))
        self.move(*b)
        self.page.mouse.up()

    def text(self, selector):
        "Text of the first element."
        return self.page.locator(selector).first.inner_text()


def wait_image(mouse, what, name):
    "Wait until an image is shown."
    wait_until(what, lambda: mouse.text(".xm-name") == name)


def place_joints(page, mouse, truth, shot):
    "Click 18 joints, one of them as hidden."
    for j, (x, y) in enumerate(truth):
        mouse.click(float(x), float(y), button="right" if j == 16 else "left")
        if j == 6:
            mouse.move(float(truth[7][0]), float(truth[7][1]))
            page.wait_for_timeout(300)
            shot(page, "placing")


def check_placed(folder, truth):
    "All joints of the first image are on disk, where they were clicked."
    wait_until("18 joints on disk", lambda: (rows(folder)["0000.png"][1] > 1).all())
    keypoints, flags, done = rows(folder)["0000.png"]
    assert done and flags[16] == 2 and keypoints[16, 2] == .5 and (np.delete(flags, 16) == 3).all(), (flags, done)
    distance = np.abs(keypoints[:, :2]-truth).max()
    assert distance < .2, distance


def annotate(page, folder, truth, shot, app=False):
    "18 joints placed, one dragged, one undone; everything is compared with the disk."
    mouse = Mouse(page)
    page.locator(".xm-stage img").wait_for(timeout=3*MIN)
    image_width = "document.querySelector('.xm-stage img').naturalWidth"
    wait_until("the picture is there", lambda: page.evaluate(image_width) == 64)
    if app: # keys work before the first click
        page.keyboard.press("ArrowRight")
        wait_image(mouse, "the second image", "0001.png")
        page.keyboard.press("ArrowLeft")
        wait_image(mouse, "the first image", "0000.png")
    place_joints(page, mouse, truth, shot)
    check_placed(folder, truth)
    ankle = truth[10]
    to = np.array([ankle[0]+(6 if ankle[0] < 40 else -6), ankle[1]-5])
    above = to-[0, 12]
    mouse.drag(ankle, to)
    wait_until("the dragged joint on disk", lambda: near(folder, 10, to))
    mouse.drag(to, above)
    wait_until("dragged again", lambda: near(folder, 10, above))
    page.keyboard.press("z")
    wait_until("undone on disk", lambda: near(folder, 10, to))
    page.keyboard.press("Control+y")
    wait_until("done again", lambda: near(folder, 10, above))
    page.locator(".xm-b", has_text="Undo").click()
    wait_until("undone on disk", lambda: near(folder, 10, to))
    page.mouse.move(5, 5)
    page.wait_for_timeout(300)
    shot(page, "done")
    return to


def copy_and_swap(page, folder, mouse):
    "Copy the joints of the first image to the second, swap the sides, undo all; then go to the second again."
    page.keyboard.press("ArrowRight")
    wait_image(mouse, "the second image", "0001.png")
    page.keyboard.press("c")
    wait_until("copied", lambda: (rows(folder)["0001.png"][1] > 1).all())
    before, _, done = rows(folder)["0001.png"]
    assert not done, "a copy alone must not be done"
    page.keyboard.press("s")
    wait_until("swapped", lambda: np.allclose(rows(folder)["0001.png"][0][2], before[5]))
    for _ in range(3): page.keyboard.press("z")
    wait_until("all undone", lambda: "0001.png" not in rows(folder))
    wait_image(mouse, "the picture of the first", "0000.png")
    page.keyboard.press("y")
    page.keyboard.press("ArrowRight")
    wait_image(mouse, "the second image", "0001.png")
    page.wait_for_timeout(400)


def annotate_second(page, folder, truth, shot):
    "The next image: copy, absent, swap, then Enter; zoom does not move joints; the counter and the filter."
    mouse = Mouse(page)
    copy_and_swap(page, folder, mouse)
    mouse.move(32, 40)
    page.mouse.wheel(0, -300)
    page.wait_for_timeout(300)
    for x, y in truth[:3]: mouse.click(float(x), float(y))
    wait_until("clicks while zoomed", lambda: np.abs(rows(folder)["0001.png"][0][:3, :2]-truth[:3]).max() < .2)
    shot(page, "zoomed")
    page.keyboard.press("0")
    page.keyboard.press("a")
    wait_until("absent", lambda: rows(folder)["0001.png"][1][3] == 1)
    page.keyboard.press("Enter")
    wait_image(mouse, "third image", "0002.png")
    keypoints, flags, done = rows(folder)["0001.png"]
    assert done and (flags[3:] == 1).all() and (keypoints[3:] == 0).all()
    page.keyboard.press("?")
    page.wait_for_timeout(200)
    shot(page, "help")
    page.keyboard.press("Escape")
    jump_to(page, 1)
    wait_image(mouse, "jumped", "0000.png")
    page.keyboard.press("f")
    page.keyboard.press("ArrowRight")
    wait_image(mouse, "passed over the finished one", "0002.png")
    page.keyboard.press("f")


def jump_to(page, number):
    "Enter the number of an image."
    page.locator(".xm-jump").fill(str(number))
    page.locator(".xm-jump").press("Enter")


def check_exports(page, folder):
    "What the Export menu writes is what was clicked."
    for kind in ("keypoints", "heatmaps", "coco"):
        page.locator("select.xm-b").select_option(kind)
        wait_until(f"the note about {kind}", lambda: "export/" in Mouse(page).text(".xm-note"), 60)
        page.wait_for_timeout(300)
    wait_until("all exports", lambda: (folder/"export/coco.json").exists())
    keypoints = rows(folder)["0000.png"][0]
    heat = np.load(folder/"export/heatmaps/0000.png.npy")
    assert heat.shape == (18, 128, 64), heat.shape
    for j in range(18):
        y, x = np.unravel_index(heat[j].argmax(), heat[j].shape)
        assert np.abs([x-keypoints[j, 0], y-keypoints[j, 1]]).max() <= .51, (j, x, y, keypoints[j])
    with np.load(folder/"export/keypoints.npz") as f:
        assert np.array_equal(f["keypoints"][0], keypoints)
        assert len(f["path"]) == 2
    coco = json.loads((folder/"export/coco.json").read_text())
    assert len(coco["annotations"][0]["keypoints"]) == 51


def check_reload(page, folder, again):
    "Reload the page: the joints are on the screen again, and nothing on disk has changed."
    before = (folder/"annotations.npz").read_bytes()
    again()
    page.locator(".xm-stage img").wait_for(timeout=3*MIN)
    jump_to(page, 1)
    wait_until("the first image", lambda: Mouse(page).text(".xm-name") == "0000.png", 60)
    visible, hidden = page.locator(".xm-j.xm-f3"), page.locator(".xm-j.xm-f2")
    wait_until("18 joints on the screen", lambda: visible.count() == 17 and hidden.count() == 1)
    assert (folder/"annotations.npz").read_bytes() == before, "reloading changed the file"


FORBIDDEN_PATHS = ("/", "/?token=wrong", "/login", "/voila/static/voila.js", "/voila/files/annotate.ipynb",
                   "/api/kernels", "/api/kernels/0/channels", "/voila/render/x.ipynb")
FILE_PREFIXES = ("/voila/files/", "/files/", "/", "/voila/render/", "/api/contents/", "/voila/static/")


def check_refusals(base, token, folder):
    "No token, wrong token, other paths; the number of requests."
    secret = folder.parent/"secret.png"
    Image.new("RGB", (8, 8), (1, 2, 3)).save(secret)
    for path in FORBIDDEN_PATHS:
        code, text = http_request(base+path)
        assert code == 403 and b"ipynb" not in text, (path, code)
    assert http_request(base+"/voila/api/shutdown/0", "POST")[0] == 403
    files = ["../secret.png", "..%2fsecret.png", "%2e%2e/secret.png", "annotate.ipynb", "0000.png",
             urllib.parse.quote(str(secret)), "/etc/passwd", "..%2f..%2f..%2f..%2f..%2fetc%2fpasswd"]
    for file in files:
        for prefix in FILE_PREFIXES:
            code, text = http_request(f"{base}{prefix}{file}", Authorization=f"token {token}")
            assert code != 200, (prefix, file, code)
            assert b"root:" not in text and secret.read_bytes() not in text, (prefix, file, code)
    return len(files)*len(FILE_PREFIXES)+len(FORBIDDEN_PATHS)+1


MESSAGES_JS = """async () => {
  const send = document.querySelector('.xm-annotator').xmSend, notes = [];
  const messages = [
    {op: 'open', path: '/etc/passwd'},
    {op: 'go', number: '../secret.png'},
    {op: 'go', number: -1},
    {op: 'export', kind: '../x'},
    {op: 'export', kind: 'coco', path: '/tmp/x'},
    {op: '__init__', images: '/'},
  ];
  for (const message of messages) {
    send(message);
    await new Promise(r => setTimeout(r, 700));
    const note = document.querySelector('.xm-note');
    notes.push(note.className + '|' + note.textContent);
  }
  return notes;
}"""


def check_message_refusals(page):
    "Messages of the page to the kernel: no operation opens a path, and code is not run; the number of messages."
    notes = page.evaluate(MESSAGES_JS)
    assert all("xm-bad" in note and "no answer" not in note for note in notes), notes
    return len(notes)


def check_killed_kernel(page, folder, server):
    "Kill the kernel between two clicks: the first is on disk, and a note says that the second is lost."
    mouse = Mouse(page)
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowRight")
    wait_image(mouse, "the third image", "0002.png")
    page.wait_for_timeout(300)
    mouse.click(20, 30)
    wait_until("the click before", lambda: rows(folder)["0002.png"][1][0] == 3)
    children = psutil.Process(server.pid).children(recursive=True)
    kernels = [child for child in children if "ipykernel" in " ".join(child.cmdline())]
    assert kernels, "no kernel found"
    for kernel in kernels: kernel.kill()
    mouse.click(25, 40)
    wait_until("the warning", lambda: "no answer" in mouse.text(".xm-note"))
    keypoints, flags, _ = rows(folder)["0002.png"]
    assert flags[0] == 3 and np.abs(keypoints[0, :2]-[20, 30]).max() < .2 and (flags[1:] == 0).all()


def start_app(folder, log):
    "Start the server of the web page; its output goes to a file."
    script = folder.parent/"annotate.py"  # what the installed command does, also where the package is not installed
    script.write_text("from xmodreid.cli import main\nmain()\n")
    command = [sys.executable, str(script), "annotate", str(folder), "--no-browser", "--port", str(free_port())]
    with open(log, "w") as out:
        return subprocess.Popen(command, stdout=out, stderr=subprocess.STDOUT, start_new_session=True)


def app_address(server, log):
    "Address of the web page with its token, once the server prints it."
    def found(): return re.search(r"http://127\.0\.0\.1:\d+/\?token=\S+", log.read_text())
    wait_until("the server prints its address", lambda: found() or server.poll() is not None, 120)
    assert server.poll() is None, "the server ended"
    return found()[0]


def use_app(browser, server, url, folder, truth, shot):
    "Annotate in the web page, and try what it must refuse."
    base, token = url.split("/?token=")
    print(f"app: {check_refusals(base, token, folder)} requests refused")
    page = browser.new_page(viewport=dict(width=1280, height=860))
    page.goto(url, timeout=3*MIN)
    def app_shot(what, name): shot(what, f"app_{name}")
    to = annotate(page, folder, truth[0], app_shot, app=True)
    assert "token" not in page.url, "the token must not stay in the address"
    print("app: 18 joints placed, dragged, undone, on disk")
    annotate_second(page, folder, truth[1], app_shot)
    check_reload(page, folder, lambda: page.reload(timeout=3*MIN))
    assert near(folder, 10, to)
    print("app: still there after a reload")
    check_exports(page, folder)
    print("app: exports are what was clicked; heatmaps (18, 128, 64)")
    print("app:", check_message_refusals(page), "messages refused")
    check_killed_kernel(page, folder, server)
    print("app: a killed kernel is noticed, and everything answered before is on disk")
    other_context = browser.new_context().new_page()
    assert other_context.goto(base).status == 403
    assert loopback_only(int(base.rsplit(":", 1)[1])), "the port answers on another address than 127.0.0.1"


def check_app(browser, folder, truth, shot):
    "The web page."
    log = folder.parent/"app.log"
    server = start_app(folder, log)
    try:
        use_app(browser, server, app_address(server, log), folder, truth, shot)
    except BaseException:
        pages = browser.contexts[0].pages if browser.contexts else []
        for page in pages: shot(page, "app_failed")
        print(log.read_text()[-3000:], file=sys.stderr)
        raise
    finally:
        stop(server)
    assert server.returncode in (0, -signal.SIGINT, 130), server.returncode


def loopback_only(port):
    "Whether the port answers on loopback only."
    try:
        found = socket.getaddrinfo(socket.gethostname(), None, socket.AF_INET)
    except OSError:
        found = []
    for ip in {info[4][0] for info in found}:
        if ip.startswith("127."): continue
        with socket.socket() as s:
            s.settimeout(2)
            if s.connect_ex((ip, port)) == 0: return False
    return True


ANNOTATE_CELL = """
from xmodreid.annotate.widget import annotate_images
w = annotate_images('people')
w
"""


def check_notebook(browser, folder, truth, shot, front="lab"):
    "JupyterLab or Notebook 7: the same widget in a notebook."
    write_notebook(folder.parent/"annotate.ipynb", ANNOTATE_CELL, "1+1")
    with jupyter(folder.parent, front) as address:
        page = browser.new_page(viewport=dict(width=1440, height=1000))
        try:
            use_notebook(page, address("annotate.ipynb"), folder, truth, shot, front)
        except BaseException:
            shot(page, f"{front}_failed")
            raise


def use_notebook(page, address, folder, truth, shot, front):
    "Annotate in a notebook; its own keys must stay without effect."
    def open_widget(): run_first_cell(page, address)
    def front_shot(what, name): shot(what, f"{front}_{name}")
    open_widget()
    page.locator(".xm-annotator").wait_for(timeout=3*MIN)
    page.locator(".xm-annotator").scroll_into_view_if_needed()
    to = annotate(page, folder, truth[0], front_shot)
    print(f"{front}: 18 joints placed, dragged, undone, on disk")
    annotate_second(page, folder, truth[1], front_shot)
    for key in ("a", "b", "x", "d", "d", "m", "z"): page.keyboard.press(key)
    page.wait_for_timeout(500)
    n_cells, n_markdown = (page.locator(kind).count() for kind in (".jp-Cell", ".jp-MarkdownCell"))
    assert n_cells == 2 and n_markdown == 0, "keys of the tool reached the notebook"
    print(f"{front}: its keys do not reach the notebook")
    check_reload(page, folder, open_widget)
    assert near(folder, 10, to)
    front_shot(page, "reloaded")
    print(f"{front}: still there after a reload")
    check_exports(page, folder)
    print(f"{front}: exports are what was clicked; heatmaps (18, 128, 64)")


def main():
    ap = parser(__doc__)
    ap.add_argument("--only", choices=("app", *FRONTS))
    args = ap.parse_args()
    checks = {"app": check_app, **{front: partial(check_notebook, front=front) for front in FRONTS}}
    with temporary_folder() as d, chromium(args) as (browser, shot):
        for name, check in checks.items():
            folder = d/name/"people"
            if args.only in (None, name): check(browser, folder, people(folder), shot)
    print("all well")


if __name__ == "__main__": main()
