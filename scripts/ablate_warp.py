"""Leave out one part of the learned warp at a time, and train longer: what does each part give, and what does it cost?

    python scripts/ablate_warp.py OUT [--batches 1000] [--only NAME ...]      # the warp, 64x32
    python scripts/ablate_warp.py OUT --longer EPOCHS                         # the shipped translator, 128x64

The people and the evaluators are those of `xmodreid reproduce --table identity --out-dir OUT/quick` (or OUT/medium);
they are made if they are missing. Every row is kept in OUT and not repeated. CSV: OUT/warp_ablation.csv.
"""
import argparse
import time
from dataclasses import replace
from functools import partial
from pathlib import Path

import pandas as pd
import torch

from xmodreid.data.loaders import LoaderOptions
from xmodreid.experiments.evaluators import EVALUATOR_CONFIG, fit_identity_evaluators, sample_other_identities
from xmodreid.experiments.identity import moved_rank
from xmodreid.files import write_csv
from xmodreid.gan.evaluate import evaluate_translation
from xmodreid.gan.learner import load_generators
from xmodreid.gan.warp_learner import (
    MovedAdversarialLoss, RestorationLoss, WarpRestorationLoss, get_warp, learned_warp_learner, load_warp,
    pose_pair_dls, save_warp,
)
from xmodreid.pose.estimate import PoseEstimator
from xmodreid.pose.warp import warp_to_pose
from xmodreid.pose.weights import pose_net
from xmodreid.run.train import GanConfig, load_trained_pose, train_gan
from xmodreid.skeleton import IR, RGB
from xmodreid.synth.dataset import load_synth_data, write_synth
from xmodreid.synth.world import SYNTH_PRESETS

RESTORATION, ON_WARP, ADVERSARIAL = RestorationLoss, WarpRestorationLoss, partial(MovedAdversarialLoss, 0.05)
ALL_LOSSES = (RESTORATION, ON_WARP, ADVERSARIAL)
# Name of the row -> losses, settings of the warp, settings of the loader
VARIANTS = {
    "all parts": (ALL_LOSSES, {}, {}),
    "no flow": (ALL_LOSSES, {"max_flow": 0.0}, {}),
    "no loss on the warp alone": ((RESTORATION, ADVERSARIAL), {}, {}),
    "no adversarial loss": ((RESTORATION, ON_WARP), {}, {}),
    "no labeled pairs, self-warped images only": (ALL_LOSSES, {}, {"labeled": ()}),
    "pairs of infrared camera tracks, too": (ALL_LOSSES, {}, {"labeled": (RGB, IR)}),
}


def people_and_evaluators(out_dir, size):
    "The test people, their training people, and the evaluators of identity."
    name = {(64, 32): "quick", (128, 64): "medium"}[size]
    world = replace(SYNTH_PRESETS["standard"], size=size, seed=0)
    folder = out_dir / name / "identity" / name
    others = sample_other_identities(folder / "others", world, 400, False)
    embed = fit_identity_evaluators(folder / "evaluators", others.index, replace(EVALUATOR_CONFIG, size=size), False)
    data = load_synth_data(write_synth(folder / "people", world, False))
    return data.select(split="test"), data.select(split="train"), embed


def train_variant(name, data, out_dir, n_batches, size):
    "A trained warp and the seconds per batch of its training."
    file = out_dir / f"{name.replace(' ', '_').replace(',', '')}-{n_batches}.safetensors"
    if not file.is_file():
        losses, network, loader = VARIANTS[name]
        options = LoaderOptions(seed=0)
        dls = pose_pair_dls(data, size, 12, n_iters=50, options=options, **{"labeled": (RGB,)} | loader)
        learn = learned_warp_learner(dls, losses=[make() for make in losses], seed=0, **network)
        start = time.process_time()
        with learn.no_bar(), learn.no_logging(): learn.fit(n_batches // 50)
        seconds = (time.process_time() - start) / n_batches
        file.parent.mkdir(parents=True, exist_ok=True)
        save_warp(get_warp(learn), file)
        file.with_suffix(".txt").write_text(f"{seconds:.4f}")
    return load_warp(file), float(file.with_suffix(".txt").read_text())


def moved_ranks(test, embed, size, move):
    "Ranks of real infrared and gray RGB images that were moved to another pose, in percent."
    row = {}
    for direction in ("rgb2ir", "ir2rgb"):
        modality = direction.split("2")[1]
        ranks = moved_rank(test.index, test.best_poses, embed[modality], direction, size, 1200, move)
        row |= {f"{modality}_{k}": round(100 * v, 1) for k, v in ranks.items()}
    return row


def moved_image(warp, img, src, tgt):
    return warp(img, src, tgt).image.clamp(-1, 1)


def warp_rows(out_dir, n_batches, only):
    size = (64, 32)
    test, train, embed = people_and_evaluators(out_dir, size)
    rows = [dict(row="part warp, not learned") | moved_ranks(test, embed, size, warp_to_pose)]
    for name in only or VARIANTS:
        warp, seconds = train_variant(name, train, out_dir / "warps", n_batches, size)
        costs = dict(row=name, batches=n_batches, cpu_seconds_per_batch=round(seconds, 3))
        rows.append(costs | moved_ranks(test, embed, size, partial(moved_image, warp)))
        if name == "all parts":
            ranks = moved_ranks(test, embed, size, lambda *args, warp=warp: warp(*args).warped.clamp(-1, 1))
            rows.append(dict(row="all parts, without the residual") | ranks)
        write_csv(out_dir / "warp_ablation.csv", pd.DataFrame(rows))
        print(pd.DataFrame(rows).to_string(index=False), flush=True)


def longer_rows(out_dir, epochs):
    "The shipped translator, trained for more batches, on the same people as before."
    size = (128, 64)
    world = replace(SYNTH_PRESETS["standard"], n_train=300, size=size, seed=11)
    data = load_synth_data(write_synth(out_dir / "longer" / "people", world, False)).select(split="train")
    run_dir = out_dir / "longer" / "gan"
    config = GanConfig(init_weights="synth", size=size, epochs=epochs, half=True)
    start = time.process_time()
    gan = train_gan(run_dir, data, load_trained_pose("synth"), config, progress=False)
    seconds = time.process_time() - start
    test, _, embed = people_and_evaluators(out_dir, size)
    estimator = PoseEstimator(pose_net(pretrained="synth"))
    tables = {}
    for name, generators in {"shipped": load_generators("synth"), f"{epochs * config.iters} more batches": gan}.items():
        tables[name] = evaluate_translation(generators, test.index, test.best_poses, estimator, size=size, n=1200,
                                            gray=True, world=test.world, embed=embed)
    table = pd.concat(tables, names=["row"]).xs("generated", level="images")
    write_csv(out_dir / "translation_longer.csv", table.round(4), index=True)
    print(table.T.round(4).to_string(), f"\n{seconds:.0f} CPU seconds of training", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out_dir", type=Path, help="folder of people, evaluators, networks and tables")
    parser.add_argument("--batches", type=int, default=1000, help="batches per training, a multiple of 50")
    parser.add_argument("--only", nargs="+", choices=VARIANTS, help="rows to run")
    parser.add_argument("--longer", type=int, metavar="EPOCHS", help="train the shipped translator for more epochs")
    args = parser.parse_args()
    torch.set_num_threads(1)
    if args.longer: longer_rows(args.out_dir, args.longer)
    else: warp_rows(args.out_dir, args.batches, args.only)


if __name__ == "__main__": main()
