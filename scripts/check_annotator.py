"""Drive the annotator in a browser, as web page, in JupyterLab and Notebook 7: place, drag, undo, reload, export.

    python scripts/check_annotator.py                      all three
    python scripts/check_annotator.py --only app           only the web page (or: lab, notebook)
    python scripts/check_annotator.py --shots pictures     keep screenshots in this folder

Needs Playwright (`pip install playwright`), a Chromium (`--chromium PATH`, or found by name), voila, jupyterlab and
notebook. Not part of `make test`.
"""
import http.client
import json
import re
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.parse
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import numpy as np
import psutil
import websocket
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


FORBIDDEN_PATHS = ("/", "/?token=wrong", "/login", "/voila/static/voila.js", "/voila/files/page.ipynb",
                   "/api/kernels", "/api/kernels/0/channels", "/voila/render/x.ipynb")
FILE_PREFIXES = ("/voila/files/", "/files/", "/", "/voila/render/", "/api/contents/", "/voila/static/")


def check_refusals(base, token, folder):
    "No token, wrong token, other paths; the number of requests."
    secret = folder.parent/"secret.png"
    for path in FORBIDDEN_PATHS:
        code, text = http_request(base+path)
        assert code == 403 and b"ipynb" not in text, (path, code)
    assert http_request(base+"/voila/api/shutdown/0", "POST")[0] == 403
    files = ["../secret.png", "..%2fsecret.png", "%2e%2e/secret.png", "page.ipynb", "0000.png",
             urllib.parse.quote(str(secret)), "/etc/passwd", "..%2f..%2f..%2f..%2f..%2fetc%2fpasswd"]
    for file in files:
        for prefix in FILE_PREFIXES:
            code, text = http_request(f"{base}{prefix}{file}", Authorization=f"token {token}")
            assert code != 200, (prefix, file, code)
            assert b"root:" not in text and secret.read_bytes() not in text, (prefix, file, code)
    return len(files)*len(FILE_PREFIXES)+len(FORBIDDEN_PATHS)+1


MAX_PAGES = 3  # in this check
SELECT_JS = "(joint) => document.querySelector('.xm-annotator').xmSend({op: 'select', joint})"
HTTP_END = b"\r\n\r\n"
BIG = 8 << 20  # bytes: more than the server may take


def raw_request(port, head, body=b""):
    "Status of a request that is sent as it stands, without what a client would correct; 0 where there is no answer."
    with socket.create_connection(("127.0.0.1", port), timeout=30) as s:
        try:
            s.sendall(head+HTTP_END+body)
        except OSError: pass  # the server may hang up before it has everything
        try:
            answer = s.recv(65536)
        except OSError: return 0, b""
    status = re.match(rb"HTTP/1\.[01] (\d+)", answer)
    return int(status[1]) if status else 0, answer


def check_raw_requests(port, token):
    "Hosts, origins, paths and sizes that no browser sends; the number of requests."
    host, auth = f"Host: 127.0.0.1:{port}".encode(), f"Authorization: token {token}".encode()
    def head(line, *headers): return b"\r\n".join([line, *headers])
    get = b"GET / HTTP/1.1"
    refused = [
        head(get, b"Host: evil.example", auth),
        head(get, b"Host: evil.example:%d" % port, auth),
        head(get, b"Host: 192.168.1.2", auth),
        head(get, host, b"Host: evil.example", auth),
        head(get, auth),
        head(b"GET http://evil.example/ HTTP/1.1", b"Host: evil.example", auth),
        head(get, host, auth, b"Origin: http://evil.example"),
        head(get, host, auth, b"Origin: null"),
        head(get, host, auth, b"Origin: http://127.0.0.1:1"),
        head(get, host, b"Authorization: token "),
        head(get, host, b"Cookie: username-x=2|1:0|10:1|10:username-x|4:bWU=|00"),
        head(b"POST /voila/api/shutdown/x HTTP/1.1", host, b"Content-Length: 0"),
        head(get, host, auth, b"X: "+b"y"*BIG),
        head(b"GET /"+b"a"*BIG+b" HTTP/1.1", host, auth),
        head(b"POST / HTTP/1.1", host, auth, b"Content-Length: -1"),
        head(b"POST / HTTP/1.1", host, auth, b"Content-Length: 5", b"Transfer-Encoding: chunked"),
        head(b"POST / HTTP/1.1", host, auth, b"Content-Length: 5", b"Content-Length: 6"),
        head(b"GET / HTTP/9.9", host, auth),
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",  # another protocol
    ]
    for request in refused:
        status, answer = raw_request(port, request)
        assert status in (0, 400, 403, 405, 431) and b"<html" not in answer.lower(), (request[:200], answer[:200])
    traversals = [b"/../../etc/passwd", b"/..\\..\\etc\\passwd", b"//etc/passwd", b"/%2e%2e/%2e%2e/etc/passwd",
                  b"/\x00", b"/voila/static/../../../../etc/passwd", b"/voila/static/%2e%2e%2f%2e%2e%2fapp.py",
                  b"/voila/static//etc/passwd", b"/voila/templates/lab/static/../../../../../../etc/passwd",
                  b"/voila/files/..%252f..%252fetc/passwd", b"file:///etc/passwd"]
    for path in traversals:
        status, answer = raw_request(port, head(b"GET "+path+b" HTTP/1.1", host, auth, b"Connection: close"))
        assert status != 200 and b"root:" not in answer and b"Voila(" not in answer, (path, answer[:300])
    big = [
        (head(b"POST /voila/api/shutdown/x HTTP/1.1", host, b"Content-Length: %d" % BIG), b"z"*BIG),
        (head(b"POST /voila/api/shutdown/x HTTP/1.1", host, auth, b"Content-Length: %d" % BIG), b"z"*BIG),
        (head(b"POST / HTTP/1.1", host, auth, b"Content-Length: 99999999999999"), b"z"),
        (head(b"POST / HTTP/1.1", host, auth, b"Transfer-Encoding: chunked"), (b"100000\r\n"+b"z"*(1 << 20)+b"\r\n")*8),
    ]
    for request, body in big:
        status, answer = raw_request(port, request, body)
        assert status in (0, 400, 413), (request[:80], answer[:200])
    return len(refused)+len(traversals)+len(big)


def kernels_of(server):
    "Processes of the open pages."
    def is_kernel(process):
        try:
            return "ipykernel" in " ".join(process.cmdline())
        except psutil.NoSuchProcess: return False  # it ends just now
    return [child for child in psutil.Process(server.pid).children(recursive=True) if is_kernel(child)]


def check_socket(port, token, page, server):
    "The socket to a kernel: no token, another origin, a message that runs code, a message that is too large."
    kernel = page.evaluate("JSON.parse(document.getElementById('jupyter-config-data').textContent).kernelId")
    url = f"ws://127.0.0.1:{port}/api/kernels/{kernel}/channels"
    header = {"Authorization": f"token {token}"}
    for options in ({}, dict(header=header, origin="http://evil.example"), dict(header=header, host="evil.example")):
        try:
            websocket.create_connection(url, timeout=20, **options).close()
        except websocket.WebSocketBadStatusException as e:
            assert e.status_code == 403, (options, e)
        else: raise AssertionError(f"a socket opens with {options}")
    marker = Path(f"/proc/{server.pid}/cwd").resolve()/"ran_code"
    for content in (dict(code=f"open({str(marker)!r}, 'w')"), dict(code="0", padding="z"*BIG)):
        link = websocket.create_connection(url, timeout=20, header=header, origin=f"http://127.0.0.1:{port}")
        message = dict(header=dict(msg_id="1", msg_type="execute_request", session="s", username="u", version="5.3"),
                       parent_header={}, metadata={}, content=dict(silent=False, **content), channel="shell")
        try:
            link.send(json.dumps(message))
            time.sleep(1)
            link.close()
        except (OSError, websocket.WebSocketException): pass
    assert not marker.exists(), "a message ran code"
    return 5


def check_two_users(browser, url, page, folder):
    "Two pages on one image, joint by joint in turn: every joint of both is on disk, and undo takes back one's own."
    other = browser.new_context(viewport=dict(width=1280, height=860)).new_page()
    other.goto(url, timeout=3*MIN)
    other.locator(".xm-stage img").wait_for(timeout=3*MIN)
    for user in (page, other):
        jump_to(user, 3)
        wait_image(Mouse(user), "the third image", "0002.png")
    def stored(): return rows(folder)["0002.png"][1]
    for j in range(12):
        user = (page, other)[j % 2]
        user.evaluate(SELECT_JS, j)
        user.wait_for_timeout(250)
        Mouse(user).click(10+2*j, 20+5*j)
        if j % 3 == 0: continue  # some clicks of both are under way at the same time
        wait_until(f"joint {j} on disk", lambda j=j: stored()[j] == 3)
    wait_until("joints of both users", lambda: (stored()[:12] == 3).all())
    keypoints = rows(folder)["0002.png"][0]
    expected = [[10+2*j, 20+5*j] for j in range(12)]
    assert np.abs(keypoints[:12, :2]-expected).max() < .6, keypoints
    page.keyboard.press("z")
    wait_until("own joint undone", lambda: stored()[10] == 0)
    assert (np.delete(stored()[:12], 10) == 3).all(), stored()
    for user in (page, other):
        for _ in range(7): user.keyboard.press("z")
    wait_until("all undone", lambda: "0002.png" not in rows(folder))
    other.close(run_before_unload=True)
    return 12


def check_links(page, folder):
    "An image, and the folder of exports, that become links out of the folder: neither is followed."
    assert Mouse(page).text(".xm-top .xm-dim") == "/ 3", "a link out of the folder is listed"
    away = folder.parent/"away"
    away.mkdir()
    kept = {name: folder.parent/f"kept_{name}" for name in ("0002.png", "export")}
    for name, place in kept.items(): (folder/name).rename(place)
    (folder/"0002.png").symlink_to(folder.parent/"secret.png")
    (folder/"export").symlink_to(away)
    try:
        jump_to(page, 3)
        wait_until("a note about the image", lambda: "leads out of the folder" in Mouse(page).text(".xm-note"))
        width = page.evaluate("document.querySelector('.xm-stage img').naturalWidth")
        assert width == 1, f"a picture {width} pixels wide is shown"
        jump_to(page, 1)
        wait_image(Mouse(page), "the first image", "0000.png")
        page.locator("select.xm-b").select_option("coco")
        wait_until("a note about the export", lambda: "export/ is a link" in Mouse(page).text(".xm-note"))
        assert not list(away.iterdir()), "an export left the folder"
    finally:
        for name, place in kept.items():
            (folder/name).unlink()
            place.rename(folder/name)


def flood(port, token, seconds=10, rate=1000, threads=10):
    "Answers to many requests, most of them to be refused: `(counter, seconds it took)`."
    auth = {"Authorization": f"token {token}"}
    kinds = [
        ("/", {}, 403),
        ("/?token=wrong", {}, 403),
        ("/", {**auth, "Host": "evil.example"}, 403),
        ("/", {**auth, "Origin": "http://evil.example"}, 403),
        ("/voila/files/..%2fsecret.png", auth, 403),
        ("/voila/api/shutdown/x", {}, 403),
        ("/api/kernels", {}, 403),
        ("/voila/static/none.js", auth, 403),
        ("/login", {}, 403),
        ("/"+"a"*2000, {}, 403),
    ]
    answers, lock, start = Counter(), threading.Lock(), time.time()
    def work(worker):
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        mine = Counter()
        for k in range(seconds*rate//threads):
            time.sleep(max(0, start+k*threads/rate-time.time()))
            path, headers, expected = kinds[(k+worker) % len(kinds)]
            try:
                connection.request("GET", path, headers=headers)
                response = connection.getresponse()
                response.read()
                mine["as expected" if response.status == expected else f"{path[:30]}: {response.status}"] += 1
            except (OSError, http.client.HTTPException) as e:
                mine[type(e).__name__] += 1
                connection.close()
        with lock: answers.update(mine)
    with ThreadPoolExecutor(threads) as pool: list(pool.map(work, range(threads)))
    return answers, time.time()-start


def check_flood(port, token, server, page, folder):
    "1,000 requests a second for ten seconds: all are answered, the server does not grow, the page works meanwhile."
    process = psutil.Process(server.pid)
    flood(port, token, seconds=1)
    before, kernels = process.memory_info().rss, len(kernels_of(server))
    with ThreadPoolExecutor(1) as pool:
        flooding = pool.submit(flood, port, token)
        page.wait_for_timeout(3000)
        start = time.time()
        page.evaluate(SELECT_JS, 5)
        page.wait_for_timeout(300)
        Mouse(page).click(22, 33)
        wait_until("a click during the flood", lambda: rows(folder)["0002.png"][1][5] == 3, 60)
        waited = time.time()-start
        answers, took = flooding.result()
    page.keyboard.press("z")
    wait_until("undone", lambda: "0002.png" not in rows(folder))
    grown = (process.memory_info().rss-before) >> 20
    assert set(answers) == {"as expected"} and answers.total() == 10_000, answers
    assert grown < 30, f"the server grew by {grown} MB"
    assert len(kernels_of(server)) == kernels, "requests started kernels"
    return (f"{answers.total():,} requests in {took:.1f} s ({answers.total()/took:,.0f} per second); "
            f"a click on disk after {waited:.1f} s; the server grew by {grown} MB")


def check_page_limit(base, token, server):
    "More pages than the server allows: the rest is answered 503, and pages without a browser are no new processes."
    with ThreadPoolExecutor(MAX_PAGES+3) as pool:
        answers = pool.map(lambda _: http_request(f"{base}/?token={token}", timeout=180)[0], range(MAX_PAGES+3))
        codes = Counter(answers)
    n = len(kernels_of(server))
    assert n <= MAX_PAGES and codes[503] >= 3, (n, codes)
    return n, codes[503]


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
    page.evaluate(SELECT_JS, 0)
    page.wait_for_timeout(300)
    mouse.click(20, 30)
    wait_until("the click before", lambda: rows(folder)["0002.png"][1][0] == 3)
    kernels = kernels_of(server)
    assert kernels, "no kernel found"
    for kernel in kernels: kernel.kill()
    mouse.click(25, 40)
    wait_until("the warning", lambda: "no answer" in mouse.text(".xm-note"))
    keypoints, flags, _ = rows(folder)["0002.png"]
    assert flags[0] == 3 and np.abs(keypoints[0, :2]-[20, 30]).max() < .2 and (flags[1:] == 0).all()


def start_app(folder, log):
    "Start the server of the web page; its output goes to a file."
    script = folder.parent/"annotate.py"  # what the installed command does, also where the package is not installed
    script.write_text("from xmodreid.annotate import web\nfrom xmodreid.cli import main\n"
                      f"web._MAX_PAGES = {MAX_PAGES}\nmain()\n")
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
    port = int(base.rsplit(":", 1)[1])
    print(f"app: {check_refusals(base, token, folder)} requests refused")
    print(f"app: {check_raw_requests(port, token)} requests that no browser sends refused")
    page = browser.new_page(viewport=dict(width=1280, height=860))
    page.goto(url, timeout=3*MIN)
    def app_shot(what, name): shot(what, f"app_{name}")
    to = annotate(page, folder, truth[0], app_shot, app=True)
    assert "token" not in page.url, "the token must not stay in the address"
    print("app: 18 joints placed, dragged, undone, on disk")
    annotate_second(page, folder, truth[1], app_shot)
    check_reload(page, folder, lambda: page.reload(timeout=3*MIN))
    assert near(folder, 10, to)
    wait_until("the process of the page before the reload ends", lambda: len(kernels_of(server)) == 1)
    print("app: still there after a reload")
    check_exports(page, folder)
    print("app: exports are what was clicked; heatmaps (18, 128, 64)")
    print("app:", check_message_refusals(page), "messages refused")
    print("app:", check_socket(port, token, page, server), "sockets and their messages refused")
    check_links(page, folder)
    print("app: links out of the folder are not followed")
    print("app:", check_two_users(browser, url, page, folder), "joints of two users on one image, none lost")
    wait_until("the process of the closed page ends", lambda: len(kernels_of(server)) == 1)
    print("app:", check_flood(port, token, server, page, folder))
    print("app: {} pages open, {} more refused".format(*check_page_limit(base, token, server)))
    check_killed_kernel(page, folder, server)
    print("app: a killed kernel is noticed, and everything answered before is on disk")
    other_context = browser.new_context().new_page()
    assert other_context.goto(base).status == 403
    assert loopback_only(port), "the port answers on another address than 127.0.0.1"


def check_app(browser, folder, truth, shot):
    "The web page."
    log = folder.parent/"app.log"
    secret = folder.parent/"secret.png"
    Image.new("RGB", (8, 8), (1, 2, 3)).save(secret)
    (folder/"0003.png").symlink_to(secret)
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
