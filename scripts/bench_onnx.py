"""Compare PyTorch and ONNX: milliseconds per image on one core, differences, and what 8-bit weights cost in rank-1.

    python scripts/bench_onnx.py                    writes results/onnx.csv; trains two small Re-ID models first
    python scripts/bench_onnx.py --models DIR       keeps the trained models in DIR, and uses them again
    python scripts/bench_onnx.py --cases NAME ...   only some rows

Times are processor seconds of one thread, medians of repeated runs, so other work on the machine changes them little.
"""
import argparse
import statistics
import tempfile
import time
import warnings
from pathlib import Path

import pandas as pd
import torch

from xmodreid.data.readers import read_dataset
from xmodreid.export import export_onnx, onnx_graph, synthetic_rank1
from xmodreid.gan.learner import load_generators
from xmodreid.onnx_model import OnnxModel
from xmodreid.pose.weights import pose_net
from xmodreid.reid.models import reid_model
from xmodreid.run.train import ReIDConfig, load_trained_reid, train_reid
from xmodreid.search.base import load_embedder
from xmodreid.synth.dataset import write_synth
from xmodreid.synth.world import SYNTH_PRESETS

RESULTS = Path(__file__).resolve().parent.parent/"results"
BATCH = 16
EPOCHS = dict(resnet10_small=12, osnet_x0_25_small=4)  # a step of OSNet takes five times as long


def trained_reid(name, folder):
    "Train a Re-ID model on synthetic people, or load the one that is there."
    data = folder/"small"
    if not (data/"keypoints.npz").exists(): write_synth(data, SYNTH_PRESETS['small'], progress=False)
    index = read_dataset('sysu', data)
    config = ReIDConfig(model=name, epochs=EPOCHS[name])
    train_reid(folder/name, index[index.split=='train'], config, progress=False)
    return load_trained_reid(folder/name)


def untrained_reid(name, size):
    "A Re-ID model with random weights, of which only time and differences are measured."
    torch.manual_seed(0)
    model = reid_model(name, 0).eval()
    model.size = size
    return model


def cases(folder):
    "Name -> (function that makes the model, direction of a generator, whether its rank-1 means something)."
    return {
        'resnet10_small': (lambda: trained_reid('resnet10_small', folder), '', True),
        'osnet_x0_25_small': (lambda: trained_reid('osnet_x0_25_small', folder), '', True),
        'resnet50_gem': (lambda: untrained_reid('resnet50_gem', (256, 128)), '', False),
        'pose synth': (lambda: pose_net(pretrained='synth'), '', False),
        'pose synth-large': (lambda: pose_net(pretrained='synth-large'), '', False),
        'translator synth-64x32': (lambda: load_generators('synth-64x32'), 'rgb2ir', False),
        'translator synth': (lambda: load_generators('synth'), 'rgb2ir', False),
    }


def milliseconds(f, n_images, repeats):
    "Median processor time per image."
    f()
    times = []
    for _ in range(repeats):
        begin = time.process_time()
        f()
        times.append(time.process_time()-begin)
    return 1e3*statistics.median(times)/n_images


def times_of(graph, example, onnx, repeats):
    "Milliseconds per image of PyTorch and of ONNX."
    def run_torch():
        with torch.no_grad(): graph(*example)
    arrays = {k: t.numpy() for k, t in zip(graph.inputs, example)}
    n = len(example[0])
    return milliseconds(run_torch, n, repeats), milliseconds(lambda: onnx(**arrays), n, repeats)


def measure(name, make, direction, trained, folder, repeats, n_people):
    "One row of the table."
    model = make()
    size = model.size
    file, file8 = folder/"float.onnx", folder/"int8.onnx"
    report = export_onnx(model, file, size, direction)
    report8 = export_onnx(model, file8, size, direction, int8=True)
    graph = onnx_graph(model, size, direction)
    onnx, onnx8 = (OnnxModel(p, threads=1) for p in (file, file8))
    torch_ms, onnx_ms = times_of(graph, graph.example(BATCH), onnx, repeats)
    torch_ms_1, onnx_ms_1 = times_of(graph, graph.example(1), onnx, repeats)
    int8_ms = times_of(graph, graph.example(BATCH), onnx8, repeats)[1]
    row = dict(model=name, size=f'{size[0]}x{size[1]}', torch_ms=torch_ms, onnx_ms=onnx_ms, int8_ms=int8_ms,
               torch_ms_single=torch_ms_1, onnx_ms_single=onnx_ms_1)
    first = report.output == report.output[0]  # the main output: embedding, keypoints in pixels, or gray levels
    row |= dict(output=report.output[0], difference=report.difference[first].max(),
                int8_difference=report8.int8_difference[first].max(),
                mb=file.stat().st_size/1e6, int8_mb=file8.stat().st_size/1e6)
    if trained:
        row |= dict(rank1=100*synthetic_rank1(load_embedder(file), n_people),
                    rank1_int8=100*synthetic_rank1(load_embedder(file8), n_people), people=n_people)
    digits = dict(torch_ms=3, onnx_ms=3, int8_ms=3, torch_ms_single=3, onnx_ms_single=3, mb=2, int8_mb=2, rank1=2,
                  rank1_int8=2)
    row |= {k: round(row[k], n) for k, n in digits.items() if k in row} | dict(epochs=EPOCHS.get(name))
    for column in ('difference', 'int8_difference'): row[column] = float(f"{row[column]:.1e}")
    return row | dict(batch=BATCH, repeats=repeats, seeds=1, source='measured')


def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument('--models', type=Path, help="folder of the trained models; a temporary one if not given")
    ap.add_argument('--out', type=Path, default=RESULTS/"onnx.csv")
    ap.add_argument('--repeats', type=int, default=15, help="runs per time")
    ap.add_argument('--people', type=int, default=60, help="synthetic people that rank-1 is measured on")
    ap.add_argument('--cases', nargs='*', choices=list(cases(Path())))
    args = ap.parse_args()
    warnings.simplefilter('ignore')
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        models = args.models or folder/"models"
        rows = []
        for name, case in cases(models).items():
            if args.cases and name not in args.cases: continue
            rows.append(measure(name, *case, folder, args.repeats, args.people))
            print(pd.DataFrame(rows[-1:]).T.to_string(header=False), flush=True)
            print(flush=True)
            pd.DataFrame(rows).to_csv(args.out, index=False)
    print(pd.DataFrame(rows).to_string(index=False))


if __name__ == '__main__': main()
