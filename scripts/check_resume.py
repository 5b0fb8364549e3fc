"""Kill and starve everything that writes files, call it again, and compare with an uninterrupted run.

    python scripts/check_resume.py                          50 kills in all, and a full disk at every write
    python scripts/check_resume.py --kills 7 --seed 1       one kill of each
    python scripts/check_resume.py --only annotation        one kind of work, with its share of the kills
    python scripts/check_resume.py --no-disk                only the kills

The work: training of a GAN, of a Re-ID model (extended by more epochs), without labels, of a pose network (extended,
too), a translation, a gallery index, and annotation by hand. Every run is a process of its own, forked from this one,
which has everything imported.

Kills are SIGKILL at random moments. After each one, every file under a final name must be readable, and no progress may
be lost. At the end, the files must be those of an uninterrupted run: the same bits in every checkpoint and network
(weights, averages, optimizers, image pools, random states, curves), the same bytes in every other file.

A full disk is a limit on the size of a file (`RLIMIT_FSIZE`) that begins with the k-th write of a process and stays.
The process must end with an error of this package that names the disk, and leave no temporary file. What was written
before must be readable. The next process does the write that failed, and fails at the next one, up to the end: the
files must then be those of an uninterrupted run.
"""
import argparse
import itertools
import multiprocessing
import os
import random
import resource
import shutil
import signal
import sys
import tempfile
import time
import warnings
from collections import Counter
from contextlib import contextmanager
from pathlib import Path

warnings.filterwarnings("ignore")
import cv2
import numpy as np
import pandas as pd
import torch
from fastai.callback.core import Callback
from fastai.data.core import DataLoaders
from fastai.data.load import DataLoader
from fastai.torch_core import defaults

from xmodreid import files
from xmodreid.annotate.state import AnnotationSession
from xmodreid.data.keypoints import lookup_keypoints, read_keypoints
from xmodreid.data.sysu import read_sysu
from xmodreid.errors import XModError
from xmodreid.files import load_state, read_json, remove_stale_temp_files
from xmodreid.gan.learner import pose_cyclegan, pose_cyclegan_learner
from xmodreid.gan.training import ClipGradients
from xmodreid.gan.translate import translate
from xmodreid.random import fixed_seed, seed_all
from xmodreid.reid.cluster_training import ClusterMemoryLoss, PseudoLabels
from xmodreid.reid.learner import reid_learner
from xmodreid.reid.models import reid_model, save_reid
from xmodreid.reid.pseudo_loaders import pseudo_label_dls
from xmodreid.run.train import PoseConfig, ReIDConfig, train_pose, train_reid
from xmodreid.search.base import ReIDEmbedder
from xmodreid.search.index import build_gallery
from xmodreid.search.storage import load_gallery
from xmodreid.synth.dataset import load_synth_data, write_synth
from xmodreid.synth.world import SynthConfig
from xmodreid.training.checkpoint import fit_resumable

PAUSE = .1       # seconds per batch; they make a run longer, so that kills fall into every part of it
SIZE = (64, 32)
acknowledged = multiprocessing.Value("i", 0)  # joints whose placing has returned, in the annotating process


class SlowDown(Callback):
    "Wait a little after each batch."
    def after_batch(self): time.sleep(PAUSE)


def train_gan(folder):
    "A tiny training with everything that has a state: full image pools, flipped labels, R1, clipping, averages."
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
    learn = pose_cyclegan_learner(dls, width=4, d_width=4, blocks=1, d_layers=2, d_step=d_step, cbs=ClipGradients(1.))
    with learn.no_bar(), learn.no_logging(): fit_resumable(learn, 12, folder)


def train_extended(train, folder, config, more):
    "Train, then extend; a folder whose extension has begun is extended only."
    written = Path(folder)/"config.json"
    if not written.exists() or read_json(written)["epochs"] == config.epochs: train(folder, config)
    train(folder, more)


def make_works(people):
    "Name -> function of a folder that works there, slowly where `PAUSE` is not 0, and resumes what it finds."
    data = load_synth_data(people).select(split="train")
    index = data.index.reset_index(drop=True)
    table = read_sysu(people)
    keypoints = lookup_keypoints(table, Path(people)/"keypoints.npz")
    gan = pose_cyclegan(width=4, d_width=4, blocks=1).eval().requires_grad_(False)
    reid_file = Path(people).parent/"reid.safetensors"
    with fixed_seed(0): save_reid(reid_model("resnet10_small", 0, width=.25), reid_file, size=list(SIZE))

    def train_pose_twice(folder):
        def train(folder, config): train_pose(folder, data, config, progress=False)
        train_extended(train, folder, *(PoseConfig(width=8, epochs=n, batch_size=8) for n in (5, 9)))

    def train_reid_twice(folder):
        def train(folder, config): train_reid(folder, index, config, progress=False)
        train_extended(train, folder, *(ReIDConfig(epochs=n, iters=4, p=4) for n in (5, 9)))

    def train_without_labels(folder):
        seed_all(0)
        dls = pseudo_label_dls(index, SIZE, p=4, k=2, n_iters=4, augment="rgb1")
        with fixed_seed(0): model = reid_model("resnet10_small", 0, width=.25, stem_stride=4)
        labels = PseudoLabels("kmeans", every=2, k=6)
        learn = reid_learner(dls, model, [ClusterMemoryLoss(by_camera=True)], lr=2e-3, cbs=[labels])
        with learn.no_bar(), learn.no_logging(): fit_resumable(learn, 9, folder, fit=learn.fit_reid)

    def translate_all(folder):
        def slow_generator(net):
            def delayed(*args):
                time.sleep(PAUSE)
                return net(*args)
            return delayed
        generators = (slow_generator(gan.to_ir), slow_generator(gan.to_rgb))
        translate(table, keypoints, generators, folder, batch_size=2, progress=False)

    def index_all(folder):
        embed = ReIDEmbedder.__call__
        def slow_embed(self, rows):
            time.sleep(PAUSE)
            return embed(self, rows)
        ReIDEmbedder.__call__ = slow_embed  # in this process only
        build_gallery(table, reid_file, folder, chunk_size=2)

    def annotate(folder):
        session = AnnotationSession([Path(p) for p in table.path[:2]], Path(folder)/"annotations.npz")
        rng = random.Random(0)
        places = {(i, j): (rng.uniform(0, SIZE[1]-1), rng.uniform(0, SIZE[0]-1)) for i in range(2) for j in range(18)}
        while session.joint is not None:
            session.place(*places[session.position, session.joint])
            with acknowledged.get_lock(): acknowledged.value += 1
            if session.joint is None: session.step()
            time.sleep(PAUSE)

    return {
        "GAN training": train_gan, "Re-ID training": train_reid_twice, "unsupervised training": train_without_labels,
        "pose training": train_pose_twice, "translation": translate_all, "index": index_all, "annotation": annotate,
    }


def progress_count(folder):
    "Epochs of a training, images of an index or a translation, joints of an annotation."
    folder = Path(folder)
    if (folder/"last.safetensors").exists(): return load_state(folder/"last.safetensors")["epoch"]
    if (folder/"manifest.json").exists(): return len(load_gallery(folder).images())
    if (folder/"annotations.npz").exists():
        with np.load(folder/"annotations.npz") as f: return int((f["flags"] > 0).sum())
    return sum(not p.name.startswith(".") for p in folder.rglob("*.jpg"))


def check_files(folder):
    "Read every file that has a final name."
    for p in Path(folder).rglob("*"):
        if not p.is_file() or p.name.startswith("."): continue
        if p.suffix == ".safetensors": load_state(p)
        if p.suffix in (".jpg", ".png"): assert cv2.imread(str(p)) is not None, p
        if p.suffix == ".json": read_json(p)
        if p.suffix == ".csv": assert len(pd.read_csv(p)), p
        if p.suffix == ".npz": assert read_keypoints(p), p
        if p.suffix == ".npy": assert len(np.load(p, allow_pickle=False)), p


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


def folder_differences(whole, resumed):
    "Where the files of two folders differ: checkpoints and networks by value, others by bytes."
    a, b = ({p.relative_to(d).as_posix(): p for p in d.rglob("*") if p.is_file()} for d in (whole, resumed))
    yield from sorted(set(a) ^ set(b))
    for name in sorted(set(a) & set(b)):
        if a[name].read_bytes() == b[name].read_bytes(): continue
        if a[name].suffix == ".safetensors": yield from differences(load_state(a[name]), load_state(b[name]), name)
        else: yield name


def compare(what, whole, resumed):
    "Exit unless two folders hold the same; the number of their files."
    # an annotator may have a second process, so it does not remove the temporary file of a killed one
    if what == "annotation": remove_stale_temp_files(resumed)
    found = list(folder_differences(whole, resumed))
    if found: sys.exit(f"{what}: {resumed.name} differs from an uninterrupted run: {found[:5]}")
    return sum(p.is_file() for p in whole.rglob("*"))


def set_up_process(pause, fail_at):
    "Slow this process down; from write number `fail_at` on, no file can have more than 8 bytes."
    global PAUSE
    PAUSE = pause
    torch.set_num_threads(1)
    if pause: defaults.callbacks = [*defaults.callbacks, SlowDown]
    writes, original = itertools.count(1), files.atomic_path
    @contextmanager
    def counted(path):
        if next(writes) == fail_at:
            resource.setrlimit(resource.RLIMIT_FSIZE, (8, resource.getrlimit(resource.RLIMIT_FSIZE)[1]))
        with original(path) as p: yield p
    for module in list(sys.modules.values()):
        if getattr(module, "atomic_path", None) is original: module.atomic_path = counted


def start_process(work, folder, pause=PAUSE, fail_at=0):
    "Run `work` in a process of its own; its id, and a pipe with its error."
    reader, writer = os.pipe()
    pid = os.fork()
    if pid: return os.close(writer) or (pid, reader)
    code, text = 1, ""
    try:
        set_up_process(pause, fail_at)
        work(folder)
        code = 0
    except XModError as e: code, text = 2, f"{type(e).__name__}: {e}"
    except BaseException as e: text = f"{type(e).__name__}: {e}"
    finally:
        os.write(writer, text.encode()[:4000])
        os._exit(code)


def wait_exit(pid, seconds):
    "Wait for a process; its exit code, or `None` while it still runs."
    until = time.monotonic()+seconds
    while time.monotonic() < until:
        ended, status = os.waitpid(pid, os.WNOHANG)
        if ended: return os.waitstatus_to_exitcode(status)
        time.sleep(.005)
    return None


def run_process(work, folder, **kwargs):
    "Run `work` to its end; exit code and text."
    pid, reader = start_process(work, folder, **kwargs)
    code = wait_exit(pid, 900)
    with os.fdopen(reader) as f: return code, f.read()


def run_whole(what, work, folder, **kwargs):
    "A run that must end by itself."
    code, text = run_process(work, folder, **kwargs)
    if code != 0: sys.exit(f"{what}: a run to the end ended with {code}: {text}")


def kill_once(what, work, folder, target, delay):
    "Kill a run some seconds after its progress has reached a target; False if it ended before."
    acknowledged.value = 0
    before = progress_count(folder)
    pid, reader = start_process(work, folder)
    code = None
    while code is None and progress_count(folder) < target: code = wait_exit(pid, .05)
    if code is None: code = wait_exit(pid, delay)
    if code is None:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
    with os.fdopen(reader) as f: text = f.read()
    if code: sys.exit(f"{what}: ended with {code}: {text}")
    check_files(folder)
    lost = before+acknowledged.value-progress_count(folder)
    if lost > 0: sys.exit(f"{what}: a kill lost progress: {lost}")
    return code is None


def kill_repeatedly(what, work, whole, folder, kills, seconds, rng):
    "Kill `work`, which takes `seconds`, several times, spread over the whole of it, then let it end."
    total, reached = progress_count(whole), []
    while len(reached) < kills:
        target, delay = total*len(reached)//kills, rng.uniform(0, 1.5)*seconds/total
        if kill_once(what, work, folder, target, delay): reached.append(progress_count(folder))
        else:
            compare(what, whole, folder)  # finished before the kill, which falls into a new run
            shutil.rmtree(folder)
    run_whole(what, work, folder)
    n_files = compare(what, whole, folder)
    print(f"{what}: {kills} kills, at {reached} of {total}; {n_files} files as in an uninterrupted run", flush=True)


def read_files(folder):
    "Relative path -> content of every file."
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def check_full_disk(what, folder, before, code, text):
    "Exit unless a run on a full disk ended with a clear error and left a folder that can be read."
    if code != 2 or "disk" not in text: sys.exit(f"{what}, full disk: ended with {code}: {text}")
    # a lock file stays: removing it could take it from another process
    left = [p.name for p in folder.rglob(".*") if p.suffix != ".lock"] if folder.exists() else []
    if left: sys.exit(f"{what}, full disk: left {left}")
    check_files(folder)
    lost = before+acknowledged.value-progress_count(folder)
    if lost > 0: sys.exit(f"{what}: a full disk lost progress: {lost}")


def fill_disk(what, work, whole, folder):
    """Run `work` again and again until it ends, each time with a disk that is full from the k-th write on.

    k is 1 whenever the files are as they never were before, and grows otherwise: every write fails at least once before
    it succeeds, and files that come and go do not start it anew. The number of runs that failed."""
    k, errors, seen = 1, Counter(), []
    while True:
        acknowledged.value = 0
        before = progress_count(folder)
        seen.append(read_files(folder))
        code, text = run_process(work, folder, pause=0, fail_at=k)
        if code == 0: break
        check_full_disk(what, folder, before, code, text)
        errors[text.split(":")[0]] += 1
        k = k+1 if read_files(folder) in seen else 1
    compare(what, whole, folder)
    print(f"{what}: disk full {errors.total()} times, {dict(errors)}; then as in an uninterrupted run", flush=True)
    return errors.total()


def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("--kills", type=int, default=50, help="how many in all")
    ap.add_argument("--seed", type=int, default=0, help="of the moments")
    ap.add_argument("--only", help="only this kind of work")
    ap.add_argument("--no-disk", action="store_true", help="leave out the full disk")
    args = ap.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as d:
        d = Path(d)
        config = SynthConfig(n_train=6, n_val=0, n_test=2, per_cam=1, train_cams=(1, 3))
        works = make_works(write_synth(d/"people", config, progress=False))
        n_kills = n_full = 0
        for i, (what, work) in enumerate(works.items()):
            if args.only not in (None, what): continue
            kills = len(range(i, args.kills, len(works)))
            whole, other = d/f"{what}-whole", d/f"{what}-other"
            began = time.monotonic()
            run_whole(what, work, whole)
            seconds = time.monotonic()-began
            if not progress_count(whole): sys.exit(f"{what}: made nothing")
            rng = random.Random(f"{args.seed} {what}")
            kill_repeatedly(what, work, whole, other, kills, seconds, rng)
            shutil.rmtree(other)
            n_kills += kills
            if not args.no_disk: n_full += fill_disk(what, work, whole, other)
        check_comparison(d)
        print(f"{n_kills} kills and {n_full} times a full disk: nothing lost, everything resumed bit for bit")


def check_comparison(d):
    "The comparison must be able to fail."
    for whole in d.glob("*-whole"):
        changed = d/"changed"
        shutil.copytree(whole, changed)
        last = changed/"last.safetensors"
        if last.exists(): files.save_state(last, load_state(last) | dict(epoch=0))
        else: next(p for p in changed.rglob("*") if p.is_file()).unlink()
        assert list(folder_differences(whole, changed)), whole
        shutil.rmtree(changed)


if __name__ == "__main__": main()
