# A rank that dies takes the job with it; the same command, with any number of ranks, or without MPI, goes on.
needs_mpi
strace -f -o /dev/null true 2>/dev/null || skip "strace does not work here"
exits 0 tessera synth in --preset tiny --quirks --seed 7
exits 0 tessera cast in clean --to bf16

# rank R CALL N: what the ranks run; rank R is killed at its Nth CALL.
cat >rank <<'SH'
#!/bin/sh
[ "$OMPI_COMM_WORLD_RANK" = "$1" ] || exec tessera-mpi cast in made --to bf16 --threads 1
exec strace -f -o /dev/null -e trace="$2" -e inject="$2:signal=KILL:when=$3" \
  tessera-mpi cast in made --to bf16 --threads 1
SH
chmod +x rank

killed=0 begun=0
for fault in "0 fdatasync 1" "0 fdatasync 3" "0 rename 4" "0 rename 9" "1 pwrite64 2" "2 pwrite64 5" "3 fdatasync 1" "3 fdatasync 2"; do
  status=0
  mpirun_here -n 4 ./rank $fault >out 2>err || status=$?
  if [ $status != 0 ]; then
    [ $status = 137 ] || { echo "status $status at $fault" >&2; cat err >&2; exit 1; }
    killed=$((killed + 1))
    [ ! -e made/tessera.manifest.json ]
    ! ls made/.partial/*.part >/dev/null 2>&1 || begun=$((begun + 1))
  fi
  case $fault in
    "0 "*3 | "1 "*) exits 0 on_ranks 3 cast in made --to bf16 ;;
    "3 "*1) exits 0 tessera cast in made --to bf16 ;;
    *) exits 0 on_ranks 4 cast in made --to bf16 ;;
  esac
  diff -r clean made
  rm -r made
done
# A rank may end before it comes to its fault, but most do not.
[ $killed -ge 5 ] && [ $begun -ge 2 ] || { echo "killed $killed, with work begun $begun" >&2; exit 1; }
