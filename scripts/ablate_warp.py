"""Leave out one part of the learned warp at a time: what does each part give, and what does it cost? At 64x32.

    python scripts/ablate_warp.py OUT [--batches 1000] [--only NAME ...]      # the warp alone
    python scripts/ablate_warp.py OUT --translators                           # afterwards: translators with these warps

The people and the evaluators are those of `xmodreid reproduce --table identity --out-dir OUT/quick`; they are made if
they are missing. Trained networks are kept in OUT. CSV: OUT/learned_warp_ablation.csv and OUT/translator_ablation.csv.
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


# Name of the row -> settings; `warp` is a row of the warps
TRANSLATORS = {
    "part warp": {},
    "two-stage, learned warp": {"generator": "two_stage", "warp": "all parts"},
    "two-stage, learned warp without flow": {"generator": "two_stage", "warp": "no flow"},
    "two-stage, warp of self-warped images": {
        "generator": "two_stage", "warp": "no labeled pairs, self-warped images only",
    },
}


def people_and_evaluators(out_dir, size):
    "The test people, the training people, and the evaluators of identity."
    world = replace(SYNTH_PRESETS["standard"], size=size, seed=0)
    folder = out_dir / "quick" / "identity" / "quick"
    others = sample_other_identities(folder / "others", world, 400, False)
    embed = fit_identity_evaluators(folder / "evaluators", others.index, replace(EVALUATOR_CONFIG, size=size), False)
    data = load_synth_data(write_synth(folder / "people", world, False))
    return data.select(split="test"), data.select(split="train"), embed


def warp_file(out_dir, name, n_batches):
    "File of a trained warp."
    return out_dir / f"{name.replace(' ', '_').replace(',', '')}-{n_batches}.safetensors"


def train_variant(name, data, out_dir, n_batches, size):
    "A trained warp and the seconds per batch of its training."
    file = warp_file(out_dir, name, n_batches)
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


def warp_rows(out_dir, n_batches, only):
    "Train the warps and measure how well moved real images are recognized."
    size = (64, 32)
    test, train, embed = people_and_evaluators(out_dir, size)
    rows = [dict(row="part warp, not learned") | moved_ranks(test, embed, size, warp_to_pose)]
    for name in only or VARIANTS:
        warp, seconds = train_variant(name, train, out_dir / "warps", n_batches, size)
        costs = dict(row=name, batches=n_batches, cpu_seconds_per_batch=round(seconds, 3))
        rows.append(costs | moved_ranks(test, embed, size, warp.move))
        if name == "all parts":
            ranks = moved_ranks(test, embed, size, lambda *args, warp=warp: warp(*args).warped.clamp(-1, 1))
            rows.append(dict(row="all parts, without the residual") | ranks)
        write_csv(out_dir / "learned_warp_ablation.csv", pd.DataFrame(rows))
        print(pd.DataFrame(rows).to_string(index=False), flush=True)


def translation_rows(out_dir, n_batches):
    "Translators at 64x32 with the part warp and with learned ones: the same people, losses and number of batches."
    size = (64, 32)
    test, train, embed = people_and_evaluators(out_dir, size)
    pose, estimator = load_trained_pose("synth"), PoseEstimator(pose_net(pretrained="synth"))
    rows = []
    for name, settings in TRANSLATORS.items():
        run_dir = out_dir / "translators" / name.replace(" ", "_").replace(",", "")
        if "warp" in settings:
            settings = settings | {"warp": str(warp_file(out_dir / "warps", settings["warp"], n_batches))}
        start = time.process_time()
        gan = train_gan(run_dir, train, pose, GanConfig(size=size, epochs=10, **settings), progress=False)
        seconds = time.process_time() - start
        if not (run_dir / "seconds.txt").is_file(): (run_dir / "seconds.txt").write_text(f"{seconds / 450:.3f}")
        scores = evaluate_translation((gan["ir"], None), test.index, test.best_poses, estimator, size=size, n=1200,
                                      gray=True, world=test.world, embed=embed)
        costs = dict(row=name, batches=450, cpu_seconds_per_batch=float((run_dir / "seconds.txt").read_text()))
        scores = scores.loc["rgb2ir", "generated"]
        rows.append(costs | scores.dropna().round(4).to_dict())
        write_csv(out_dir / "translator_ablation.csv", pd.DataFrame(rows))
        shown = ["row", "cpu_seconds_per_batch", "rank1", "rank5", "pck10", "ssim_body", "tone_torso", "kid"]
        print(pd.DataFrame(rows)[shown].to_string(index=False), flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out_dir", type=Path, help="folder of people, evaluators, networks and tables")
    parser.add_argument("--batches", type=int, default=1000, help="batches per training of a warp, a multiple of 50")
    parser.add_argument("--only", nargs="+", choices=VARIANTS, help="rows to run; the CSV holds these rows only")
    parser.add_argument("--translators", action="store_true", help="train translators with the warps")
    args = parser.parse_args()
    torch.set_num_threads(1)
    if args.batches < 50 or args.batches % 50: parser.error("--batches must be a multiple of 50")
    if args.translators: translation_rows(args.out_dir, args.batches)
    else: warp_rows(args.out_dir, args.batches, args.only)


if __name__ == "__main__": main()
