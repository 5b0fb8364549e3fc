"""Time the sparse Jaccard distance against a dense version from the paper, and with more images; show its memory.

    python scripts/bench_jaccard.py [--threads 1] [--repeats 3] [--sizes 5000 10000 20000 34167 50000]
                                    [--images 86.5 25]

Structured features of 2048 numbers, k1 = 30, k2 = 6. The number of people gives each the 86.5 images of SYSU-MM01, or
25: fewer than k1, so that other people fill the lists. Times are processor seconds, the least of the repeats; memory is
beyond the features. Both versions must give the same distances.
"""
import argparse

import numpy as np
import psutil
import torch

from xmodreid.experiments.usl_cost import MemoryMeter, simulate_sysu_features
from xmodreid.reid.distance import bidirectional_knn, normalize_embeddings
from xmodreid.reid.jaccard import dense_jaccard, jaccard_from_neighbors

K1 = 30
K2 = 6
EPS = .6*(1+1e-6)


def dense_jaccard_reference(x, idx, k2):
    """Zhong et al. 2017 in the direct way: N x N arrays, row by row, with inverted lists.

    x: `(N, D)` rows of length 1; idx: `(N, k1)` neighbors.
    """
    n, k1 = idx.shape
    def reciprocal(i, k): return idx[i, :k][(idx[idx[i, :k], :k] == i).any(1)]
    neighbors = [reciprocal(i, k1) for i in range(n)]
    half = [reciprocal(i, round(k1/2)+1) for i in range(n)]
    weights = np.zeros((n, n), np.float32)
    for i in range(n):
        near = neighbors[i]
        added = [half[c] for c in near if len(np.intersect1d(half[c], near)) > 2/3*len(half[c])]
        expanded = np.unique(np.concatenate([near, *added]))
        w = np.exp(2*(x[expanded]@x[i])-2)
        weights[i, expanded] = w/w.sum()
    smooth = np.zeros_like(weights)
    for i in range(n): smooth[i] = weights[idx[i, :k2]].mean(0)
    return jaccard_of_rows(smooth)


def jaccard_of_rows(weights):
    "Jaccard distance between all rows of non-negative weights whose sums are 1."
    n = len(weights)
    rows = [np.flatnonzero(weights[:, g]) for g in range(n)]
    out = np.empty((n, n), np.float32)
    for i in range(n):
        shared = np.zeros(n, np.float32)
        for g in np.flatnonzero(weights[i]): shared[rows[g]] += np.minimum(weights[i, g], weights[rows[g], g])
        out[i] = 1-shared/(2-shared)
    return np.maximum(out, 0, out=out)


def features(n, images):
    "`(n, 2048)` features of as many people as give each this number of images."
    return simulate_sysu_features(n, people=round(n/images))[0]


def search(x):
    "Indices of the nearest neighbors and their squared distances."
    y = normalize_embeddings(x)
    return bidirectional_knn(y, y, K1)[0]


def best_of(f, n=1):
    "Result of `f`, its least processor seconds of `n` runs, and the memory at its peak, GB."
    seconds = []
    top = 0
    for _ in range(n):
        result = None                              # not two results at a time
        with MemoryMeter() as meter: result = f()
        seconds.append(meter.seconds)
        top = max(top, meter.base/1e9+meter.gb)
    return result, min(seconds), top


def compare(n, images, repeats):
    "Time the sparse and the dense version on the same features; print both and their ratio."
    before = psutil.Process().memory_info().rss/1e9
    x = features(n, images)
    before += x.nbytes/1e9
    (idx, sq), search_s, search_gb = best_of(lambda: search(x), repeats)
    full, full_s, full_gb = best_of(lambda: jaccard_from_neighbors(x, idx, sq, K2), repeats)
    near, near_s, _ = best_of(lambda: jaccard_from_neighbors(x, idx, sq, K2, EPS), repeats)
    full_row, near_row = full.nnz/n, near.nnz/n
    full = dense_jaccard(full)
    held = full.nbytes/1e9
    (similarity, _), dense_search_s, _ = best_of(lambda: (x@x.T).topk(K1), repeats)
    dense, dense_s, dense_gb = best_of(lambda: dense_jaccard_reference(x.numpy(), idx, K2), repeats)
    assert np.allclose(2-2*similarity.numpy(), sq, atol=1e-5)
    assert np.allclose(full, dense, atol=1e-5)
    dense_total = dense_search_s+dense_s
    print(f"{n} images, {images} per person; largest difference of a distance {np.abs(full-dense).max():.0e}")
    print(f"  dense                  search {dense_search_s:5.2f} s   after {dense_s:6.2f} s   "
          f"whole {dense_total:6.2f} s   {dense_gb-before-held:.2f} GB")
    gb = max(search_gb, full_gb)-before
    versions = (('sparse, all below 1', full_s, full_row), ('sparse, all below .6', near_s, near_row))
    for name, seconds, entries in versions:
        total = search_s+seconds
        print(f"  {name:22} search {search_s:5.2f} s   after {seconds:6.2f} s   whole {total:6.2f} s   {gb:.2f} GB   "
              f"after {dense_s/seconds:.1f} times faster, whole {total/dense_total:.3f} of the dense; "
              f"{entries:.0f} entries per row", flush=True)


def measure_growth(sizes, images, repeats):
    "Print times and memory for each number of images, and the exponents of their growth."
    print(f"Growth, {images} images per person, all distances below .6")
    before = psutil.Process().memory_info().rss/1e9
    seconds = [measure_size(n, images, repeats, before) for n in sizes]
    if len(sizes) < 2: return
    search_power, after_power = np.polyfit(np.log(sizes), np.log(seconds), 1)[0]
    print(f"  seconds grow like N to the power of {search_power:.2f} (search) and {after_power:.2f} (after)")


def measure_size(n, images, repeats, before):
    "Print times and memory for n images; seconds of the search and of what follows."
    x = features(n, images)
    (idx, sq), search_s, search_gb = best_of(lambda: search(x))
    jaccard, after_s, after_gb = best_of(lambda: jaccard_from_neighbors(x, idx, sq, K2, EPS), repeats)
    gb = max(search_gb, after_gb)-before-x.nbytes/1e9
    print(f"  {n:6} images: search {search_s:6.2f} s, after {after_s:5.2f} s, {jaccard.nnz/n:.1f} entries per row, "
          f"{gb:.2f} GB", flush=True)
    return search_s, after_s


def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument('--threads', type=int, default=1)
    ap.add_argument('--repeats', type=int, default=3, help="of each step; the search of the growth is run once")
    ap.add_argument('--compare', type=int, default=10000,
                    help="images of the comparison with the dense version; 0 for none")
    ap.add_argument('--sizes', type=int, nargs='*', default=[5000, 10000, 20000, 34167, 50000],
                    help="numbers of images of the growth")
    ap.add_argument('--images', type=float, nargs='*', default=[86.5, 25], help="per person; all is done for each")
    args = ap.parse_args()
    torch.set_num_threads(args.threads)
    for images in args.images:
        if args.compare: compare(args.compare, images, args.repeats)
        if args.sizes: measure_growth(args.sizes, images, args.repeats)


if __name__ == '__main__': main()
