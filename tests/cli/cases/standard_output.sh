# A result that could not be delivered is an error; a reader that has seen enough is not.
status=0
tessera version >/dev/full 2>err || status=$?
[ $status = 4 ]
contains "cannot write to standard output"
status=0
tessera version >&- 2>err || status=$?
[ $status = 4 ]
# The reader of this pipe has gone before the first byte is written.
{ sleep 0.2; status=0; tessera --help || status=$?; echo $status >status; } | true
[ "$(cat status)" = 0 ]
