# --memory bounds the buffers: too little is exit 6 and says how much is needed; that much is enough.
exits 0 tessera synth in --preset tiny
exits 6 tessera cast in made --to bf16 --memory 1 --json
last_error 'j["error"]["code"] == 6 and j["error"]["class"] == "memory"'
[ ! -s out ]
[ ! -e made ]
least=$(grep -o 'at least [0-9]*' err | cut -d' ' -f3)
exits 6 tessera cast in made --to bf16 --memory $((least - 1))
[ ! -e made ]
exits 0 tessera cast in made --to bf16 --memory $least --json
# A sanitizer's shadow memory is nobody's budget.
grep -q -e __asan_init -e __tsan_init "$(command -v tessera)" ||
  json "j['peak_memory'] <= 2 * $least + 16e6"
exits 0 tessera verify made
exits 0 tessera cast in default --to bf16
diff -r made default
