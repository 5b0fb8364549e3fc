"""Draw the pictures of the front page: demo.png, synthetic people translated by the shipped generators, and
rgb_labels.png, the results with labels in RGB only.

    python scripts/front_picture.py
"""
import tempfile
from pathlib import Path

import numpy as np
import torch

from xmodreid.draw import draw_skeleton, image_grid, to_uint8
from xmodreid.experiments.results import read_results
from xmodreid.experiments.rgb_labels import FRONT_ROWS, plot_rgb_labels
from xmodreid.files import write_figure
from xmodreid.gan.inference import generate
from xmodreid.gan.learner import PRETRAINED_GENERATORS, load_generators
from xmodreid.gan.samples import sample_translation
from xmodreid.synth.dataset import load_synth_data, write_synth
from xmodreid.synth.world import SynthConfig

OUT = Path(__file__).resolve().parent.parent/"nbs"/"images"
SIZE = PRETRAINED_GENERATORS["synth"]["size"]


def samples(folder, n=10):
    "Sources and target poses of people that the generators were not trained on: another world, its test split."
    config = SynthConfig(n_train=2, n_val=0, n_test=24, per_cam=1, seed=1, size=SIZE)
    data = load_synth_data(write_synth(folder, config, progress=False)).select(split="test")
    return sample_translation(data.index, data.best_poses, "rgb2ir", SIZE, n, gray=True, world=data.world, seed=3)


def draw_rgb_labels():
    "Bars of the study of labels in RGB only, from its result table."
    table = read_results("rgb_labels_128x64")
    figure = plot_rgb_labels(table, FRONT_ROWS, "Infrared queries, RGB gallery, from ImageNet weights, 128x64")
    write_figure(OUT/"rgb_labels.png", figure, dpi=120, bbox_inches="tight", metadata={"Software": None})


def draw_people():
    "Ten people: source, target pose, generated image, the way back, true image."
    torch.set_num_threads(1)
    generators = load_generators("synth")
    with tempfile.TemporaryDirectory() as d: s = samples(Path(d)/"people")
    fake = generate(generators["ir"], s.src, s.src_kpts, s.tgt_kpts)
    back = generate(generators["rgb"], fake, s.tgt_kpts, s.src_kpts)
    poses = [draw_skeleton(np.full((*SIZE, 3), 25, np.uint8), k) for k in s.tgt_kpts]
    rows = {"source": s.src, "target pose": poses, "generated IR": fake, "recovered": back, "true IR": s.truth}
    shown = [images if isinstance(images, list) else [to_uint8(i) for i in images] for images in rows.values()]
    figure = image_grid(shown, row_titles=list(rows), scale=.62)
    write_figure(OUT/"demo.png", figure, dpi=120, bbox_inches="tight", metadata={"Software": None})


if __name__ == "__main__":
    draw_rgb_labels()
    draw_people()
