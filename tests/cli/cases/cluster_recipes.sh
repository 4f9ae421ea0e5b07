# Every recipe of docs/cluster.md, taken from the page: only names of folders and the schedulers themselves are replaced.
page=$CASES/../../../docs/cluster.md
exits 0 tessera synth in --preset tiny --quirks --seed 7
exits 0 tessera cast in clean_cast --to bf16
exits 0 tessera quantize in clean_quantize --scheme w4a16 --for vllm

# recipe WORDS: the block of the page that holds them, with this folder's paths.
recipe() {
  python3 - "$page" "$1" <<'PY'
import os, re, sys
blocks = re.findall(r"^```\n(.*?)^```$", open(sys.argv[1]).read(), re.M | re.S)
found = [block for block in blocks if sys.argv[2] in block]
assert len(found) == 1, (sys.argv[2], len(found))
here = os.getcwd()
text = re.sub(r"/shared/DeepSeek-V3-BF16\b|/shared/out\b|/data/out\b", here + "/made", found[0])
text = re.sub(r"/shared/DeepSeek-V3\b|/shared/in\b|/data/in\b", here + "/in", text)
assert "/shared" not in text, text
print(text, end="")
PY
}
is_made() {
  diff -r "clean_$1" made
  rm -r made
}

# Two machines.
recipe "machine 1:" | sed 's/^machine [0-9]: *//' >two
[ "$(wc -l <two)" = 2 ]
tac two | bash -e >log
is_made cast

# A Slurm array, in any order, and one task once more, as --requeue does.
recipe '#SBATCH --array' >array.sh
range=$(sed -n 's/^#SBATCH --array=//p' array.sh)
export IN=in OUT=made
for task in $(seq ${range/-/ } | shuf) 3; do
  SLURM_ARRAY_TASK_ID=$task SLURM_ARRAY_TASK_COUNT=${range#*-} bash -e array.sh >log
done
is_made quantize

# A Kubernetes Indexed Job.
recipe 'completionMode: Indexed' >job.yaml
jobs=$(sed -n 's/^  completions: //p' job.yaml)
command=$(sed -n "s/^ *command: \[sh, -c, '\(.*\)'\]$/\1/p" job.yaml)
[ -n "$jobs" ] && [ -n "$command" ]
for index in $(seq 0 $((jobs - 1))); do JOB_COMPLETION_INDEX=$index sh -c "$command" >log; done
is_made cast

# GNU parallel, with a shell for every node.
if command -v parallel >/dev/null; then
  cat >ssh <<'SH'
#!/bin/sh
# HOST [--] COMMAND...
shift
[ "$1" != -- ] || shift
exec sh -c "$*"
SH
  chmod +x ssh
  # A node has a PATH of its own.
  recipe 'parallel --sshlogin' | sed "s| tessera | $(command -v tessera) |" >parallel.sh
  PARALLEL_SSH=$PWD/ssh SHELL=$BASH exits 0 bash -e parallel.sh
  is_made cast
fi

# MPI, by mpirun and by srun.
if command -v mpirun >/dev/null && command -v tessera-mpi >/dev/null; then
  echo localhost slots=4 >hosts
  export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
  recipe 'mpirun --hostfile' >mpirun.sh
  exits 0 bash -e mpirun.sh
  is_made cast
  cat >srun <<'SH'
#!/bin/bash
# As many ranks as the job script asks for.
nodes=$(sed -n 's/^#SBATCH --nodes=//p' mpi.sh)
while [[ $1 == --* ]]; do shift; done
exec mpirun --quiet --oversubscribe -n "$nodes" "$@"
SH
  chmod +x srun
  recipe 'srun --mpi' >mpi.sh
  PATH=$PWD:$PATH exits 0 bash -e mpi.sh
  is_made quantize
fi
