"""Measure whether resident memory stays flat: over 500 batches of every training, and over 10,000 images elsewhere.

    python scripts/bench_memory.py [--batches 500] [--images 10000] [--out results/memory.csv] [--cases pose gan ...]

Networks and images are tiny, so that a leak of one image or one graph per batch shows and all cases end in minutes.
Each case runs in a process of its own. The first fifth is the warm-up: caches, pools and optimizers fill there.
The slope `kb_per_unit` is a straight line through all later measurements; results that are kept (keypoints, an index)
are part of it.
"""
import argparse
import multiprocessing
import tempfile
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import psutil
import torch
from fastai.callback.core import Callback
from PIL import Image
from torch import nn

from xmodreid.data.keypoints import PoseDataset
from xmodreid.data.pose_loaders import pose_dls
from xmodreid.data.reid_loaders import reid_dls
from xmodreid.data.translation_loaders import translation_dls
from xmodreid.gan.learner import pose_cyclegan, pose_cyclegan_learner
from xmodreid.gan.translate import translate
from xmodreid.pose.compact import compact_pose
from xmodreid.pose.estimate import PoseEstimator
from xmodreid.pose.estimate_index import estimate_keypoints
from xmodreid.pose.train import pose_learner
from xmodreid.reid.cluster_training import ClusterMemoryLoss, PseudoLabels
from xmodreid.reid.crossmodal import bmil, cross_learner, posed
from xmodreid.reid.crossmodal_loaders import cross_dls
from xmodreid.reid.ecn import ECNConfig, ecn_learner
from xmodreid.reid.exemplars import ecn_dls
from xmodreid.reid.learner import reid_learner
from xmodreid.reid.mmt import MMTConfig, mmt_learner
from xmodreid.reid.models import reid_model, save_reid
from xmodreid.reid.pseudo_loaders import pseudo_label_dls
from xmodreid.search.index import build_gallery
from xmodreid.skeleton import IR, RGB
from xmodreid.testing import noise_people

SIZE = (32, 16)
EPOCH = 50      # batches; clusters are made anew after each
BATCH = 32      # images, where nothing is trained
SMALL = dict(width=.25, stem_stride=4)
CLUSTERS = dict(k1=4, k2=2, eps=.9, min_samples=2, outliers='singletons')
RESULTS = Path(__file__).resolve().parent.parent/"results"


class Meter:
    "Resident memory, MB, at every call of `tick`."
    def __init__(self): self.mb = []

    def tick(self, *args): self.mb.append(psutil.Process().memory_info().rss/1e6)


class MeterCallback(Callback):
    "Measure after each batch of a training."
    order, run_valid = 300, False
    def __init__(self, meter): self.meter = meter
    def after_batch(self): self.meter.tick()


class MeteredGenerator(nn.Module):
    "A generator that is measured at every batch."
    def __init__(self, generator, meter):
        super().__init__()
        self.generator = generator
        self.meter = meter

    def forward(self, image, source, target):
        self.meter.tick()
        return self.generator(image, source, target)


def people(folder, **kwargs):
    "Index and keypoints of noise images."
    return noise_people(folder/"people", n_people=8, n_images=4, size=SIZE, **kwargs)


def many_images(folder, n):
    "Index and keypoints of `n` tiny images of both modalities."
    rng = np.random.default_rng(0)
    (folder/"many").mkdir()
    paths = [folder/"many"/f"{i:06d}.jpg" for i in range(n)]
    for path in paths: Image.fromarray(rng.integers(0, 256, (*SIZE, 3), dtype=np.uint8)).save(path)
    number = np.arange(n)
    index = pd.DataFrame(dict(path=[p.as_posix() for p in paths], pid=number//20, camid=np.where(number % 2, 3, 1),
                              modality=np.where(number % 2, IR, RGB), split='train'))
    keypoints = np.concatenate([rng.uniform(0, 1, (n, 18, 2))*SIZE[::-1], np.ones((n, 18, 1))], 2)
    return index, keypoints.astype(np.float32)


def train_pose(folder):
    data = PoseDataset(*people(folder))
    return pose_learner(pose_dls(data, SIZE, 8, val_pct=0), compact_pose(8), robust=True)


def train_gan(folder):
    dls = translation_dls(PoseDataset(*people(folder)), SIZE, 2, val_pct=0, n_iters=EPOCH)
    return pose_cyclegan_learner(dls, PoseEstimator(compact_pose(8)), width=4, d_width=4, blocks=1, d_layers=2)


def train_reid(folder):
    return reid_learner(reid_dls(people(folder)[0], SIZE, 4, 2, n_iters=EPOCH), 'resnet10_small', **SMALL)


def train_clusters(folder):
    dls = pseudo_label_dls(people(folder)[0], SIZE, 4, 2, n_iters=EPOCH)
    return reid_learner(dls, reid_model('resnet10_small', 0, **SMALL), [ClusterMemoryLoss(by_camera=True)],
                        cbs=[PseudoLabels(**CLUSTERS)])


def train_mmt(folder):
    dls = pseudo_label_dls(people(folder)[0], SIZE, 4, 2, n_iters=EPOCH, views=2)
    return mmt_learner(dls, 'resnet10_small', MMTConfig(n_clusters=8), **SMALL)


def train_ecn(folder):
    dls = ecn_dls(people(folder)[0], None, SIZE, batch_size=8, n_iters=EPOCH)
    return ecn_learner(dls, 'resnet10_small', ECNConfig(), **SMALL)


def train_posed(folder): return train_crossmodal(folder, posed(**CLUSTERS))


def train_bmil(folder): return train_crossmodal(folder, bmil(**CLUSTERS))


def train_crossmodal(folder, callbacks):
    dls = cross_dls(people(folder)[0], SIZE, p=2, k=2, n_iters=EPOCH)
    return cross_learner(dls, 'resnet10_small', callbacks, **SMALL)


def run_translate(folder, n, meter):
    index, keypoints = many_images(folder, n)
    gan = pose_cyclegan('warp', 4, 4)
    pair = dict(rgb2ir=MeteredGenerator(gan.to_ir, meter), ir2rgb=MeteredGenerator(gan.to_rgb, meter))
    translate(index, keypoints, pair, folder/"out", size=SIZE, gray=True, batch_size=BATCH, progress=False)


def run_keypoints(folder, n, meter):
    index, _ = many_images(folder, n)
    net = compact_pose(8)
    net.register_forward_hook(meter.tick)
    estimate_keypoints(index, PoseEstimator(net), SIZE, BATCH, progress=False, cache_dir=folder/"cache")


def run_index(folder, n, meter):
    index, _ = many_images(folder, n)
    save_reid(reid_model('resnet10_small', 0, **SMALL).eval(), folder/"net.safetensors", size=list(SIZE))
    nn.modules.module.register_module_forward_hook(lambda m, *_: meter.tick() if m.training is False
                                                   and type(m).__name__ == 'BNNeck' else None)
    build_gallery(index, folder/"net.safetensors", folder/"gallery", batch_size=BATCH, chunk_size=1024)


TRAININGS = dict(pose=train_pose, gan=train_gan, reid=train_reid, clusters=train_clusters, mmt=train_mmt, ecn=train_ecn,
                 posed=train_posed, bmil=train_bmil)
FLOWS = dict(translate=run_translate, keypoints=run_keypoints, index=run_index)


def fit(learn, batches, meter):
    "Train for at least so many batches."
    run = learn.fit_reid if hasattr(learn, 'fit_reid') else learn.fit
    epochs = -(-batches//len(learn.dls.train))
    learn.add_cb(MeterCallback(meter))
    with learn.no_bar(), learn.no_logging(): run(epochs)


def summarize(name, unit, count, mb):
    "A row of the table, from the memory at each batch."
    warm = len(mb)//5
    step = count/len(mb)
    growth = np.polyfit(np.arange(warm, len(mb))*step, mb[warm:], 1)[0]
    return dict(case=name, unit=unit, count=count, start_mb=round(mb[warm], 1), end_mb=round(mb[-1], 1),
                largest_mb=round(max(mb[warm:]), 1), kb_per_unit=round(1e3*growth, 2), seeds=1,
                source='measured')


def measure(name, batches, images, results):
    "Run one case and put its row into a queue."
    warnings.simplefilter('ignore')
    torch.set_num_threads(1)
    torch.manual_seed(0)
    meter = Meter()
    with tempfile.TemporaryDirectory() as folder:
        if name in TRAININGS:
            fit(TRAININGS[name](Path(folder)), batches, meter)
            row = summarize(name, 'batch', len(meter.mb), meter.mb)
        else:
            FLOWS[name](Path(folder), images, meter)
            row = summarize(name, 'image', images, meter.mb)
    results.put(row)


def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument('--batches', type=int, default=500, help="of each training, the warm-up not counted")
    ap.add_argument('--images', type=int, default=10_000)
    ap.add_argument('--out', type=Path, default=RESULTS/"memory.csv")
    ap.add_argument('--cases', nargs='*', default=[*TRAININGS, *FLOWS], choices=[*TRAININGS, *FLOWS])
    args = ap.parse_args()
    fork = multiprocessing.get_context('fork')
    rows = []
    for name in args.cases:
        results = fork.SimpleQueue()
        process = fork.Process(target=measure, args=(name, -(-args.batches*5//4), args.images, results))
        process.start()
        process.join()
        if process.exitcode: raise SystemExit(f"{name} failed")
        rows.append(results.get())
        print(pd.DataFrame(rows[-1:]).to_string(index=False, header=len(rows) == 1), flush=True)
        pd.DataFrame(rows).to_csv(args.out, index=False)


if __name__ == '__main__': main()
