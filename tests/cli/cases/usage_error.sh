# A usage error exits 2, says why after the help, and prints nothing on stdout.
for arguments in "" "no-such-command" "inspect" "inspect a b" "inspect a --no-such-option" \
  "version --json extra"; do
  exits 2 tessera $arguments
  [ ! -s out ]
  contains "Usage: tessera"
  contains "error: "
done
last_error 'j["error"]["code"] == 2 and j["error"]["class"] == "usage"'
exits 2 tessera no-such-command
contains "unknown command: no-such-command"
