"""Drive every explorer in JupyterLab: what is dragged, picked, stepped or trained must show, and nothing else changes.

    python scripts/check_explorers.py                          all five, and the web page
    python scripts/check_explorers.py app                      only the web page of `xmodreid explore`
    python scripts/check_explorers.py translation poses        only these (or: ranks, losses, style)
    python scripts/check_explorers.py --front notebook         in Notebook 7
    python scripts/check_explorers.py --shots pictures         keep screenshots in this folder

Needs Playwright (`pip install playwright`), a Chromium (`--chromium PATH`, or found by name), and jupyterlab or
notebook. Not part of `make test`.
"""
import re
import signal
import subprocess
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
from in_browser import (FRONTS, MIN, chromium, free_port, http_request, jupyter, parser, run_first_cell, stop,
                        temporary_folder, wait_until, write_notebook)

PREPARE = """
from pathlib import Path
from xmodreid.synth.dataset import write_synth
from xmodreid.synth.world import SynthConfig
write_synth(Path('people'), SynthConfig(n_train=6, n_val=2, n_test=8, per_cam=1), progress=False)
write_synth(Path('large'), SynthConfig(n_train=2, n_val=0, n_test=4, per_cam=1, size=(128,64)), progress=False)
"""
TRANSLATION = """
from pathlib import Path
from xmodreid.data.keypoints import lookup_poses
from xmodreid.synth.dataset import load_synth
from xmodreid.data.sysu import read_sysu
from xmodreid.gan.learner import load_generators
from xmodreid.gan.samples import sample_translation
from xmodreid.viz.translation_explorer import explore_translation, synth_truth
root = Path('people')
index,world = read_sysu(root),load_synth(root)
poses = lookup_poses(index, root/'keypoints.npz')
test = (index.split=='test').to_numpy()
index,poses = index[test].reset_index(drop=True),poses[test]
s = sample_translation(index, poses, n=8, gray=True, world=world)
explore_translation(s, load_generators('synth-64x32'), synth_truth(s, world, index, poses))
"""
RANKS = """
import numpy as np
from xmodreid.data.sysu import read_sysu
from xmodreid.reid.protocols import sysu_protocol
from xmodreid.viz.rank_explorer import explore_ranks
index = read_sysu('people')
rng = np.random.default_rng(0)
emb = rng.normal(size=(index.pid.max()+1,16))[index.pid]+rng.normal(size=(len(index),16))
explore_ranks(index, emb.astype('float32'), sysu_protocol(trials=2), k=5)
"""
POSES = """
from xmodreid.data.keypoints import lookup_keypoints
from xmodreid.data.sysu import read_sysu
from xmodreid.pose.estimate import PoseEstimator
from xmodreid.pose.weights import pose_net
from xmodreid.viz.pose_explorer import explore_poses
index = read_sysu('large')
explore_poses(index, lookup_keypoints(index, 'large/keypoints.npz'), PoseEstimator(pose_net(pretrained='synth')))
"""
LOSSES = """
import warnings
warnings.simplefilter('ignore')
from xmodreid.data.translation_loaders import translation_dls
from xmodreid.gan.monitoring import SaveSamples
from xmodreid.gan.learner import pose_cyclegan_learner
from xmodreid.synth.dataset import load_synth_data
from xmodreid.viz.training import LossDashboard
people = load_synth_data('people').select(split='train')
dls = translation_dls(people, size=(64,32), batch_size=2, gray=True, val_pct=0, n_iters=6, min_joints=6)
batch = dls.train.one_batch()
def score(generators): return generators['ir'](*(t.cpu() for t in (batch[0],batch[1],batch[3]))).std().item()
dashboard = LossDashboard(score=score, score_name='contrast')
learn = pose_cyclegan_learner(dls, width=8, d_width=8, cbs=[SaveSamples(batch, n_samples=2), dashboard])
with learn.no_bar(), learn.no_logging(): learn.fit(EPOCHS)
"""
STYLE = """
import numpy as np
import torch
from xmodreid.synth.world import SynthConfig, SynthWorld, render_ground_truth
from xmodreid.draw import to_uint8
from xmodreid.gan.feature_losses import VGGFeatures
from xmodreid.viz.translation import plot_patch_style, style_loss_by_joint
world = SynthWorld(SynthConfig(n_train=4, n_val=0, n_test=2, size=(128,64)))
img,pose = world.sample_image(1, 1, np.random.default_rng(3))
def as_tensor(a): return (torch.as_tensor(np.ascontiguousarray(a)).permute(2,0,1)/127.5-1)[None]
src = as_tensor(img)
keypoints = torch.as_tensor(pose[:,[0,1,3]]).float()[None]
gen = as_tensor(render_ground_truth(world, 1, pose, 3))
shares = style_loss_by_joint(src, gen, keypoints, keypoints, VGGFeatures(weights='stand-in'))
plot_patch_style(src[0], gen[0], keypoints[0], keypoints[0], shares[0])
"""
EPOCHS = 5
RANKS_MODEL = """
from pathlib import Path
from xmodreid.reid.models import reid_model, save_reid
Path('reid').mkdir()
save_reid(reid_model('resnet10_small', 2), 'reid/model.safetensors', size=[64,32], classes=[1,2])
"""


def drag_joint(page, generated, shot):
    "Drag a joint up in eight steps; the generated pictures on the way."
    (x, y), at = find_joint(page, 32, 64, "grab", 33)
    step = -.6 if x < 16 else .6
    pictures = []
    page.mouse.move(*at(x, y))
    page.mouse.down()
    for k in range(1, 9):
        page.mouse.move(*at(x+k*step, y-k))
        page.wait_for_timeout(400)
        pictures.append(generated())
    page.wait_for_timeout(1500)
    shot(page.locator(".xp-root"), "explore")
    page.mouse.up()
    return pictures


def translation(page, shot):
    "Drag, slide, undo, pick: the picture must follow, and nothing else may change."
    page.locator(".xp-root").wait_for(timeout=6*MIN)
    page.locator(".xp-root").scroll_into_view_if_needed()
    def src(name): return page.locator(f".xp-row img[alt='{name}']").get_attribute("src")
    wait_until("the pictures", lambda: all(src(n) for n in ("source", "generated", "recovered", "truth")), 60)
    pose = page.locator(".xp-strip").nth(1).locator("button").nth(2)
    pose.click()
    wait_until("another pose", lambda: "xp-here" in pose.get_attribute("class"), 60)
    first = {n: src(n) for n in ("source", "generated", "truth")}
    n_pictures = len(set(drag_joint(page, lambda: src("generated"), shot)))
    assert n_pictures >= 3, f"the picture did not follow the joint: {n_pictures} pictures on the way"
    assert src("generated") != first["generated"], "the generated picture did not change"
    assert src("truth") != first["truth"], "the true picture did not change"
    assert src("source") == first["source"], "the source picture changed"
    page.locator(".xp-b", has_text="undo").click()
    wait_until("undone", lambda: src("generated") == first["generated"], 60)
    page.locator(".xp-fraction").evaluate("e => { e.value = .5; e.dispatchEvent(new Event('input')); }")
    wait_until("slid", lambda: src("generated") != first["generated"])
    page.locator(".xp-strip").first.locator("button").nth(2).click()
    wait_until("another person", lambda: src("source") != first["source"])
    return f"{n_pictures} different pictures while a joint was dragged; undo, slide and pick follow"


def find_joint(page, w, h, cursor, low):
    """The first pixel where the pointer finds a joint, and a function from pixels to places on the screen.

    The search goes from row `low` down and from the right.
    """
    box = page.locator(".xp-stage > img").bounding_box()
    def at(x, y): return box["x"]+(x+.5)*box["width"]/w, box["y"]+(y+.5)*box["height"]/h
    canvas = page.locator(".xp-stage canvas").last
    for y in range(low, h-4):
        for x in range(w-4, 4, -max(1, w//32)):
            page.mouse.move(*at(x, y))
            if canvas.evaluate("e => e.style.cursor") == cursor: return (x, y), at
    raise AssertionError("no joint can be taken")


def ranks(page, shot):
    "Move the query slider: another ranking."
    figure = page.locator(".jp-OutputArea-output img").first
    figure.wait_for(timeout=6*MIN)
    before = figure.get_attribute("src")
    track = page.locator(".noUi-base").first.bounding_box()  # by mouse: Notebook 7 uses the arrow keys itself
    page.mouse.click(track["x"]+.6*track["width"], track["y"]+track["height"]/2)
    wait_until("another ranking", lambda: figure.get_attribute("src") != before, 60)
    shot(page.locator(".jp-CodeCell .jp-OutputArea").first, "ranks")
    return "another query, another ranking"


class PoseExplorer:
    "The pose explorer on a page."
    def __init__(self, page):
        self.page = page
        self.root = page.locator(".xq-root")
        self.jump = self.root.locator(".xq-jump")
        self.unseen = self.root.locator("tr.xq-unseen")

    def text(self, selector):
        "Text of the first element."
        return self.root.locator(selector).first.inner_text()

    def picture(self, name):
        "Source of a picture below the stage."
        return self.root.locator(f".xq-tiles img[alt='{name}']").get_attribute("src")

    def total(self):
        "Number of images after the filter."
        return int(self.text(".xp-bar .xq-dim")[1:])

    def go_to(self, number):
        "Enter the number of an image."
        self.jump.fill(str(number))
        self.jump.press("Enter")

    def is_drawn(self, i):
        "Whether a canvas of the stage holds anything."
        return self.page.evaluate("""i => {
          const c = document.querySelectorAll('.xp-stage canvas')[i];
          return c.getContext('2d').getImageData(0, 0, c.width, c.height).data.some(v => v);
        }""", i)


def turn_pages(explorer):
    "Eight images forward, one back."
    page, root = explorer.page, explorer.root
    pictures = []
    for k in range(8):
        page.wait_for_timeout(200)
        pictures.append(explorer.picture("image"))
        root.locator(".xp-b", has_text="›").click()
        wait_until("the next image", lambda n=k+2: explorer.jump.input_value() == str(n))
    root.focus()
    page.keyboard.press("ArrowLeft")
    wait_until("one back", lambda: explorer.picture("image") == pictures[-1])
    assert len(set(pictures)) == 8 and page.locator(".jp-Cell").count() == 1


def choose_unseen_joint(explorer, total):
    "Find an image with an unseen joint, choose the joint, and let it go; its map must be empty."
    for n in range(1, total+1):
        explorer.go_to(n)
        explorer.page.wait_for_timeout(400)
        if explorer.unseen.count(): break
    assert "unseen" in explorer.text("tr.xq-unseen td:nth-child(2)"), "an unseen joint must be called so"
    assert "unseen" in explorer.text(".xq-words"), "an unseen joint must be called so"
    explorer.unseen.first.click()
    wait_until("the note of the map", lambda: "unseen, so its map is empty" in explorer.text(".xq-right .xq-dim"))
    assert explorer.picture("heatmaps") == explorer.picture("image"), "the map of an unseen joint must be empty"
    explorer.unseen.first.click()
    wait_until("let go", lambda: "whole body" in explorer.text(".xq-right .xq-dim"))


def choose_joint_in_picture(explorer, shot):
    "Click a joint in the picture: its map and its row are shown."
    page, root = explorer.page, explorer.root
    others = (explorer.picture("heatmaps"), explorer.picture("image"))
    spot, at = find_joint(page, 64, 128, "pointer", 40)
    page.mouse.click(*at(*spot))
    chosen = root.locator("tr.xp-here")
    wait_until("a joint chosen in the picture",
               lambda: explorer.picture("heatmaps") not in others and chosen.count() == 1)
    confidence = chosen.locator("td").last.inner_text()
    assert "%" in confidence or "–" in confidence, confidence
    page.mouse.move(2, 2)
    page.wait_for_timeout(300)
    shot(root, "poses")


def toggle_skeletons(explorer):
    "Hide and show each skeleton; show each picture on the stage."
    for i, number in ((1, 0), (0, 1)):
        box = explorer.root.locator(".xq-tick input").nth(number)
        assert explorer.is_drawn(i), "a skeleton is missing"
        box.uncheck()
        assert not explorer.is_drawn(i), "a hidden skeleton is still there"
        box.check()
        assert explorer.is_drawn(i), "a skeleton did not come back"
    for name in ("parts", "estimated", "heatmaps"):
        explorer.root.locator(".xq-tiles button", has_text=name).click()
        assert explorer.page.locator(".xp-stage > img").get_attribute("src") == explorer.picture(name)


def poses(page, shot):
    "Turn pages, filter, choose joints, seen and unseen; wrong input gives a message."
    explorer = PoseExplorer(page)
    root = explorer.root
    root.wait_for(timeout=6*MIN)
    root.scroll_into_view_if_needed()
    image_width = "document.querySelector('.xp-stage img').naturalWidth"
    wait_until("the picture", lambda: page.evaluate(image_width) == 64)
    total = explorer.total()
    turn_pages(explorer)
    choose_unseen_joint(explorer, total)
    choose_joint_in_picture(explorer, shot)
    toggle_skeletons(explorer)
    shot(root, "poses_heatmaps")
    root.locator("select").select_option(label="ir only")
    wait_until("infrared only", lambda: explorer.total() < total and ", ir" in explorer.text(".xq-words"))
    explorer.go_to(999)
    note = root.locator(".xm-note")
    wait_until("a wrong number is refused",
               lambda: "no such image" in explorer.text(".xm-note") and "xm-bad" in note.get_attribute("class"))
    return f"{total} images; pages, filter, joints chosen, an unseen one named, skeletons hidden and shown"


def losses(page, shot):
    "A training that redraws one place: the last epoch is shown, the outputs do not grow."
    title = page.locator(".jp-OutputArea-output p b").first
    title.wait_for(timeout=6*MIN)
    counts = set()
    heights = []
    epochs = set()
    def has_ended():
        text = title.inner_text()
        if text not in epochs: heights.append(page.locator(".jp-OutputArea").first.bounding_box()["height"])
        epochs.add(text)
        counts.add(page.locator(".jp-OutputArea-output").count())
        return text == f"epoch {EPOCHS} of {EPOCHS}"
    wait_until("the last epoch", has_ended, 300)
    page.wait_for_timeout(1000)
    images = page.locator(".jp-OutputArea-output img")
    assert counts == {1} and images.count() == 4, (counts, images.count())
    assert all(images.nth(i).evaluate("e => e.naturalWidth") > 100 for i in range(4))
    shot(page.locator(".jp-OutputArea").first, "losses")
    growth = max(heights)-min(heights)
    return f"{len(epochs)} epochs in one output of {images.count()} pictures, {growth:.0f} pixels of growth"


def style(page, shot):
    "Both images with their circles, and the bars."
    figure = page.locator(".jp-OutputArea-output img").first
    figure.wait_for(timeout=6*MIN)
    wait_until("the picture", lambda: figure.evaluate("e => e.naturalWidth") > 300)
    shot(figure, "style")
    return "the shares of the joints are drawn"


BOOKS = {
    "translation": (TRANSLATION, translation),
    "ranks": (RANKS, ranks),
    "poses": (POSES, poses),
    "losses": (LOSSES.replace("EPOCHS", str(EPOCHS)), losses),
    "style": (STYLE, style),
}


def open_notebook(browser, folder, address, name, code):
    "The page of a new notebook whose cell runs, and the list of errors that the page will report."
    write_notebook(folder/f"{name}.ipynb", code)
    page = browser.new_page(viewport=dict(width=1180, height=900))
    faults = []
    page.on("pageerror", lambda e: faults.append(str(e)))
    run_first_cell(page, address(f"{name}.ipynb"))
    return page, faults


def check_explorer(name, page, faults, known_faults, shot):
    "Run the check of an explorer; keep a screenshot when it fails."
    check = BOOKS[name][1]
    try:
        print(f"{name}: {check(page, shot)}", flush=True)
        errors = page.locator(".jp-OutputArea-output[data-mime-type*=error]")
        assert not errors.count(), "the cell ends in an error"
        assert set(faults) <= set(known_faults), faults
    except BaseException as e:
        shot(page, f"{name}_failed")
        output = page.locator(".jp-OutputArea-output[data-mime-type*=error]")
        if not output.count(): raise
        raise AssertionError(f"{name}: the cell ends in an error: {output.first.inner_text()[-300:]}") from e


def start_app(folder, log):
    "Start `xmodreid explore`; its output goes to a file."
    command = [sys.executable, "-c", "from xmodreid.cli import main; main()", "explore", "people", "--model", "reid",
               "--no-browser", "--port", str(free_port())]
    with open(log, "w") as out:
        return subprocess.Popen(command, cwd=folder, stdout=out, stderr=subprocess.STDOUT, start_new_session=True)


def check_app_refusals(base, token):
    "Requests without the token, with a wrong one, with a foreign host or origin; their number."
    paths = ("/", "/?token=wrong", "/?token=", "/voila/render/page.ipynb", "/api/kernels", "/api/contents", "/static/x",
             "/voila/files/page.ipynb", "/people/keypoints.npz")
    for path in paths:
        code, text = http_request(base+path)
        assert code == 403 and b"explorer_page" not in text, (path, code)
    assert http_request(base+"/api/kernels", "POST")[0] == 403
    foreign = (dict(Host="evil.example"), dict(Origin="http://evil.example"), dict(Host="127.0.0.1.evil.example"))
    for headers in foreign:
        assert http_request(f"{base}/?token={token}", **headers)[0] == 403, headers
    for path in ("/voila/files/people/keypoints.npz", "/voila/files/page.ipynb"):
        assert http_request(base+path, Authorization=f"token {token}")[0] != 200, path
    return len(paths)+len(foreign)+3


def app_translation(page, shot):
    "Drag a joint on the web page: only the generated picture may change."
    page.locator(".xp-root").wait_for(timeout=6*MIN)
    def src(name): return page.locator(f".xp-row img[alt='{name}']").get_attribute("src")
    wait_until("the pictures", lambda: all(src(n) for n in ("source", "generated", "recovered")), 60)
    first = {n: src(n) for n in ("source", "generated")}
    n_pictures = len(set(drag_joint(page, lambda: src("generated"), lambda what, _: shot(page, "explore_app"))))
    assert n_pictures >= 3, f"the picture did not follow the joint: {n_pictures} pictures on the way"
    assert src("generated") != first["generated"] and src("source") == first["source"]
    return n_pictures


def app_ranks(page, shot):
    "Open the second tab and move the query slider: another ranking."
    page.get_by_text("ranked lists", exact=True).first.click()
    figure = page.locator(".jp-OutputArea-output img:visible").first
    figure.wait_for(timeout=MIN)
    before = figure.get_attribute("src")
    track = page.locator(".noUi-base:visible").first.bounding_box()
    page.mouse.click(track["x"]+.6*track["width"], track["y"]+track["height"]/2)
    wait_until("another ranking", lambda: figure.get_attribute("src") != before, 60)
    shot(page, "explore_app_ranks")


def check_app(browser, folder, shot):
    "The web page of `xmodreid explore`, driven like a person would, and refused without the token."
    subprocess.run([sys.executable, "-W", "ignore", "-c", RANKS_MODEL], cwd=folder, check=True)
    log = folder/"app.log"
    server = start_app(folder, log)
    def address(): return re.search(r"http://127\.0\.0\.1:\d+/\?token=\S+", log.read_text())
    try:
        wait_until("the server prints its address", lambda: address() or server.poll() is not None, 300)
        assert server.poll() is None, "the server ended"
        url = address()[0]
        base, token = url.split("/?token=")
        print(f"app: {check_app_refusals(base, token)} requests refused", flush=True)
        page = browser.new_page(viewport=dict(width=1180, height=760))
        faults = []
        page.on("pageerror", lambda e: faults.append(str(e)))
        page.goto(url, timeout=6*MIN)
        n_pictures = app_translation(page, shot)
        assert "token" not in page.url, "the token must not stay in the address"
        app_ranks(page, shot)
        assert not faults, faults
        stranger = browser.new_context().new_page()
        assert stranger.goto(base).status == 403, "a browser without the token must be refused"
        print(f"app: {n_pictures} different pictures while a joint was dragged; another query, another ranking; "
              "a browser without the token is refused", flush=True)
    except BaseException:
        print(log.read_text()[-3000:], file=sys.stderr)
        for context in browser.contexts:
            for page in context.pages: shot(page, "app_failed")
        raise
    finally: stop(server)
    assert server.returncode in (0, -signal.SIGINT, 130), server.returncode


def main():
    ap = parser(__doc__)
    ap.add_argument("only", nargs="*", metavar="explorer",
                    help=f"of {', '.join(BOOKS)}, app; all when none is named")
    ap.add_argument("--front", choices=FRONTS, default="lab", help="JupyterLab or Notebook 7")
    args = ap.parse_args()
    if set(args.only)-{*BOOKS, "app"}: ap.error(f"unknown explorer; choose from {', '.join(BOOKS)}, app")
    with temporary_folder() as folder, chromium(args) as (browser, shot):
        subprocess.run([sys.executable, "-W", "ignore", "-c", PREPARE], cwd=folder, check=True)
        if not args.only or "app" in args.only: check_app(browser, folder, shot)
        books = [name for name in args.only or BOOKS if name != "app"]
        if not books: return print("all well")
        with jupyter(folder, args.front) as address:
            # errors that a plain notebook reports, too, do not come from the package
            page, known_faults = open_notebook(browser, folder, address, "plain", "print('a plain cell')")
            page.get_by_text("a plain cell", exact=True).last.wait_for(timeout=MIN)
            page.close()
            for name in books:
                page, faults = open_notebook(browser, folder, address, name, BOOKS[name][0])
                check_explorer(name, page, faults, known_faults, shot)
                page.close()
    print("all well")


if __name__ == "__main__": main()
