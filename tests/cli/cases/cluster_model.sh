# bench/cluster_model.py: parts weigh what a run moves, and times are right where they can be said beforehand.
exits 0 tessera synth in --preset tiny --quirks --seed 7
for verb in "cast --to bf16" "quantize --scheme w4a16" "reshard --mp 2"; do
  set -- $verb
  status=0
  tessera "$1" in made "${@:2}" --json >whole 2>err || status=$?
  for count in 2 3 7 300; do
    exits 0 tessera "$1" in none "${@:2}" --dry-run --json --part 1/$count
    json "len(j['parts']) == $count and all(sum(p[k] for p in j['parts']) == w[k] for w in [json.load(open('whole'))] for k in ('read_bytes', 'written_bytes'))"
  done
  rm -r made
done

export PYTHONPATH="$CASES/../../../bench" PYTHONDONTWRITEBYTECODE=1
python3 - <<'PY'
import random
from cluster_model import Cluster, simulate

def cluster(**rates):
    fast = dict(cores=1, core=1e18, node_read=1e18, node_write=1e18, fs_read=1e18, fs_write=1e18)
    return Cluster(**fast | rates)

def expect(got, seconds, cause):
    assert abs(got[0] - seconds) < 1e-6 * seconds and got[1] == cause, (got, seconds, cause)

cores = cluster(cores=4, core=100, start=2, end=3)
expect(simulate([(4000, 8000)], 1, cores, False), 15, "cores")
for n in (1, 2, 5):
    expect(simulate([(4000, 8000)] * n, n, cores, False), 15, "cores")
    expect(simulate([(4000, 8000)] * 6 * n, n, cores, True), 65, "cores")
expect(simulate([(3000, 1), (1000, 1)], 2, cluster(core=100), False), 30, "uneven parts")
expect(simulate([(50, 900)] * 2, 2, cluster(node_write=100, node_read=100), False), 9, "node's writing")
# What all share takes as long, however many there are; alone at the end, one has all of it.
for n in (1, 2, 8):
    expect(simulate([(0, 800 / n)] * n, n, cluster(fs_write=100), False), 8, "shared writing")
    expect(simulate([(800 / n, 0)] * n, n, cluster(fs_read=100), False), 8, "shared reading")
expect(simulate([(300, 0), (500, 0)], 2, cluster(fs_read=100), False), 8, "shared reading")
# Dealt out in any order: within the largest piece of the best.
seed = random.randrange(10**9)
draw = random.Random(seed)
for _ in range(300):
    n, works = draw.randint(1, 9), [(draw.randint(1, 1000), 0) for _ in range(draw.randint(1, 60))]
    total, largest = sum(w[0] for w in works), max(w[0] for w in works)
    seconds, _ = simulate(works, n, cluster(core=1), True)
    least = max(total / n, largest)
    assert least - 1e-3 <= seconds <= total / n + largest + 1e-3, (seed, n, works, seconds)
PY

exits 0 python3 "$PYTHONPATH/cluster_model.py" -- tessera cast in out.d --to bf16
[ "$(grep -c '^| [0-9]' out)" = 7 ]
[ ! -e out.d ]
