# One tree, whatever the threads, the memory, the SIMD target, the open files and the locale.
exits 0 tessera synth in --preset tiny --quirks --seed 2
digests() { (cd "$1" && find . -type f -exec sha256sum {} + | sort -k 2); }
exits 6 tessera cast in none --to bf16 --memory 1
least=$(grep -o 'at least [0-9]*' err | cut -d' ' -f3)
exits 0 tessera cast in first --to bf16
expected=$(digests first)
[ "$(wc -l <<<"$expected")" = 14 ]
same() {
  exits 0 "$@"
  if [ "$(digests made)" != "$expected" ]; then
    echo "another tree from: $*" >&2
    return 1
  fi
  rm -r made
}
for threads in 1 2 7; do
  for memory in $least 64MiB 256MiB; do
    same tessera cast in made --to bf16 --threads $threads --memory $memory
  done
done
(ulimit -n 64; same tessera cast in made --to bf16)
# Commas for decimal points; an I whose small letter is none of ASCII's.
mkdir locales
for locale in de_DE tr_TR; do
  localedef -i $locale -f UTF-8 "$PWD/locales/$locale.UTF-8" 2>/dev/null || true
  same env LOCPATH="$PWD/locales" LC_ALL=$locale.UTF-8 tessera cast in made --to bf16
done
for zone in Asia/Kolkata America/St_Johns Nowhere/Else; do
  same env TZ=$zone LC_ALL=de_DE.UTF-8 tessera cast in made --to bf16
done
# From elsewhere, under another name, through a link.
ln -s "$PWD/in" elsewhere
same tessera cast ./elsewhere/ "$PWD/made" --to bf16
# Any target that this processor has; the name of none is refused.
exits 2 env TESSERA_SIMD=NONSENSE tessera cast in none --to bf16
for target in AVX3 AVX2 SSE4 SSSE3 SCALAR EMU128; do
  TESSERA_SIMD=$target tessera cast in none --to bf16 --dry-run >out 2>err || continue
  same env TESSERA_SIMD=$target tessera cast in made --to bf16
done
# And back to FP8, where amax and rounding are the kernels' too.
exits 0 tessera cast first fp8 --to fp8
expected=$(digests fp8)
for threads in 1 7; do
  same tessera cast first made --to fp8 --threads $threads --memory 2MiB
done
