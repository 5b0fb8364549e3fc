"""Kill a training and a translation ten times each at random moments, resume, and compare with an uninterrupted run.

    python scripts/check_resume.py              ten kills of each
    python scripts/check_resume.py --kills 3 --seed 1

The kills are SIGKILL. Every run is a process of its own, forked from this one, which has everything imported. After
each kill, every file under a final name must be readable: checkpoints, images and tables. At the end the training must
have the same bits (weights, averages, optimizers, image pools, random states, curves), and the translation the same
bytes in every file.
"""
import argparse
import os
import random
import signal
import sys
import tempfile
import time
import warnings
from pathlib import Path

warnings.filterwarnings("ignore")
import cv2
import numpy as np
import torch
from fastai.callback.core import Callback
from fastai.data.core import DataLoaders
from fastai.data.load import DataLoader

from xmodreid.training.checkpoint import fit_resumable
from xmodreid.files import load_state
from xmodreid.random import seed_all
from xmodreid.data.keypoints import lookup_keypoints
from xmodreid.synth.dataset import write_synth
from xmodreid.synth.world import SynthConfig
from xmodreid.data.sysu import read_sysu
from xmodreid.gan.training import ClipGradients
from xmodreid.gan.learner import pose_cyclegan, pose_cyclegan_learner
from xmodreid.gan.translate import translate

EPOCHS = 12
PAUSE = .1  # seconds per batch; they make a run longer, so that kills fall into every part of it


class SlowDown(Callback):
    "Wait a little after each batch."
    def after_batch(self): time.sleep(PAUSE)


def train(folder):
    "A tiny training with everything that has a state: full image pools, flipped labels, R1, clipping, averages."
    torch.set_num_threads(1)
    seed_all(0)
    g, n = torch.Generator().manual_seed(0), 8
    def random_keypoints():
        xy = torch.rand(n, 18, 2, generator=g)*torch.tensor([12., 28.])+2
        return torch.cat([xy, torch.ones(n, 18, 1)], -1)
    def random_images(): return torch.rand(n, 3, 32, 16, generator=g)*2-1
    items = list(zip(random_images(), random_keypoints(), random_images(), random_keypoints()))
    dls = DataLoaders(*(DataLoader(items, bs=2) for _ in range(2)))
    dls.n_inp = 4
    d_step = dict(pool_size=3, label_flip_prob=.3, real_label=.9, r1=1., r1_every=3)
    cbs = [ClipGradients(1.), SlowDown()]
    learn = pose_cyclegan_learner(dls, width=4, d_width=4, blocks=1, d_layers=2, d_step=d_step, cbs=cbs)
    with learn.no_bar(), learn.no_logging(): fit_resumable(learn, EPOCHS, folder)


def make_translation(people):
    "A function that translates the images into a folder, slowly."
    index = read_sysu(people)
    keypoints = lookup_keypoints(index, Path(people)/"keypoints.npz")
    gan = pose_cyclegan(width=4, d_width=4, blocks=1).eval().requires_grad_(False)
    def run(folder):
        torch.set_num_threads(1)
        def slow_generator(net):
            def delayed(*args):
                time.sleep(PAUSE)
                return net(*args)
            return delayed
        generators = (slow_generator(gan.to_ir), slow_generator(gan.to_rgb))
        translate(index, keypoints, generators, folder, batch_size=2, progress=False)
    return run


def check_files(folder):
    "Read every file that has a final name."
    for p in Path(folder).rglob("*"):
        if not p.is_file() or p.name.startswith("."): continue
        if p.suffix == ".safetensors": load_state(p)
        if p.suffix in (".jpg", ".png"): assert cv2.imread(str(p)) is not None, p


def differences(a, b, path=""):
    "Where two trees differ."
    if isinstance(a, dict):
        if set(a) != set(b): yield f"{path} keys"
        for k in set(a) & set(b): yield from differences(a[k], b[k], f"{path}/{k}")
    elif isinstance(a, (list, tuple)):
        if len(a) != len(b): yield f"{path} length"
        for i, (x, y) in enumerate(zip(a, b)): yield from differences(x, y, f"{path}/{i}")
    elif isinstance(a, torch.Tensor):
        if not torch.equal(a, b): yield path
    elif isinstance(a, float):
        if not (a == b or a != a and b != b): yield path  # NaN: a loss without a weight
    elif not np.array_equal(a, b, equal_nan=np.asarray(a).dtype.kind == "f"):  # NaN: a loss without a value yet
        yield path


def progress_count(folder):
    "Epochs of a training, or images of a translation."
    last = Path(folder)/"last.safetensors"
    if last.exists(): return load_state(last)["epoch"]
    return sum(not p.name.startswith(".") for p in Path(folder).rglob("*.jpg"))


def start_process(work, folder):
    "Run `work` in a process of its own; its id."
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            work(folder)
            code = 0
        finally: os._exit(code)
    return pid


def wait_exit(pid, seconds):
    "Wait for a process; its exit code, or `None` while it still runs."
    until = time.monotonic()+seconds
    while time.monotonic() < until:
        ended, status = os.waitpid(pid, os.WNOHANG)
        if ended: return os.waitstatus_to_exitcode(status)
        time.sleep(.005)
    return None


def kill_repeatedly(what, work, folder, kills, seconds, rng):
    "Kill `work`, which takes `seconds`, several times, then let it end; after a kill without progress, wait longer."
    progress = [0]
    scale = 1.
    for i in range(kills):
        pid = start_process(work, folder)
        code = wait_exit(pid, rng.uniform(.3, 1.3)*scale*seconds/kills)
        if code is not None: sys.exit(f"{what}: ended with {code} before kill {i+1}; make the work longer")
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        check_files(folder)
        progress.append(progress_count(folder))
        if progress[-1] == progress[-2]: scale += .3
    print(f"{what}: reached {progress[1:]} at the {kills} kills", flush=True)
    code = wait_exit(start_process(work, folder), 600)
    if code != 0: sys.exit(f"{what}: the last run ended with {code}")


def read_files(folder):
    "Relative path -> content of every file."
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def compare_trainings(folder):
    "The last checkpoints of the uninterrupted and the resumed training must be equal."
    whole, resumed = (load_state(folder/f"training-{k}"/"last.safetensors") for k in ("whole", "killed"))
    found = list(differences(whole, resumed))
    assert whole["epoch"] == EPOCHS and not found, f"the trainings differ: {found[:5]}"
    assert list(differences(whole, dict(resumed, epoch=0))), "the comparison must be able to fail"


def compare_translations(folder):
    "All files of the uninterrupted and the resumed translation must be equal; their number."
    whole, resumed = (read_files(folder/f"translation-{k}") for k in ("whole", "killed"))
    different = sorted(k for k in {*whole, *resumed} if whole.get(k) != resumed.get(k))
    assert not different, f"the translations differ: {different}"
    return len(whole)


def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("--kills", type=int, default=10, help="how often each is killed")
    ap.add_argument("--seed", type=int, default=0, help="of the moments")
    args = ap.parse_args()
    torch.set_num_threads(1)
    rng = random.Random(args.seed)
    with tempfile.TemporaryDirectory() as d:
        d = Path(d)
        people = write_synth(d/"people", SynthConfig(n_train=4, n_val=0, n_test=2, per_cam=2), progress=False)
        for what, work in (("training", train), ("translation", make_translation(people))):
            began = time.monotonic()
            code = wait_exit(start_process(work, d/f"{what}-whole"), 600)
            if code != 0: sys.exit(f"{what}: the uninterrupted run ended with {code}")
            kill_repeatedly(what, work, d/f"{what}-killed", args.kills, time.monotonic()-began, rng)
        compare_trainings(d)
        n_files = compare_translations(d)
        print(f"training: {args.kills} kills, the same bits; "
              f"translation: {args.kills} kills, {n_files} files, the same bytes")


if __name__ == "__main__": main()
