"""Time the evaluation at full size against the definition of the metrics and against one full sort; show its memory.

    python scripts/bench_evaluation.py [--threads 2] [--repeats 200]

SYSU-MM01: ten trials of 3803 queries x 301 images, with the official counts of cameras. Market-1501: 3368 x 15913. The
distances are random; both ways must give the same numbers. Wall time is the least of many repeats, so other work on the
machine changes it little; the definition uses one thread.
"""
import argparse
import time
import tracemalloc

import numpy as np
import torch

from xmodreid.reid.metrics import EVALUATION_RULES, cmc_map, filtered, score_query


def score_all(dist, qp, gp, qc, gc, rule):
    "The definition, one query at a time: first ranks, APs and INPs."
    removed = filtered(qp, gp, qc, gc, rule)
    people = gp if EVALUATION_RULES[rule].by_identity else None
    scores = [score_query(d, gp == p, r, people) for d, p, r in zip(dist, qp, removed)]
    return np.array([s for s in scores if s is not None]).T


def make_case(rng, qp, gp, qc, gc):
    centers = rng.normal(size=(800, 32)).astype(np.float32)

    def sample_embeddings(pids): return centers[pids]+2*rng.normal(size=(len(pids), 32)).astype(np.float32)
    return -sample_embeddings(qp)@sample_embeddings(gp).T, qp, gp, qc, gc


def best_of(f, n):
    best = float('inf')
    for _ in range(n):
        start = time.perf_counter()
        f()
        best = min(best, time.perf_counter()-start)
    return best


def make_cases():
    "Ten trials of SYSU-MM01's size, and one Market-1501."
    rng = np.random.default_rng(0)
    people, cams = np.array([(p, c) for c, n in ((1, 56), (2, 56), (4, 94), (5, 95)) for p in range(n)]).T
    q_cams = np.repeat([3, 6], [1883, 1920])
    trials = [make_case(rng, rng.integers(0, 96, 3803), people, q_cams, cams) for _ in range(10)]
    gallery = np.where(rng.random(15913) < .17, 0, rng.integers(1, 751, 15913))
    market = make_case(rng, rng.integers(1, 751, 3368), gallery, rng.integers(1, 7, 3368), rng.integers(1, 7, 15913))
    return trials, market


def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument('--threads', type=int, default=2)
    ap.add_argument('--repeats', type=int, default=200, help="of each SYSU trial; the definition is run twice")
    args = ap.parse_args()
    torch.set_num_threads(args.threads)
    trials, market = make_cases()
    for case, rule in (*((t, 'sysu') for t in trials), (market, 'market')):
        s, (first, aps, inps) = cmc_map(*case, rule=rule), score_all(*case, rule)
        assert (s.first_ranks == first).all(), rule
        assert np.allclose(s.ap, aps, atol=1e-12) and np.allclose(s.inp, inps, atol=1e-12), rule
    ours = sum(best_of(lambda t=t: cmc_map(*t, rule='sysu'), args.repeats) for t in trials)
    loop = sum(best_of(lambda t=t: score_all(*t, 'sysu'), 2) for t in trials)
    print(f"SYSU-MM01, {trials[0][0].shape[1]} gallery images, ten trials: definition {loop:.3f} s, "
          f"cmc_map with {args.threads} thread(s) {ours:.4f} s, {loop/ours:.1f} times faster")
    ours, loop = best_of(lambda: cmc_map(*market, rule='market'), 5), best_of(lambda: score_all(*market, 'market'), 1)
    sort = best_of(lambda: np.argsort(market[0], axis=1), 3)
    print(f"Market-1501: definition {loop:.2f} s, cmc_map {ours:.2f} s, {loop/ours:.1f} times faster; "
          f"one argsort of the distance matrix {sort:.2f} s, {sort/ours:.1f} times as long as cmc_map")
    for chunk in (16, 64, 256):
        tracemalloc.start()
        cmc_map(*market, rule='market', chunk_size=chunk)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        print(f"peak memory above the matrix with chunk_size={chunk}: {peak/2**20:.1f} MB (chunk_size x gallery x "
              f"{args.threads} threads is {chunk*15913*4*args.threads/2**20:.1f} MB of float32)")


if __name__ == '__main__': main()
