# Help that was asked for is a result: on stdout, exit 0, one screen with -h.
for arguments in "" "inspect" "version"; do
  exits 0 tessera $arguments -h
  [ ! -s err ]
  [ "$(wc -l <out)" -le 28 ]
  exits 0 tessera $arguments --help
  [ ! -s err ]
  contains "Exit codes:" out
done
