# Main model and module on two file systems: the same files, and a run that was stopped is finished.
here=$(stat -c %d .)
other=
for folder in /dev/shm /var/tmp "/run/user/$(id -u)"; do
  if [ -w "$folder" ] && [ "$(stat -c %d "$folder")" != "$here" ]; then
    other=$(mktemp -d "$folder/tessera-split-XXXXXX")
    trap 'rm -rf "$other"' EXIT
    break
  fi
done
[ -n "$other" ] || skip "one file system only"
tessera synth in --preset tiny -q >/dev/null
tessera split-mtp in --main main --mtp mtp -q >/dev/null
exits 0 tessera split-mtp in --main far-main --mtp "$other/mtp" --json
json 'j["read_bytes"] == '"$(payload in)"
diff -r main far-main
diff -r mtp "$other/mtp"
exits 0 tessera split-mtp in --main "$other/main" --mtp far-mtp
diff -r main "$other/main"
diff -r mtp far-mtp
# A folder lost on either side is made again.
rm -r "$other/mtp" far-mtp
exits 0 tessera split-mtp in --main far-main --mtp "$other/mtp"
exits 0 tessera split-mtp in --main "$other/main" --mtp far-mtp
diff -r mtp "$other/mtp"
diff -r mtp far-mtp
exits 0 tessera join-mtp "$other/main" far-mtp joined
same_tensors in joined
