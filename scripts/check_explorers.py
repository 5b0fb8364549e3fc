"""Drive the explorers in JupyterLab: a joint dragged must change the generated image, a query picked must change the ranking.

    python scripts/check_explorers.py                   both
    python scripts/check_explorers.py --shots pictures  keep screenshots in this folder
    python scripts/check_explorers.py --iters 450       train the translator longer than the twenty batches of the check

Needs Playwright (`pip install playwright`), a Chromium (`--chromium PATH`, or found by name) and jupyterlab. Not part of `make test`.
"""
import argparse, json, secrets, subprocess, sys, tempfile, os
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
from check_annotator import FLAGS, MIN, answer, free_port, need, port_open, stop, until

PREPARE = """
from pathlib import Path
from xmodreid.data.index import poses_of
from xmodreid.data.synth import SynthConfig,load_synth,write_synth
from xmodreid.data.sysu import sysu
from xmodreid.exp.run import GanRun,fit_gan
root = Path('people')
write_synth(root, SynthConfig(n_train=24, n_val=2, n_test=8, per_cam=1), progress=False)
df = sysu(root); poses = poses_of(df, root/'keypoints.npz'); train = (df.split=='train').to_numpy()
fit_gan('gan', df[train], poses[train][...,[0,1,3]], run=GanRun(width=16, epochs=2, iters=ITERS//2, bs=4), show=False)
"""
TRANSLATION = """
from pathlib import Path
from xmodreid.data.index import poses_of
from xmodreid.data.synth import load_synth
from xmodreid.data.sysu import sysu
from xmodreid.exp.run import load_gan_run
from xmodreid.gan.metrics import sample_translation
from xmodreid.viz.explore import explore_translation,synth_truth
root = Path('people')
df,world = sysu(root),load_synth(root)
poses = poses_of(df, root/'keypoints.npz')
test = (df.split=='test').to_numpy()
df,poses = df[test].reset_index(drop=True),poses[test]
s = sample_translation(df, poses, n=8, grey=True, world=world)
explore_translation(s, load_gan_run('gan'), synth_truth(s, world, df, poses))
"""
RANKS = """
import numpy as np
from xmodreid.data.sysu import sysu
from xmodreid.reid.protocols import sysu_protocol
from xmodreid.viz.ranks import explore_ranks
df = sysu('people')
rng = np.random.default_rng(0)
emb = rng.normal(size=(df.pid.max()+1,16))[df.pid]+rng.normal(size=(len(df),16))
explore_ranks(df, emb.astype('float32'), sysu_protocol(trials=2), k=5)
"""


def book(code): return json.dumps(dict(nbformat=4, nbformat_minor=5, metadata=dict(kernelspec=dict(name="python3", display_name="Python 3", language="python")),
                                       cells=[dict(cell_type="code", id="a", metadata={}, execution_count=None, outputs=[], source=code.strip())]))


def opened(browser, base, token, name):
    "A notebook of one cell, run."
    page = browser.new_page(viewport=dict(width=1180, height=900))
    page.goto(f"{base}/lab/tree/{name}?token={token}&reset", timeout=3*MIN)
    page.locator(".jp-CodeCell").first.wait_for(timeout=3*MIN)
    until("the kernel is idle", lambda: page.locator(".jp-Notebook-ExecutionIndicator[data-status=idle]").count() > 0, 180)
    for _ in range(10):
        page.locator(".jp-CodeCell .cm-content").first.click(timeout=3*MIN)
        page.keyboard.press("Control+Enter"); page.wait_for_timeout(3000)
        if page.locator(".jp-CodeCell .jp-InputArea-prompt").first.inner_text().strip() != "[ ]:": return page
    raise AssertionError("the cell does not run")


def translation(page, shot):
    "Drag, slide, undo, pick: the picture must follow, and only where it should."
    page.locator(".xp-root").wait_for(timeout=6*MIN)
    page.add_style_tag(content=".Toastify{display:none}")  # JupyterLab asks about its news
    page.locator(".xp-root").scroll_into_view_if_needed()
    src = lambda name: page.locator(f".xp-row img[alt='{name}']").get_attribute("src")
    until("the pictures", lambda: all(src(n) for n in ("source", "generated", "recovered", "truth")), 60)
    page.locator(".xp-strip").nth(1).locator("button").nth(1).click()
    page.wait_for_timeout(1500)
    first = {n: src(n) for n in ("source", "generated", "truth")}
    # the joints, from the skeleton that is drawn: where the widget says they are
    joints = page.evaluate("""() => { const b = document.querySelector('.xp-stage canvas').getBoundingClientRect(), i = document.querySelector('.xp-stage > img').getBoundingClientRect(); return [i.x, i.y, i.width, i.height]; }""")
    x0, y0, w, h = joints
    at = lambda x, y: (x0+(x+.5)*w/32, y0+(y+.5)*h/64)
    spot = next((s for s in ((x, y) for y in range(20, 60, 1) for x in range(4, 28, 1)) if grabs(page, at(*s))), None)
    assert spot, "no joint can be taken"
    page.mouse.move(*at(*spot)); page.mouse.down(); seen = []
    for k in range(1, 9):
        page.mouse.move(*at(spot[0]+k*.8*(1 if spot[0] < 16 else -1), spot[1]-k)); page.wait_for_timeout(400); seen.append(src("generated"))
    page.wait_for_timeout(1500); shot(page.locator(".xp-root"), "explore")
    page.mouse.up()
    assert len(set(seen)) >= 3, f"the picture did not follow the joint: {len(set(seen))} pictures on the way"
    assert src("generated") != first["generated"] and src("truth") != first["truth"] and src("source") == first["source"]
    page.locator(".xp-b", has_text="undo").click()
    until("undone", lambda: src("generated") == first["generated"])
    page.locator(".xp-share").evaluate("e => { e.value = .5; e.dispatchEvent(new Event('input')); }")
    until("slid", lambda: src("generated") != first["generated"])
    page.locator(".xp-strip").first.locator("button").nth(2).click()
    until("another person", lambda: src("source") != first["source"])
    print(f"translation: {len(set(seen))} different pictures while a joint was dragged; undo, slide and pick follow")


def grabs(page, at):
    page.mouse.move(*at)
    return page.evaluate("document.querySelector('.xp-stage canvas').style.cursor") == "grab"


def ranks(page, shot):
    "Move the query slider: another ranking."
    figure = page.locator(".jp-OutputArea-output img").first
    figure.wait_for(timeout=6*MIN)
    before = figure.get_attribute("src")
    page.locator(".widget-slider .noUi-handle, .jupyter-widgets .noUi-handle").first.click()
    page.keyboard.press("ArrowRight")
    until("another ranking", lambda: page.locator(".jp-OutputArea-output img").first.get_attribute("src") != before, 60)
    shot(page.locator(".jp-CodeCell .jp-OutputArea").first, "ranks")
    print("ranks: another query, another ranking")


def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("--shots", type=Path, help="folder for screenshots")
    ap.add_argument("--chromium", help="a Chromium or Chrome to drive")
    ap.add_argument("--iters", type=int, default=20, help="batches the translator is trained for")
    args = ap.parse_args()
    sync_playwright, path = need(args.chromium)
    def shot(what, name):
        if args.shots:
            args.shots.mkdir(parents=True, exist_ok=True)
            what.screenshot(path=args.shots/f"{name}.png")
    with tempfile.TemporaryDirectory() as d, sync_playwright() as p:
        d = Path(d)
        subprocess.run([sys.executable, "-W", "ignore", "-c", PREPARE.replace("ITERS", str(args.iters))], cwd=d, check=True)
        (d/"translation.ipynb").write_text(book(TRANSLATION)); (d/"ranks.ipynb").write_text(book(RANKS))
        port, token = free_port(), secrets.token_hex(8)
        lab = subprocess.Popen([sys.executable, "-m", "jupyterlab", "--no-browser", f"--port={port}", f"--IdentityProvider.token={token}", f"--ServerApp.root_dir={d}", "--allow-root", "--LabApp.news_url="],
                               stdout=open(d/"lab.log", "w"), stderr=subprocess.STDOUT, start_new_session=True, env={**os.environ, "JUPYTERLAB_WORKSPACES_DIR": str(d/"workspaces")})
        browser = p.chromium.launch(executable_path=path, args=FLAGS)
        try:
            base = f"http://127.0.0.1:{port}"
            until("JupyterLab is up", lambda: port_open(port) and answer(f"{base}/api?token={token}")[0] == 200, 180)
            for name, check in (("translation", translation), ("ranks", ranks)):
                page = opened(browser, base, token, f"{name}.ipynb")
                try: check(page, shot)
                except BaseException:
                    shot(page, f"{name}_failed")
                    raise
                page.close()
        finally:
            browser.close()
            stop(lab)
    print("all well")


if __name__ == "__main__": main()
