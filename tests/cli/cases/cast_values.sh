# The values are those of the published arithmetic: code x scale in F32, then to nearest even.
export PYTHONPATH="$CASES/../../support" PYTHONDONTWRITEBYTECODE=1
exits 0 tessera synth in --preset tiny --quirks --seed 11
for type in bf16 f32; do exits 0 tessera cast in $type --to $type; done
python3 - <<'PY'
import struct
import tensor_file

def e4m3(code):
    sign, exponent, fraction = -1 if code & 128 else 1, code >> 3 & 15, code & 7
    assert code & 127 != 127
    return sign * (fraction * 2.0**-9 if exponent == 0 else (8 + fraction) * 2.0**(exponent - 10))

def f32(x):  # a double product of an E4M3 and an F32 is exact, so this rounds once
    return struct.unpack("<I", struct.pack("<f", x))[0]

def bf16(bits):
    return (bits + 0x7FFF + (bits >> 16 & 1)) >> 16

source, to_bf16, to_f32 = map(tensor_file.read_folder, ("in", "bf16", "f32"))
checked = 0
for name, (dtype, shape, codes) in source.items():
    if dtype != "F8_E4M3":
        continue
    _, (_, across), scale_bytes = source[name + "_scale_inv"]
    scales = struct.unpack(f"<{len(scale_bytes) // 4}f", scale_bytes)
    height, width = shape
    # Rows around the edges of blocks, and every 61st.
    for row in {0, 1, 127, 128, height - 1, *range(0, height, 61)} & set(range(height)):
        for block in range(across):
            scale = scales[row // 128 * across + block]
            begin, end = row * width + block * 128, row * width + min(block * 128 + 128, width)
            words = [f32(e4m3(code) * scale) for code in codes[begin:end]]
            assert to_f32[name][2][4 * begin:4 * end] == struct.pack(f"<{len(words)}I", *words), name
            halves = [bf16(word) for word in words]
            assert to_bf16[name][2][2 * begin:2 * end] == struct.pack(f"<{len(halves)}H", *halves), name
            checked += len(words)
assert checked > 100_000, checked
PY
