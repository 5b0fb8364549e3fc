"""Drive the annotator in a real browser, as the web page, in JupyterLab and in Notebook 7: place, drag, undo, reload, export, and what must be refused.

    python scripts/check_annotator.py                      all three
    python scripts/check_annotator.py --only app           only the web page (or: lab, notebook)
    python scripts/check_annotator.py --shots pictures     keep screenshots in this folder

Needs Playwright (`pip install playwright`), a Chromium (`--chromium PATH`, or found by name), voila, jupyterlab and notebook. Not part of `make test`.
"""
import json, re, signal, socket, subprocess, sys, urllib.parse
from functools import partial
from pathlib import Path

import numpy as np
import psutil
from PIL import Image

sys.path.insert(0, str(Path(__file__).resolve().parent))
from in_browser import FRONTS, MIN, http_request, chromium, free_port, jupyter, temporary_folder, parser, run_first_cell, stop, wait_until, write_notebook


def people(folder):
    "Three synthetic people and their true joints."
    from xmodreid.synth.world import SynthConfig, SynthWorld
    world, truth = SynthWorld(SynthConfig(n_train=4, n_val=0, n_test=2, size=(128, 64))), []
    folder.mkdir(parents=True)
    for k, (pid, camid) in enumerate([(1, 1), (2, 3), (3, 2)]):
        img, pose = world.sample_image(pid, camid, np.random.default_rng(k))
        Image.fromarray(img).save(folder/f"{k:04}.png")
        truth.append(pose[:, :2].clip([1, 1], [62, 126]))
    return truth


def rows(folder):
    "What is on disk: name -> (kpts, flags, done)."
    with np.load(folder/"annotations.npz") as f: return {n: (k, g, d) for n, k, g, d in zip(f["path"], f["keypoints"], f["flags"], f["done"])}


class Mouse:
    "The user: knows where a pixel of the picture is on the screen."
    def __init__(self, page): self.page = page
    def at(self, x, y):
        b = self.page.locator(".xm-stage img").bounding_box()
        return b["x"]+(x+.5)*b["width"]/64, b["y"]+(y+.5)*b["height"]/128
    def click(self, x, y, **kw): self.page.mouse.click(*self.at(x, y), **kw)
    def drag(self, a, b):
        self.page.mouse.move(*self.at(*a)); self.page.mouse.down()
        self.page.mouse.move(*self.at(*((np.array(a)+b)/2))); self.page.mouse.move(*self.at(*b)); self.page.mouse.up()
    def text(self, selector): return self.page.locator(selector).first.inner_text()


def annotate(page, folder, truth, shot, app=False):
    "18 joints placed, one dragged, one undone; everything is looked up on disk."
    hand = Mouse(page)
    page.locator(".xm-stage img").wait_for(timeout=3*MIN)
    wait_until("the picture is there", lambda: page.evaluate("document.querySelector('.xm-stage img').naturalWidth") == 64)
    if app: # keys work before the first click
        page.keyboard.press("ArrowRight"); wait_until("the second image", lambda: hand.text(".xm-name") == "0001.png")
        page.keyboard.press("ArrowLeft"); wait_until("the first image", lambda: hand.text(".xm-name") == "0000.png")
    for j, (x, y) in enumerate(truth):
        hand.click(float(x), float(y), button="right" if j == 16 else "left")
        if j == 6: page.mouse.move(*hand.at(float(truth[7][0]), float(truth[7][1]))); page.wait_for_timeout(300); shot(page, "placing")
    wait_until("18 joints on disk", lambda: (rows(folder)["0000.png"][1] > 1).all())
    k, flags, done = rows(folder)["0000.png"]
    assert done and flags[16] == 2 and k[16, 2] == .5 and (np.delete(flags, 16) == 3).all(), (flags, done)
    assert np.abs(k[:, :2]-truth).max() < .2, np.abs(k[:, :2]-truth).max()
    ankle = truth[10]
    to = np.array([ankle[0]+(6 if ankle[0] < 40 else -6), ankle[1]-5])
    hand.drag(ankle, to)
    wait_until("the dragged joint on disk", lambda: np.abs(rows(folder)["0000.png"][0][10, :2]-to).max() < .5)
    hand.drag(to, to-[0, 12])
    wait_until("dragged again", lambda: np.abs(rows(folder)["0000.png"][0][10, :2]-(to-[0, 12])).max() < .5)
    page.keyboard.press("z")
    wait_until("undone on disk", lambda: np.abs(rows(folder)["0000.png"][0][10, :2]-to).max() < .5)
    page.keyboard.press("Control+y")
    wait_until("done again", lambda: np.abs(rows(folder)["0000.png"][0][10, :2]-(to-[0, 12])).max() < .5)
    page.locator(".xm-b", has_text="Undo").click()
    wait_until("undone on disk", lambda: np.abs(rows(folder)["0000.png"][0][10, :2]-to).max() < .5)
    page.mouse.move(5, 5); page.wait_for_timeout(300); shot(page, "done")
    return to


def annotate_second(page, folder, truth, shot):
    "The next image: copy, absent, swap, a half, then Enter; zoom does not move joints; the counter and the filter."
    hand = Mouse(page)
    page.keyboard.press("ArrowRight")
    wait_until("the second image", lambda: hand.text(".xm-name") == "0001.png")
    page.keyboard.press("c")
    wait_until("copied", lambda: (rows(folder)["0001.png"][1] > 1).all())
    assert not rows(folder)["0001.png"][2], "a copy alone must not be done"
    before = rows(folder)["0001.png"][0]
    page.keyboard.press("s")
    wait_until("swapped", lambda: np.allclose(rows(folder)["0001.png"][0][2], before[5]))
    for _ in range(3): page.keyboard.press("z")
    wait_until("all undone", lambda: "0001.png" not in rows(folder))
    wait_until("the picture of the first", lambda: hand.text(".xm-name") == "0000.png")
    page.keyboard.press("y"); page.keyboard.press("ArrowRight")
    wait_until("the second image", lambda: hand.text(".xm-name") == "0001.png")
    page.wait_for_timeout(400)
    page.mouse.move(*hand.at(32, 40)); page.mouse.wheel(0, -300); page.wait_for_timeout(300)
    for x, y in truth[:3]: hand.click(float(x), float(y))
    wait_until("clicks while zoomed", lambda: np.abs(rows(folder)["0001.png"][0][:3, :2]-truth[:3]).max() < .2)
    shot(page, "zoomed")
    page.keyboard.press("0"); page.keyboard.press("a")
    wait_until("absent", lambda: rows(folder)["0001.png"][1][3] == 1)
    page.keyboard.press("Enter")
    wait_until("third image", lambda: hand.text(".xm-name") == "0002.png")
    k, flags, done = rows(folder)["0001.png"]
    assert done and (flags[3:] == 1).all() and (k[3:] == 0).all()
    page.keyboard.press("?"); page.wait_for_timeout(200); shot(page, "help"); page.keyboard.press("Escape")
    page.locator(".xm-jump").fill("1"); page.locator(".xm-jump").press("Enter")
    wait_until("jumped", lambda: hand.text(".xm-name") == "0000.png")
    page.keyboard.press("f"); page.keyboard.press("ArrowRight")
    wait_until("passed over the finished one", lambda: hand.text(".xm-name") == "0002.png")
    page.keyboard.press("f")


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
    with np.load(folder/"export/keypoints.npz") as f: assert np.array_equal(f["keypoints"][0], keypoints) and len(f["path"]) == 2
    assert len(json.loads((folder/"export/coco.json").read_text())["annotations"][0]["keypoints"]) == 51


def check_reload(page, folder, again):
    "Reload the page: the joints are on the screen again, and nothing on disk has changed."
    before = (folder/"annotations.npz").read_bytes()
    again()
    page.locator(".xm-stage img").wait_for(timeout=3*MIN)
    page.locator(".xm-jump").fill("1"); page.locator(".xm-jump").press("Enter")
    wait_until("the first image", lambda: Mouse(page).text(".xm-name") == "0000.png", 60)
    wait_until("18 joints on the screen", lambda: page.locator(".xm-j.xm-f3").count() == 17 and page.locator(".xm-j.xm-f2").count() == 1)
    assert (folder/"annotations.npz").read_bytes() == before, "reloading changed the file"


def check_refusals(base, token, folder):
    "No token, wrong token, other paths."
    secret = folder.parent/"secret.png"
    Image.new("RGB", (8, 8), (1, 2, 3)).save(secret)
    for path in ("/", "/?token=wrong", "/login", "/voila/static/voila.js", "/voila/files/annotate.ipynb", "/api/kernels", "/api/kernels/0/channels", "/voila/render/x.ipynb"):
        code, text = http_request(base+path)
        assert code == 403 and b"ipynb" not in text, (path, code)
    assert http_request(base+"/voila/api/shutdown/0", "POST")[0] == 403
    up = ["../secret.png", "..%2fsecret.png", "%2e%2e/secret.png", "annotate.ipynb", "0000.png", urllib.parse.quote(str(secret)), "/etc/passwd", "..%2f..%2f..%2f..%2f..%2fetc%2fpasswd"]
    for p in up:
        for prefix in ("/voila/files/", "/files/", "/", "/voila/render/", "/api/contents/", "/voila/static/"):
            code, text = http_request(f"{base}{prefix}{p}", Authorization=f"token {token}")
            assert code != 200 and b"root:" not in text and secret.read_bytes() not in text, (prefix, p, code)
    return len(up)*6+9


def check_message_refusals(page, folder):
    "The page's own line to the kernel: no operation opens a path, and code is not run."
    said = page.evaluate("""async () => {
      const root = document.querySelector('.xm-annotator'), send = root.xmSend, out = [];
      for (const m of [{op:'open',path:'/etc/passwd'}, {op:'go',number:'../secret.png'}, {op:'go',number:-1}, {op:'export',kind:'../x'}, {op:'export',kind:'coco',path:'/tmp/x'}, {op:'__init__',images:'/'}]) {
        send(m); await new Promise(r => setTimeout(r, 700)); out.push(document.querySelector('.xm-note').className + '|' + document.querySelector('.xm-note').textContent);
      }
      return out; }""")
    assert all("xm-bad" in s and "no answer" not in s for s in said), said
    return said


def check_killed_kernel(page, folder, server):
    "Kill the kernel between two clicks: the first is on disk, and the second is said to be lost."
    hand = Mouse(page)
    page.keyboard.press("ArrowRight"); page.keyboard.press("ArrowRight")
    wait_until("the third image", lambda: hand.text(".xm-name") == "0002.png")
    page.wait_for_timeout(300)
    hand.click(20, 30)
    wait_until("the click before", lambda: rows(folder)["0002.png"][1][0] == 3)
    kernels = [c for c in psutil.Process(server.pid).children(recursive=True) if "ipykernel" in " ".join(c.cmdline())]
    assert kernels, "no kernel found"
    for k in kernels: k.kill()
    hand.click(25, 40)
    wait_until("the warning", lambda: "no answer" in hand.text(".xm-note"))
    k, flags, _ = rows(folder)["0002.png"]
    assert flags[0] == 3 and np.abs(k[0, :2]-[20, 30]).max() < .2 and (flags[1:] == 0).all()


def check_app(browser, folder, truth, shot):
    "The web page."
    log = open(folder.parent/"app.log", "w")
    script = folder.parent/"annotate.py"  # what the installed command does, also where the package is not installed
    script.write_text("from xmodreid.cli import main\nmain()\n")
    command = [sys.executable, str(script), "annotate", str(folder), "--no-browser", "--port", str(free_port())]
    server = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT, start_new_session=True)
    try:
        said = lambda: re.search(r"http://127\.0\.0\.1:\d+/\?token=\S+", (folder.parent/"app.log").read_text())
        wait_until("the server says where it is", lambda: said() or server.poll() is not None, 120)
        assert server.poll() is None, "the server ended"
        url = said()[0]
        base, token = url.split("/?token=")
        print(f"app: {check_refusals(base, token, folder)} requests refused")
        page = browser.new_page(viewport=dict(width=1280, height=860))
        page.goto(url, timeout=3*MIN)
        to = annotate(page, folder, truth[0], lambda p, n: shot(p, "app_"+n), app=True)
        assert "token" not in page.url, "the token must not stay in the address"
        print("app: 18 joints placed, dragged, undone, on disk")
        annotate_second(page, folder, truth[1], lambda p, n: shot(p, "app_"+n))
        check_reload(page, folder, lambda: page.reload(timeout=3*MIN))
        assert np.abs(rows(folder)["0000.png"][0][10, :2]-to).max() < .5
        print("app: still there after a reload")
        check_exports(page, folder)
        print("app: exports are what was clicked; heatmaps (18, 128, 64)")
        print("app:", len(check_message_refusals(page, folder)), "messages refused")
        check_killed_kernel(page, folder, server)
        print("app: a killed kernel is noticed, and everything answered before is on disk")
        other_context = browser.new_context().new_page()
        assert other_context.goto(base).status == 403
        assert loopback_only(int(base.rsplit(":", 1)[1])), "the port answers on another address than 127.0.0.1"
    except BaseException:
        for q in browser.contexts[0].pages if browser.contexts else []: shot(q, "app_failed")
        print((folder.parent/"app.log").read_text()[-3000:], file=sys.stderr)
        raise
    finally: stop(server)
    assert server.returncode in (0, -signal.SIGINT, 130), server.returncode


def loopback_only(port):
    "Whether the port answers on loopback only."
    try: others = {i[4][0] for i in socket.getaddrinfo(socket.gethostname(), None, socket.AF_INET)}-{"127.0.0.1"}
    except OSError: others = set()
    for ip in others:
        with socket.socket() as s:
            s.settimeout(2)
            if not ip.startswith("127.") and s.connect_ex((ip, port)) == 0: return False
    return True


def check_notebook(browser, folder, truth, shot, front="lab"):
    "JupyterLab or Notebook 7: the same widget in a notebook."
    write_notebook(folder.parent/"annotate.ipynb", "from xmodreid.annotate.widget import annotate_images\nw = annotate_images('people')\nw", "1+1")
    with jupyter(folder.parent, front) as address:
        page = browser.new_page(viewport=dict(width=1440, height=1000))
        again = lambda: run_first_cell(page, address("annotate.ipynb"))
        try:
            again()
            page.locator(".xm-annotator").wait_for(timeout=3*MIN)
            page.locator(".xm-annotator").scroll_into_view_if_needed()
            to = annotate(page, folder, truth[0], lambda p, n: shot(p, f"{front}_{n}"))
            print(f"{front}: 18 joints placed, dragged, undone, on disk")
            annotate_second(page, folder, truth[1], lambda p, n: shot(p, f"{front}_{n}"))
            for key in ("a", "b", "x", "d", "d", "m", "z"): page.keyboard.press(key)
            page.wait_for_timeout(500)
            assert page.locator(".jp-Cell").count() == 2 and page.locator(".jp-MarkdownCell").count() == 0, "keys of the tool reached the notebook"
            print(f"{front}: its keys do not reach the notebook")
            check_reload(page, folder, again)
            assert np.abs(rows(folder)["0000.png"][0][10, :2]-to).max() < .5
            shot(page, f"{front}_reloaded")
            print(f"{front}: still there after a reload")
            check_exports(page, folder)
            print(f"{front}: exports are what was clicked; heatmaps (18, 128, 64)")
        except BaseException:
            shot(page, f"{front}_failed")
            raise


def main():
    ap = parser(__doc__)
    ap.add_argument("--only", choices=("app", *FRONTS))
    args = ap.parse_args()
    with temporary_folder() as d, chromium(args) as (browser, shot):
        for name, check in (("app", check_app), *((f, partial(check_notebook, front=f)) for f in FRONTS)):
            if args.only in (None, name): check(browser, d/name/"people", people(d/name/"people"), shot)
    print("all well")


if __name__ == "__main__": main()
