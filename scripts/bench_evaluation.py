"""Time the evaluation at full size against a loop over the queries, and against one full sort; say what memory it takes.

    python scripts/bench_evaluation.py [--threads 2] [--repeats 200]

SYSU-MM01: ten trials of 3803 queries x 301 images, with the official counts of cameras. Market-1501: 3368 x 15913. The distances are drawn; both ways must give the same numbers.
Wall time, the least of many repeats, so that a busy machine disturbs it little; the loop uses one thread, as such loops do.
"""
import argparse,time,tracemalloc

import numpy as np
import torch

from xmodreid.reid.metrics import cmc_map


def per_query(dist, qp, gp, qc, gc, sysu, max_rank=20):
    "The loop one naturally writes: sort, remove, count each person once, accumulate."
    cmcs,aps,inps = [],[],[]
    for i in range(len(qp)):
        order = np.argsort(dist[i], kind='stable')
        people,cams = gp[order],gc[order]
        people = people[~((qc[i]==3) & (cams==2) if sysu else (people==qp[i]) & (cams==qc[i]))]
        match = people==qp[i]
        if not match.any(): continue
        first = people[np.sort(np.unique(people, return_index=True)[1])]==qp[i] if sysu else match
        cmcs.append(np.minimum(first.cumsum(), 1)[:max_rank])
        aps.append((match.cumsum()/np.arange(1, len(match)+1)*match).sum()/match.sum())
        inps.append(match.sum()/(np.flatnonzero(match)[-1]+1))
    return np.mean(cmcs, 0),np.array(aps),np.array(inps)


def make_case(rng, qp, gp, qc, gc):
    centers = rng.normal(size=(800,32)).astype(np.float32)
    sample_embeddings = lambda pids: centers[pids]+2*rng.normal(size=(len(pids),32)).astype(np.float32)
    return -sample_embeddings(qp)@sample_embeddings(gp).T,qp,gp,qc,gc


def best_of(f, n):
    best = float('inf')
    for _ in range(n):
        start = time.perf_counter(); f(); best = min(best, time.perf_counter()-start)
    return best


def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument('--threads', type=int, default=2)
    ap.add_argument('--repeats', type=int, default=200, help="of each SYSU trial; the loop is run 5 times")
    args = ap.parse_args()
    torch.set_num_threads(args.threads)
    rng = np.random.default_rng(0)
    people,cams = np.array([(p,c) for c,n in ((1,56),(2,56),(4,94),(5,95)) for p in range(n)]).T
    trials = [make_case(rng, rng.integers(0,96,3803), people, np.repeat([3,6],[1883,1920]), cams) for _ in range(10)]
    market = make_case(rng, rng.integers(1,751,3368), np.where(rng.random(15913)<.17, 0, rng.integers(1,751,15913)), rng.integers(1,7,3368), rng.integers(1,7,15913))
    for case,rule in (*((t,'sysu') for t in trials),(market,'market')):
        s,(cmc,aps,inps) = cmc_map(*case, rule=rule),per_query(*case, rule=='sysu')
        assert np.allclose(s.cmc[:20], cmc, atol=1e-12) and np.allclose(s.ap, aps, atol=1e-12) and np.allclose(s.inp, inps, atol=1e-12), rule
    ours,loop = (sum(times) for times in zip(*((best_of(lambda: cmc_map(*t, rule='sysu'), args.repeats),best_of(lambda: per_query(*t, True), 5)) for t in trials)))
    print(f"SYSU-MM01, {len(people)} gallery images, ten trials: loop {loop:.3f} s, cmc_map with {args.threads} thread(s) {ours:.4f} s, {loop/ours:.1f} times faster")
    sort,whole = best_of(lambda: np.argsort(market[0], axis=1), 3),best_of(lambda: cmc_map(*market, rule='market'), 5)
    print(f"Market-1501: one argsort of the distance matrix {sort:.2f} s, the whole job {whole:.2f} s, {sort/whole:.1f} times faster")
    for chunk in (16,64,256):
        tracemalloc.start(); cmc_map(*market, rule='market', chunk_size=chunk); peak = tracemalloc.get_traced_memory()[1]; tracemalloc.stop()
        print(f"peak memory above the matrix with chunk={chunk}: {peak/2**20:.1f} MB (chunk x gallery x {args.threads} threads is {chunk*15913*4*args.threads/2**20:.1f} MB of float32)")


if __name__=='__main__': main()
