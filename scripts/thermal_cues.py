"""Measure why people are hard to recognize across RGB and thermal cameras.

    python scripts/thermal_cues.py OUT cues         what identifies a person inside thermal images
    python scripts/thermal_cues.py OUT labels       Re-ID with all labels, near and thermal, 400 and 1,200 batches
    python scripts/thermal_cues.py OUT pairs        the generator trained with true thermal images

`cues` renders true thermal images of 100 people without one cue after another, and searches them among the real ones
with the evaluator of `xmodreid reproduce --table identity --infrared thermal --out-dir OUT`, trained there if it is
missing. `labels` trains a Re-ID network on 400 other people by all six cameras, and measures it on the same 100.
`pairs` trains the generators on 200 people whose true thermal image in the target pose is given.
"""
import argparse
from dataclasses import replace
from itertools import product
from pathlib import Path

import numpy as np
import pandas as pd
import torch
import torch.nn.functional as F

from xmodreid.data.index import distinct_pids
from xmodreid.experiments.evaluators import EVALUATOR_CONFIG, fit_identity_evaluators, sample_other_identities
from xmodreid.experiments.supervision import PairedSupervisionConfig, run_paired_supervision
from xmodreid.files import write_csv
from xmodreid.gan.inference import load_images
from xmodreid.gan.metrics import identity_rank
from xmodreid.gan.samples import render_people, sample_translation
from xmodreid.reid.metrics import cmc_map
from xmodreid.run.identity_losses import as_embedder
from xmodreid.run.train import ReIDConfig, load_trained_pose, train_reid
from xmodreid.skeleton import IR, RGB
from xmodreid.synth.dataset import load_synth_data, write_synth
from xmodreid.synth.world import SYNTH_PRESETS

SIZE = (64, 32)
OTHERS = 400  # people of the trainings
GARMENTS = ("top", "legs", "shoes", "jacket", "backpack", "bag", "cap")


def wear(person, change):
    "The person with every garment changed."
    return replace(person, **{n: change(getattr(person, n)) for n in GARMENTS if getattr(person, n)})


def same_folds(g): return replace(g, texture_seed=g.texture_seed % 2)  # an odd seed of a skirt has tights
def mean_hands(g): return replace(g, residual=(g.residual[0], .5))
def mean_residual(g): return replace(g, residual=(.5, g.residual[1]))
def cotton(g): return replace(g, material="cotton")


CUES = {
    "true image": (),
    "the same folds for all": (same_folds,),
    "no cold hands": (mean_hands,),
    "mean insulation of each kind and material": (mean_residual,),
    "no folds, no cold hands": (same_folds, mean_hands),
    "all three": (same_folds, mean_hands, mean_residual),
    "all three, all clothes of cotton": (same_folds, mean_hands, mean_residual, cotton),
}


PAIRS = ((RGB, IR), (IR, RGB), (IR, IR), (RGB, RGB))


def load_test(folder, infrared):
    "Other people to train on, and the held-out people of seed 0."
    world = replace(SYNTH_PRESETS["standard"], size=SIZE, infrared=infrared)
    others = sample_other_identities(folder/"others", world, OTHERS, False)
    return others.index, load_synth_data(write_synth(folder/"people", world, False)).select(split="test")


def embed_images(embed, images):
    "Embeddings of many images."
    with torch.no_grad(): return torch.cat([embed(b) for b in images.split(64)])


def measure_cues(out, n=1200):
    "Rank-1 and rank-5 of rendered thermal images that lack a cue, in percent."
    folder = out/"identity"/"quick-thermal"
    others, test = load_test(folder, "thermal")
    config = replace(EVALUATOR_CONFIG, size=SIZE)
    embed = fit_identity_evaluators(folder/"evaluators", others, config, False)[IR]
    index, poses, people = test.index, test.best_poses, dict(test.world.people)
    pids, camids = distinct_pids(index.pid), index.camid.to_numpy()
    rows = np.flatnonzero(index.modality == IR)
    gallery = embed_images(embed, load_images(index.path.to_numpy()[rows], SIZE, False)[0])
    s = sample_translation(index, poses, "rgb2ir", SIZE, n, gray=True, seed=0)
    exclude = np.searchsorted(rows, s.tgt_rows)[:, None]  # the image that lends the pose
    table = []
    for cue, changes in CUES.items():
        for pid, person in people.items():
            for change in changes: person = wear(person, change)
            test.world.people[pid] = person
        test.world._atlases.clear()
        images = render_people(test.world, s.pids, poses[s.tgt_rows], camids[s.tgt_rows], SIZE)
        ranks = identity_rank(embed_images(embed, images), s.pids, gallery, pids[rows], exclude)
        table.append(dict(query=cue, rank1=100*ranks[0], rank5=100*ranks[1]))
        print(table[-1], flush=True)
    return pd.DataFrame(table)


def search_scores(embed, index, pairs):
    "mAP and rank-1 in percent; gallery images by the camera of the query are ignored."
    for query, gallery in pairs:
        parts = [index[index.modality == m] for m in (query, gallery)]
        q, g = (F.normalize(embed_images(embed, load_images(p.path.to_numpy(), SIZE, False)[0]), dim=1) for p in parts)
        labels = [p[c].to_numpy() for c in ("pid", "camid") for p in parts]
        scores = cmc_map(1-q@g.T, *labels)
        chance = cmc_map(torch.rand(len(q), len(g), generator=torch.Generator().manual_seed(0)), *labels)
        yield dict(query=query, gallery=gallery, mAP=100*float(scores.mAP), rank1=100*float(scores.cmc[0]),
                   chance_mAP=100*float(chance.mAP))


def trainings(folder):
    "Folder and settings of each training: two lengths on both modalities and on infrared alone, and the evaluator."
    for trained_on, n in product(("both", "infrared"), (10, 30)):
        yield trained_on, folder/f"labels_{trained_on}_{n}", ReIDConfig(size=SIZE, epochs=n)
    yield "infrared", folder/"evaluators"/IR, replace(EVALUATOR_CONFIG, size=SIZE)


def measure_labels(out):
    "Re-ID networks trained with all labels."
    table = []
    for infrared in ("near", "thermal"):
        folder = out/"identity"/("quick" if infrared == "near" else "quick-thermal")
        others, test = load_test(folder, infrared)
        for trained_on, run, config in trainings(folder):
            both = trained_on == "both"
            index = others if both else others[others.modality == IR].reset_index(drop=True)
            embed = as_embedder(train_reid(run, index, config, progress=False))
            training = dict(infrared=infrared, trained_on=trained_on, batches=config.epochs*config.iters,
                            batch_size=config.p*config.k*(1+both))
            for row in search_scores(embed, test.index, PAIRS if both else ((IR, IR),)):
                table.append(training|row)
                print(table[-1], flush=True)
    return pd.DataFrame(table)


def measure_pairs(out):
    "Generators that are trained with true thermal images of 200 people."
    folder = out/"identity"/"quick-thermal"
    world = replace(SYNTH_PRESETS["standard"], size=SIZE, infrared="thermal")
    others, _ = load_test(folder, "thermal")
    embed = fit_identity_evaluators(folder/"evaluators", others, replace(EVALUATOR_CONFIG, size=SIZE), False)
    data = load_synth_data(write_synth(folder/"people", world, False))
    config = PairedSupervisionConfig(epochs=1, n_eval=1200)
    run_paired_supervision(config, folder/"pairs", data, load_trained_pose("synth"), embed)
    scores = pd.read_csv(folder/"pairs"/"scores.csv")
    ranks = [c for c in scores if c.startswith("rank")]
    return scores.assign(**100*scores[ranks])


PARTS = dict(cues=measure_cues, labels=measure_labels, pairs=measure_pairs)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path, help="the folder given to xmodreid reproduce, or a new one")
    parser.add_argument("part", choices=PARTS)
    args = parser.parse_args()
    table = PARTS[args.part](args.out)
    write_csv(args.out/f"thermal_{args.part}.csv", table.round(4))
    print(table.round(1).to_string(index=False))


if __name__ == "__main__": main()
