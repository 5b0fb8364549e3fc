"""Drive every explorer in JupyterLab: what is dragged, picked, stepped or trained must show, and only there.

    python scripts/check_explorers.py                          all five
    python scripts/check_explorers.py translation poses        only these (or: ranks, losses, style)
    python scripts/check_explorers.py --front notebook         in Notebook 7
    python scripts/check_explorers.py --shots pictures         keep screenshots in this folder

Needs Playwright (`pip install playwright`), a Chromium (`--chromium PATH`, or found by name) and jupyterlab or notebook. Not part of `make test`.
"""
import subprocess, sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
from in_browser import FRONTS, MIN, chromium, jupyter, temporary_folder, parser, run_first_cell, wait_until, write_notebook

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
explore_translation(s, load_generators('synth'), synth_truth(s, world, index, poses))
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
import warnings; warnings.simplefilter('ignore')
from pathlib import Path
from xmodreid.data.keypoints import lookup_keypoints
from xmodreid.data.sysu import read_sysu
from xmodreid.data.translation_loaders import translation_dls
from xmodreid.gan.monitoring import SaveSamples
from xmodreid.gan.learner import pose_cyclegan_learner
from xmodreid.viz.training import LossDashboard
root = Path('people')
index = read_sysu(root); train = (index.split=='train').to_numpy()
dls = translation_dls(index[train].reset_index(drop=True), lookup_keypoints(index, root/'keypoints.npz')[train], size=(64,32), batch_size=2, gray=True, val_pct=0, n_iters=6, min_joints=6)
batch = dls.train.one_batch()
score = lambda generators: generators['ir'](*(t.cpu() for t in (batch[0],batch[1],batch[3]))).std().item()
learn = pose_cyclegan_learner(dls, width=8, d_width=8, cbs=[SaveSamples(batch, n_samples=2), LossDashboard(score=score, score_name='contrast')])
with learn.no_bar(), learn.no_logging(): learn.fit(EPOCHS)
"""
STYLE = """
import numpy as np,torch
from xmodreid.synth.world import SynthConfig, SynthWorld, true_render
from xmodreid.draw import to_uint8
from xmodreid.gan.feature_losses import VGGFeatures
from xmodreid.viz.translation import plot_style_loss, style_loss_by_joint
world = SynthWorld(SynthConfig(n_train=4, n_val=0, n_test=2, size=(128,64)))
img,pose = world.sample_image(1, 1, np.random.default_rng(3))
as_tensor = lambda a: (torch.as_tensor(np.ascontiguousarray(a)).permute(2,0,1)/127.5-1)[None]
src,keypoints = as_tensor(img),torch.as_tensor(pose[:,[0,1,3]]).float()[None]
gen = as_tensor(true_render(world, 1, pose, 3))
plot_style_loss(src[0], gen[0], keypoints[0], keypoints[0], style_loss_by_joint(src, gen, keypoints, keypoints, VGGFeatures(weights='stand-in'))[0])
"""
EPOCHS = 5


def translation(page, shot):
    "Drag, slide, undo, pick: the picture must follow, and only where it should."
    page.locator(".xp-root").wait_for(timeout=6*MIN)
    page.locator(".xp-root").scroll_into_view_if_needed()
    src = lambda name: page.locator(f".xp-row img[alt='{name}']").get_attribute("src")
    wait_until("the pictures", lambda: all(src(n) for n in ("source", "generated", "recovered", "truth")), 60)
    pose = page.locator(".xp-strip").nth(1).locator("button").nth(2)
    pose.click()
    wait_until("another pose", lambda: "xp-here" in pose.get_attribute("class"), 60)
    first = {n: src(n) for n in ("source", "generated", "truth")}
    spot, at = joint(page, 32, 64, "grab", 33)
    page.mouse.move(*at(*spot)); page.mouse.down(); seen = []
    for k in range(1, 9):
        page.mouse.move(*at(spot[0]+k*.6*(-1 if spot[0] < 16 else 1), spot[1]-k)); page.wait_for_timeout(400); seen.append(src("generated"))
    page.wait_for_timeout(1500); shot(page.locator(".xp-root"), "explore")
    page.mouse.up()
    assert len(set(seen)) >= 3, f"the picture did not follow the joint: {len(set(seen))} pictures on the way"
    assert src("generated") != first["generated"] and src("truth") != first["truth"] and src("source") == first["source"]
    page.locator(".xp-b", has_text="undo").click()
    wait_until("undone", lambda: src("generated") == first["generated"], 60)
    page.locator(".xp-fraction").evaluate("e => { e.value = .5; e.dispatchEvent(new Event('input')); }")
    wait_until("slid", lambda: src("generated") != first["generated"])
    page.locator(".xp-strip").first.locator("button").nth(2).click()
    wait_until("another person", lambda: src("source") != first["source"])
    return f"{len(set(seen))} different pictures while a joint was dragged; undo, slide and pick follow"


def joint(page, w, h, cursor, low):
    "The first pixel of the picture, from row `low` down and from the right, where the pointer finds a joint; and where pixels are on the screen."
    b = page.locator(".xp-stage > img").bounding_box()
    at = lambda x, y: (b["x"]+(x+.5)*b["width"]/w, b["y"]+(y+.5)*b["height"]/h)
    for y in range(low, h-4):
        for x in range(w-4, 4, -max(1, w//32)):
            page.mouse.move(*at(x, y))
            if page.locator(".xp-stage canvas").last.evaluate("e => e.style.cursor") == cursor: return (x, y), at
    raise AssertionError("no joint can be taken")


def ranks(page, shot):
    "Move the query slider: another ranking."
    figure = page.locator(".jp-OutputArea-output img").first
    figure.wait_for(timeout=6*MIN)
    before = figure.get_attribute("src")
    track = page.locator(".noUi-base").first.bounding_box()              # by mouse: Notebook 7 keeps the arrow keys for itself
    page.mouse.click(track["x"]+.6*track["width"], track["y"]+track["height"]/2)
    wait_until("another ranking", lambda: page.locator(".jp-OutputArea-output img").first.get_attribute("src") != before, 60)
    shot(page.locator(".jp-CodeCell .jp-OutputArea").first, "ranks")
    return "another query, another ranking"


def poses(page, shot):
    "Turn pages, filter, choose joints, seen and unseen; what is wrong is said."
    root = page.locator(".xq-root")
    root.wait_for(timeout=6*MIN); root.scroll_into_view_if_needed()
    text, picture = lambda c: root.locator(c).first.inner_text(), lambda name: root.locator(f".xq-tiles img[alt='{name}']").get_attribute("src")
    wait_until("the picture", lambda: page.evaluate("document.querySelector('.xp-stage img').naturalWidth") == 64)
    total, seen = int(text(".xp-bar .xq-dim")[1:]), []
    for k in range(8):
        page.wait_for_timeout(200); seen.append(picture("image"))
        root.locator(".xp-b", has_text="›").click(); wait_until("the next image", lambda: root.locator(".xq-jump").input_value() == str(k+2))
    root.focus(); page.keyboard.press("ArrowLeft"); wait_until("one back", lambda: picture("image") == seen[-1])
    assert len(set(seen)) == 8 and page.locator(".jp-Cell").count() == 1
    for n in range(1, total+1):  # an image with an unseen joint
        root.locator(".xq-jump").fill(str(n)); root.locator(".xq-jump").press("Enter")
        page.wait_for_timeout(400)
        if root.locator("tr.xq-unseen").count(): break
    assert "unseen" in text("tr.xq-unseen td:nth-child(2)") and "unseen" in text(".xq-words"), "an unseen joint must be called so"
    root.locator("tr.xq-unseen").first.click()
    wait_until("said of the map", lambda: "unseen, so its map is empty" in text(".xq-right .xq-dim"))
    assert picture("heatmaps") == picture("image"), "the map of an unseen joint must be empty"
    root.locator("tr.xq-unseen").first.click(); wait_until("let go", lambda: "whole body" in text(".xq-right .xq-dim"))
    all_of_them = picture("heatmaps")
    spot, at = joint(page, 64, 128, "pointer", 40)
    page.mouse.click(*at(*spot))
    wait_until("a joint chosen in the picture", lambda: picture("heatmaps") not in (all_of_them, picture("image")) and root.locator("tr.xp-here").count() == 1)
    assert "%" in root.locator("tr.xp-here td").last.inner_text() or "–" in root.locator("tr.xp-here td").last.inner_text()
    page.mouse.move(2, 2); page.wait_for_timeout(300); shot(root, "poses")
    drawn = lambda i: page.evaluate("i => { const c = document.querySelectorAll('.xp-stage canvas')[i]; return c.getContext('2d').getImageData(0, 0, c.width, c.height).data.some(v => v); }", i)
    for i, box in ((1, 0), (0, 1)):
        assert drawn(i), "a skeleton is missing"
        root.locator(".xq-tick input").nth(box).uncheck(); assert not drawn(i), "a hidden skeleton is still there"
        root.locator(".xq-tick input").nth(box).check(); assert drawn(i)
    for name in ("parts", "estimated", "heatmaps"):
        root.locator(".xq-tiles button", has_text=name).click()
        assert page.locator(".xp-stage > img").get_attribute("src") == picture(name)
    shot(root, "poses_heatmaps")
    root.locator("select").select_option(label="ir only"); wait_until("infrared only", lambda: int(text(".xp-bar .xq-dim")[1:]) < total and ", ir" in text(".xq-words"))
    root.locator(".xq-jump").fill("999"); root.locator(".xq-jump").press("Enter")
    wait_until("a wrong number is refused", lambda: "no such image" in text(".xm-note") and "xm-bad" in root.locator(".xm-note").get_attribute("class"))
    return f"{total} images; pages, filter, joints chosen, an unseen one named, skeletons hidden and shown"


def losses(page, shot):
    "A training that redraws one place: the last epoch is shown, the outputs do not grow."
    title = page.locator(".jp-OutputArea-output p b").first
    title.wait_for(timeout=6*MIN)
    counts, heights, epochs = set(), [], set()
    def over():
        said = title.inner_text()
        if said not in epochs: heights.append(page.locator(".jp-OutputArea").first.bounding_box()["height"])
        epochs.add(said); counts.add(page.locator(".jp-OutputArea-output").count())
        return said == f"epoch {EPOCHS} of {EPOCHS}"
    wait_until("the last epoch", over, 300)
    page.wait_for_timeout(1000)
    images = page.locator(".jp-OutputArea-output img")
    assert counts == {1} and images.count() == 4, (counts, images.count())
    assert all(images.nth(i).evaluate("e => e.naturalWidth") > 100 for i in range(4))
    shot(page.locator(".jp-OutputArea").first, "losses")
    return f"{len(epochs)} epochs seen in one output of {images.count()} pictures, {max(heights)-min(heights):.0f} pixels of growth"


def style(page, shot):
    "Both images with their circles, and the bars."
    figure = page.locator(".jp-OutputArea-output img").first
    figure.wait_for(timeout=6*MIN)
    wait_until("the picture", lambda: figure.evaluate("e => e.naturalWidth") > 300)
    shot(figure, "style")
    return "the shares of the joints are drawn"


BOOKS = dict(translation=(TRANSLATION, translation), ranks=(RANKS, ranks), poses=(POSES, poses), losses=(LOSSES.replace("EPOCHS", str(EPOCHS)), losses), style=(STYLE, style))


def main():
    ap = parser(__doc__)
    ap.add_argument("only", nargs="*", metavar="explorer", help=f"of {', '.join(BOOKS)}; all when none is named")
    ap.add_argument("--front", choices=FRONTS, default="lab", help="JupyterLab or Notebook 7")
    args = ap.parse_args()
    if set(args.only)-set(BOOKS): ap.error(f"there is {', '.join(BOOKS)}")
    with temporary_folder() as d, chromium(args) as (browser, shot):
        subprocess.run([sys.executable, "-W", "ignore", "-c", PREPARE], cwd=d, check=True)
        with jupyter(d, args.front) as address:
            def opened(name, code):
                "The page of a new notebook whose cell runs, and the errors it will have seen."
                write_notebook(d/f"{name}.ipynb", code)
                page, faults = browser.new_page(viewport=dict(width=1180, height=900)), []
                page.on("pageerror", lambda e: faults.append(str(e)))
                run_first_cell(page, address(f"{name}.ipynb"))
                return page, faults
            page, its_own = opened("plain", "print('nothing of ours')")      # what the front says without us is not our fault
            page.get_by_text("nothing of ours", exact=True).last.wait_for(timeout=MIN)
            page.close()
            for name in args.only or BOOKS:
                code, check = BOOKS[name]
                page, faults = opened(name, code)
                try:
                    print(f"{name}: {check(page, shot)}", flush=True)
                    assert not page.locator(".jp-OutputArea-output[data-mime-type*=error]").count(), "the cell ends in an error"
                    assert set(faults) <= set(its_own), faults
                except BaseException:
                    shot(page, f"{name}_failed")
                    raise
                page.close()
    print("all well")


if __name__ == "__main__": main()
