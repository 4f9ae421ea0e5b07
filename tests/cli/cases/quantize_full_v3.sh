# The plan of every scheme for the whole of DeepSeek-V3, exact and in less than five seconds each.
# labels: slow
exits 0 tessera synth in --preset deepseek-v3 --sparse
exits 0 tessera schemes --json
for scheme in $(json '" ".join(s["name"] for s in j["schemes"] if not s["name"].startswith("repack-") and s["name"] != "fp8-block")'); do
  options=
  case $scheme in w4afp8 | trtllm-w4a8) options="--input-scale 0.01" ;; esac
  begin=$(date +%s%N)
  exits 0 tessera quantize in none --scheme $scheme $options --dry-run --json
  took=$((($(date +%s%N) - begin) / 1000000))
  # A sanitizer is slower.
  grep -q -e __asan_init -e __tsan_init "$(command -v tessera)" || [ $took -lt 5000 ] || { echo "$scheme: $took ms" >&2; exit 1; }
  cp out $scheme.json
done
[ ! -e none ]
python3 - <<'PY'
# The released model: 61 layers, 3 of them dense, and one MTP layer; widths as its config.json has them.
import json
up = lambda a, b: -(-a // b)
attention = [(1536, 7168), (24576, 1536), (576, 7168), (7168, 16384)]  # q_a, q_b, kv_a, o
kv_b = (32768, 512)
mlp = lambda width: [(width, 7168), (width, 7168), (7168, width)]
experts = 59 * 256 * mlp(2048)
rest = 62 * attention + 3 * mlp(18432) + 59 * mlp(2048)
linears = experts + rest + 62 * [kv_b]
weights = lambda shapes: sum(n * k for n, k in shapes)
fp8 = lambda shapes: sum(n * k + 4 * up(n, 128) * up(k, 128) for n, k in shapes)
source = 688574839360
plain = source - fp8(linears)  # norms, router and its bias, embeddings, heads, eh_proj
bf16 = lambda shapes: 2 * weights(shapes)
bytes_of = {
    # Words of eight codes, a BF16 scale for 128 columns, the shape.
    "w4a16": bf16(rest + 62 * [kv_b]) + sum(n * k // 2 + 2 * n * (k // 128) + 16 for n, k in experts),
    "w4a16-g32": bf16(rest + 62 * [kv_b]) + sum(n * k // 2 + 2 * n * (k // 32) + 16 for n, k in experts),
    "w4a16-asym": bf16(rest + 62 * [kv_b]) +
                  sum(n * k // 2 + 2 * n * (k // 128) + n // 8 * 4 * (k // 128) + 16 for n, k in experts),
    "w8a16": bf16(62 * [kv_b]) + sum(n * k + 2 * n + 16 for n, k in experts + rest),
    "w8a8": bf16(62 * [kv_b]) + sum(n * k + 4 * n for n, k in experts + rest),
    "int8-block": fp8(linears),
    "int8-channel": sum(n * k + 4 * n for n, k in linears),
    "fp8-channel": bf16(62 * [kv_b]) + sum(n * k + 4 * n for n, k in experts + rest),
    "w4afp8": fp8(rest + 62 * [kv_b]) + sum(n * k // 2 + 4 * n * (k // 128) + 4 for n, k in experts),
    "trtllm-w4a8": fp8(rest + 62 * [kv_b]) + sum(n * k // 2 + 4 * n * (k // 128) + 4 for n, k in experts),
    "awq": bf16(62 * [kv_b]) +
           sum(n * k // 2 + (k // 128) * (n // 8 * 4 + 2 * n) for n, k in experts + rest),
    "gptq4": bf16(rest + 62 * [kv_b]) +
             sum(n * k // 2 + (k // 128) * (n // 8 * 4 + 2 * n) + 4 * k for n, k in experts),
    "gptq8": bf16(62 * [kv_b]) + sum(n * k + (k // 128) * (n // 4 * 4 + 2 * n) + 4 * k for n, k in experts + rest),
    "ascend-w8a8-dynamic": bf16(62 * [kv_b]) + sum(n * k + 8 * n for n, k in experts + rest),
}
for scheme, linears_bytes in bytes_of.items():
    plan = json.load(open(scheme + ".json"))
    assert plan["bytes"] == plain + linears_bytes, (scheme, plan["bytes"], plain + linears_bytes)
    assert sum(plan["ledger"].values()) == 91991, plan["ledger"]
PY
