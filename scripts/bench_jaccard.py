"""Time the sparse Jaccard distance against a dense version written from the paper, and its growth with the number of images; say what memory it takes.

    python scripts/bench_jaccard.py [--threads 1] [--repeats 3] [--sizes 5000 10000 20000 34167 50000] [--images 86.5 25]

Structured features of 2048 numbers, k1 = 30, k2 = 6. As many people as give each the 86.5 images of SYSU-MM01, and 25: fewer than k1, so that strangers fill the lists.
Processor seconds, the least of the repeats, and memory beyond the features. Both versions must give the same distances.
"""
import argparse

import numpy as np
import psutil
import torch

from xmodreid.experiments.usl_cost import MemoryMeter, simulate_sysu_features
from xmodreid.reid.distance import bidirectional_knn, normalize_embeddings
from xmodreid.reid.jaccard import dense_jaccard, jaccard_from_neighbors

K1,K2,EPS = 30,6,.6*(1+1e-6)


def dense_jaccard_reference(x, idx, k2):
    "Zhong 2017 as one naturally writes it: N x N arrays, row by row, with inverted lists; x: `(N, D)` rows of length 1, idx: `(N, k1)` neighbors."
    n,k1 = idx.shape
    def recip(i, k): return idx[i,:k][(idx[idx[i,:k],:k]==i).any(1)]
    R,H = ([recip(i, k) for i in range(n)] for k in (k1,round(k1/2)+1))
    V = np.zeros((n,n), np.float32)
    for i in range(n):
        grown = [R[i],*(H[c] for c in R[i] if len(np.intersect1d(H[c], R[i]))>2/3*len(H[c]))]
        grown = np.unique(np.concatenate(grown))
        w = np.exp(2*(x[grown]@x[i])-2)
        V[i,grown] = w/w.sum()
    W = np.zeros_like(V)
    for i in range(n): W[i] = V[idx[i,:k2]].mean(0)
    V = W
    rows = [np.flatnonzero(V[:,g]) for g in range(n)]
    out = np.empty((n,n), np.float32)
    for i in range(n):
        m = np.zeros(n, np.float32)
        for g in np.flatnonzero(V[i]): m[rows[g]] += np.minimum(V[i,g], V[rows[g],g])
        out[i] = 1-m/(2-m)
    return np.maximum(out, 0, out=out)


def features(n, images): return simulate_sysu_features(n, people=round(n/images))[0]


def best_of(f, n=1):
    "Result of `f`, its least processor seconds of `n` runs, and the memory at its peak, GB."
    seconds,top = [],0
    for _ in range(n):
        made = None                                # not two results at a time
        with MemoryMeter() as m: made = f()
        seconds.append(m.seconds); top = max(top, m.base/1e9+m.gb)
    return made,min(seconds),top


def compare(n, images, repeats):
    before = psutil.Process().memory_info().rss/1e9
    x = features(n, images)
    before += x.nbytes/1e9
    def search():
        y = normalize_embeddings(x)
        return bidirectional_knn(y, y, K1)[0]
    (idx,sq),s,s_gb = best_of(search, repeats)
    J,a,a_gb = best_of(lambda: jaccard_from_neighbors(x, idx, sq, K2), repeats)
    near,b,_ = best_of(lambda: jaccard_from_neighbors(x, idx, sq, K2, EPS), repeats)
    stored,J = (J.nnz/n,near.nnz/n),dense_jaccard(J)
    held = J.nbytes/1e9
    (sim,_),ds,_ = best_of(lambda: (x@x.T).topk(K1), repeats)
    D,da,d_gb = best_of(lambda: dense_jaccard_reference(x.numpy(), idx, K2), repeats)
    assert np.allclose(2-2*sim.numpy(), sq, atol=1e-5) and np.allclose(J, D, atol=1e-5)
    print(f"{n} images, {images} a person; largest difference of a distance {np.abs(J-D).max():.0e}")
    print(f"  dense                  search {ds:5.2f} s   after {da:6.2f} s   whole {ds+da:6.2f} s   {d_gb-before-held:.2f} GB")
    for name,t,k in (('sparse, all below 1',a,stored[0]),('sparse, all below .6',b,stored[1])):
        print(f"  {name:22} search {s:5.2f} s   after {t:6.2f} s   whole {s+t:6.2f} s   {max(s_gb,a_gb)-before:.2f} GB   after {da/t:.1f} times faster, whole {(s+t)/(ds+da):.3f} of the dense; {k:.0f} entries a row", flush=True)


def measure_growth(sizes, images, repeats):
    print(f"Growth, {images} images a person, all distances below .6")
    seconds,before = [],psutil.Process().memory_info().rss/1e9
    for n in sizes:
        x = features(n, images)
        def search():
            y = normalize_embeddings(x)
            return bidirectional_knn(y, y, K1)[0]
        (idx,sq),s,top = best_of(search)
        J,a,after_top = best_of(lambda: jaccard_from_neighbors(x, idx, sq, K2, EPS), repeats)
        seconds.append((s,a))
        print(f"  {n:6} images: search {s:6.2f} s, after {a:5.2f} s, {J.nnz/n:.1f} entries a row, {max(top,after_top)-before-x.nbytes/1e9:.2f} GB", flush=True)
    if len(sizes)>1: print("  seconds grow like N to the power of {:.2f} (search) and {:.2f} (after)".format(*np.polyfit(np.log(sizes), np.log(seconds), 1)[0]))


def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument('--threads', type=int, default=1)
    ap.add_argument('--repeats', type=int, default=3, help="of each step; the search of the growth is run once")
    ap.add_argument('--compare', type=int, default=10000, help="images of the comparison with the dense version; 0 for none")
    ap.add_argument('--sizes', type=int, nargs='*', default=[5000,10000,20000,34167,50000], help="numbers of images of the growth")
    ap.add_argument('--images', type=float, nargs='*', default=[86.5,25], help="of a person; all is done for each")
    args = ap.parse_args()
    torch.set_num_threads(args.threads)
    for images in args.images:
        if args.compare: compare(args.compare, images, args.repeats)
        if args.sizes: measure_growth(args.sizes, images, args.repeats)


if __name__=='__main__': main()
