# An output that cannot be written is exit 4 with the path and what the system said.
exits 0 tessera synth in --preset tiny
touch file
for out in file/below /proc/tessera-out /dev/null/out; do
  exits 4 tessera cast in $out --to bf16 --json
  last_error 'j["error"]["code"] == 4 and j["error"]["class"] == "output" and j["error"]["file"] != ""'
  [ ! -s out ]
  if grep -E '(writing to|making|renaming [^ ]* to|removing|reserving space for) failed' err; then exit 1; fi
done
# A limit on file sizes is an error and no death by signal; without it the same command goes on.
status=0
(ulimit -f 1000; exec tessera cast in made --to bf16 --json >out 2>err) || status=$?
[ $status = 4 ]
last_error 'j["error"]["code"] == 4'
exits 0 tessera cast in made --to bf16
exits 0 tessera verify made
[ ! -e made/.partial ]
# So are few open files, which are enough.
(ulimit -n 64; exec tessera cast in few --to bf16 >out 2>err)
diff -r made few
# A result that cannot be delivered is an error though the work is done.
status=0
tessera cast in again --to bf16 --json >/dev/full 2>err || status=$?
[ $status = 4 ]
exits 0 tessera verify again
# Nor is it undone when the reader has gone, or there is nobody to tell of errors.
{ sleep 0.2; status=0; tessera cast in unread --to bf16 --json || status=$?; echo $status >status; } | true
[ "$(cat status)" = 0 ]
exits 0 tessera verify unread
tessera cast in untold --to bf16 >/dev/null 2>&-
exits 0 tessera verify untold

# A file system that is too small, or read-only, where the machine lets us make one.
unshare -Urm true 2>/dev/null || exit 0
mkdir small
on_small() {  # on_small OPTIONS: casts to a tmpfs mounted with these options; its status and output
  status=0
  unshare -Urm bash -c "mount -t tmpfs -o $1 none small
    tessera cast in small/out --to bf16 --json >cast.out 2>err; status=\$?
    find small -mindepth 1 -name '*' >left; exit \$status" || status=$?
}
on_small size=8m
[ $status = 4 ]
last_error 'j["error"]["rule"] == "no-space"'
contains "expected:"
contains "found:"
[ ! -s left ]
on_small size=8m,ro
[ $status = 4 ]
[ ! -s left ]
[ ! -s cast.out ]
# Inodes run out on the way, which nothing foretells.
on_small size=64m,nr_inodes=6
[ $status = 4 ]
last_error 'j["error"]["rule"] == "no-space"'
if grep -E '\.safetensors$' left | grep -v '\.partial/'; then exit 1; fi
on_small size=64m
[ $status = 0 ]
