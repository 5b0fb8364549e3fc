"""Measure how fast the Re-ID loader makes batches at 256x128, and how long a GPU waits for it.

    python scripts/bench_loader.py              images per second of the loader alone -> results/loader.csv
    python scripts/bench_loader.py --gpu        also train on a GPU -> results/loader_gpu.csv

Images are decoded at each use, as for a set that does not fit into memory; one row has them in memory. Every process
computes with one thread. The best of several rounds counts, because other work on the machine only slows a round.
"""
import argparse
import tempfile
import time
import warnings
from pathlib import Path

import pandas as pd
import psutil
import torch

from xmodreid.data.loaders import LoaderOptions
from xmodreid.data.reid_loaders import reid_dls
from xmodreid.data.sysu import read_sysu
from xmodreid.files import write_csv
from xmodreid.synth.dataset import write_synth
from xmodreid.synth.world import SynthConfig

RESULTS = Path(__file__).resolve().parent.parent/"results"
SIZE = (256, 128)
CASES = [dict(cache="memory", num_workers=0), *(dict(cache="none", num_workers=n) for n in (0, 1, 2))]
GPU_CASES = [dict(cache="memory", num_workers=0), *(dict(cache="none", num_workers=n) for n in (0, 2, 4, 8, 12))]


def make_dls(index, p, k, n_iters, device="cpu", **kwargs):
    "Loaders with the augmentation of RGB-infrared training."
    options = LoaderOptions(device=device, prefetch_factor=4, **kwargs)
    return reid_dls(index, SIZE, p, k, augment="rgb2", n_iters=n_iters, options=options)


def cpu_seconds():
    "Processor time so far, of this process and of its workers."
    me = psutil.Process()
    own, workers = ([p.cpu_times() for p in ps] for ps in ([me], me.children(recursive=True)))
    return tuple(sum(t.user+t.system for t in times) for times in (own, workers))


def speed(dl, rounds):
    "Images per second and milliseconds of processor time per image of the best round; the first starts the workers."
    best = dict(images_per_s=0)
    for i in range(rounds+1):
        n, began, cpu = 0, time.perf_counter(), cpu_seconds()
        for b in dl: n += len(b[0])
        rate = round(n/(time.perf_counter()-began))
        own, workers = (round(1e3*(after-before)/n, 2) for after, before in zip(cpu_seconds(), cpu))
        if i and rate > best["images_per_s"]: best = dict(images_per_s=rate, own_ms=own, worker_ms=workers)
    return best


def measure_loader(index, rounds, n_iters):
    "One row per case: the loader alone, on the CPU."
    rows = []
    for case in CASES:
        dl = make_dls(index, 8, 2, n_iters, threads=1, **case).train
        rows.append(case | speed(dl, rounds))
        dl.stop_workers()
        print(rows[-1], flush=True)
    return pd.DataFrame(rows)


def measure_gpu(index, n_iters):
    "One row per case: the share of the time that a GPU waits, with ResNet-50 in half precision, 128 images a batch."
    from xmodreid.experiments.benchmarks import training_speed
    from xmodreid.reid.learner import reid_learner
    rows = []
    for case in GPU_CASES:
        dls = make_dls(index, 8, 8, n_iters, "cuda", **case)
        learn = reid_learner(dls, "resnet50_agw").to_bf16()
        learn.model.cuda()
        rows.append(case | training_speed(learn, n_warmup=10))
        dls.train.stop_workers()
        print(rows[-1], flush=True)
    return pd.DataFrame(rows)


def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("--gpu", action="store_true", help="also train on a GPU")
    ap.add_argument("--rounds", type=int, default=4, help="rounds of each case; the best counts")
    ap.add_argument("--batches", type=int, default=40, help="batches per round")
    ap.add_argument("--out-dir", type=Path, default=RESULTS, help="folder of the tables")
    args = ap.parse_args()
    torch.set_num_threads(1)
    warnings.filterwarnings("ignore", category=FutureWarning)
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as d:
        index = read_sysu(write_synth(Path(d)/"synth", SynthConfig(n_train=16, n_val=0, n_test=1, per_cam=2, size=SIZE),
                                      progress=False))
        index = index[index.split == "train"].reset_index(drop=True)
        print(f"{len(index)} images of {SIZE}", flush=True)
        write_csv(args.out_dir/"loader.csv", measure_loader(index, args.rounds, args.batches))
        if args.gpu: write_csv(args.out_dir/"loader_gpu.csv", measure_gpu(index, 60))


if __name__ == "__main__": main()
