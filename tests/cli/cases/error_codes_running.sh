# Every way in which a run can fail besides its input, by the name that JSON has for it.
exits 0 tessera synth in --preset tiny
cast="tessera cast in made --to bf16"
fails usage tessera cast in made --to f17
fails output-conflict tessera cast in in/below --to bf16
fails output-not-writable tessera cast in /dev/null/out --to bf16
fails memory-budget $cast --memory 1
[ ! -e made ]
# A result that cannot be printed.
status=0
tessera version --json >/dev/full 2>err || status=$?
[ $status = 4 ]
last_error 'j["error"]["rule"] == "write-failed"'

mkdir theirs
touch theirs/notes.txt
fails foreign-file tessera cast in theirs --to bf16
# A part leaves an output that is not whole.
exits 0 $cast --part 1/2
fails unfinished-parts tessera finish made
fails plan-mismatch tessera cast in made --to f16
(
  flock 9
  fails output-locked $cast
) 9<>made/.partial/run.lock
sed -i '1s/^/not a /' made/.partial/part-1-of-2.journal
fails damaged-journal $cast --part 1/2
