# Functions for the cases of the command-line tests; see run.py.

# exits CODE COMMAND...: runs the command, keeps its output in ./out and ./err, and fails the case
# when its status is another.
exits() {
  local expected=$1 status=0
  shift
  "$@" >out 2>err || status=$?
  if [ "$status" != "$expected" ]; then
    echo "expected exit $expected, got $status from: $*" >&2
    cat err >&2
    return 1
  fi
}

# json EXPRESSION [FILE]: evaluates a Python expression over the JSON in FILE (default ./out) as `j`
# and fails the case when it is false. Prints the value of anything that is neither.
json() {
  python3 -c '
import json, sys
j = json.load(open(sys.argv[2]))
value = eval(sys.argv[1])
if value is False:
    sys.exit(f"false: {sys.argv[1]}\nin {json.dumps(j)[:2000]}")
if value is not True:
    print(value)' "$1" "${2-out}"
}

# last_error EXPRESSION: the same over the error object on the last line of ./err.
last_error() {
  tail -n 1 err >error.json
  json "$1" error.json
}

# contains TEXT [FILE]: fails the case when FILE (default ./err) lacks the text.
contains() {
  if ! grep -qF -- "$1" "${2-err}"; then
    echo "not in ${2-err}: $1" >&2
    cat "${2-err}" >&2
    return 1
  fi
}

# on_terminal COMMAND...: runs it with stdout and stderr on one pseudo-terminal, kept in ./out.
on_terminal() {
  python3 -c '
import os, pty, sys
kept = open("out", "wb")
def keep(terminal):
    data = os.read(terminal, 65536)
    kept.write(data)
    return data
sys.exit(os.waitstatus_to_exitcode(pty.spawn(sys.argv[1:], keep)))' "$@" >/dev/null
}
