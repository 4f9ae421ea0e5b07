#include "quant/kernels/fp8.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "quant/kernels/fp8.cc"
#include <hwy/foreach_target.h>
// Must come after foreach_target.h.
#include <hwy/highway.h>

#include <algorithm>

#include "quant/kernels/lanes-inl.h"

HWY_BEFORE_NAMESPACE();
namespace tessera::kernels::HWY_NAMESPACE {

using CodeTag = hn::ScalableTag<uint8_t>;
using CodeVec = hn::Vec<CodeTag>;

struct FromE4m3 {
  static constexpr uint8_t kLastNumber = 0x7E;  // above it, sign aside, codes are NaN
  HWY_INLINE F32Vec operator()(hn::Vec<U8Tag> code) const { return DecodeE4m3(code); }
};

struct FromE5m2 {
  static constexpr uint8_t kLastNumber = 0x7C;
  HWY_INLINE F32Vec operator()(hn::Vec<U8Tag> code) const { return DecodeE5m2(code); }
};

struct ToBf16 {
  HWY_INLINE hn::Vec<U16Tag> operator()(F32Vec x) { return RoundToBf16(x); }
};

struct ToF32 {
  HWY_INLINE F32Vec operator()(F32Vec x) { return OneNan(x); }
};

template <class From, class To>
struct Dequant {
  From from;
  To& to;
  float scale;

  HWY_INLINE auto operator()(hn::Vec<U8Tag> code) {
    return to(hn::Mul(from(code), hn::Set(F32Tag(), scale)));
  }
};

// Plain arithmetic: right for every scale.
template <class From, class To, class TOut>
HWY_INLINE void DequantBlock(const uint8_t* codes, size_t n, float scale, To& to, TOut* out) {
  Dequant<From, To> op{{}, to, scale};
  ForEachLane(codes, n, out, op);
}

// NaN codes are rare: first the largest magnitude, and only if that is one, the count.
size_t CountAbove(const uint8_t* codes, size_t n, uint8_t last_number) {
  const CodeTag d;
  const size_t lanes = hn::Lanes(d);
  const auto mask = hn::Set(d, uint8_t{0x7F});
  auto largest = hn::Zero(d);
  size_t i = 0;
  for (; i + lanes <= n; i += lanes) {
    largest = hn::Max(largest, hn::And(hn::LoadU(d, codes + i), mask));
  }
  uint8_t by_lane[hn::MaxLanes(d)];
  hn::StoreU(largest, d, by_lane);
  const auto above = [=](uint8_t code) { return (code & 0x7F) > last_number; };
  if (std::any_of(by_lane, by_lane + lanes, above)) i = 0;
  return static_cast<size_t>(std::count_if(codes + i, codes + n, above));
}

template <class From, class To, class TOut>
HWY_INLINE size_t DequantRows(const Fp8Rows& in, To& to, TOut* out) {
  size_t nan_codes = 0;
  for (size_t row = 0; row < in.rows; ++row) {
    const uint8_t* codes = in.codes + row * in.cols;
    TOut* row_out = out + row * in.cols;
    for (size_t begin = 0; begin < in.cols; begin += in.block_cols) {
      const size_t n = std::min<size_t>(in.block_cols, in.cols - begin);
      DequantBlock<From>(codes + begin, n, in.scales[begin / in.block_cols], to, row_out + begin);
    }
    nan_codes += CountAbove(codes, in.cols, From::kLastNumber);
  }
  return nan_codes;
}

template <class To, class TOut>
HWY_INLINE size_t DequantRowsOf(const Fp8Rows& in, To& to, TOut* out) {
  return in.format == Fp8Code::kE4m3 ? DequantRows<FromE4m3>(in, to, out)
                                     : DequantRows<FromE5m2>(in, to, out);
}

#if HWY_TARGET != HWY_SCALAR  // which has no byte shuffles

// E4M3 times one scale, as BF16, from 16 table entries and an integer addition.
//
// Entries 0..7 are the subnormal codes' results, 8..15 those of codes 8..15, the lowest binade of
// normal codes. Any other code 8e + m is code 8 + m times 2^(e-1). Multiplying by a power of two
// commutes with rounding as long as nothing leaves the normal range, so both roundings, to F32 and
// to BF16, leave the same fraction, and only the exponent differs: by e - 1, that is, by
// (e - 1) << 7 in the bits. Within 2^-120 <= |scale| < 2^119 it holds: the smallest product,
// 2^-6 * 2^-120, is normal and the largest, 448 * 2^119 = 1.75 * 2^127, is finite even when rounded
// up. NaN codes do not fit the pattern and are left to the caller.
struct alignas(16) ScaleTable {
  uint8_t low[16], high[16];
  bool exact;
};

constexpr uint8_t kFirst16Codes[16] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};

HWY_INLINE ScaleTable MakeScaleTable(float scale) {
  ScaleTable table;
  const float magnitude = scale < 0 ? -scale : scale;
  table.exact = magnitude >= 0x1p-120f && magnitude < 0x1p119f;
  uint16_t entries[16];
  ToBf16 to;
  DequantBlock<FromE4m3>(kFirst16Codes, 16, scale, to, entries);
  for (size_t i = 0; i < 16; ++i) {
    table.low[i] = static_cast<uint8_t>(entries[i] & 0xFF);
    table.high[i] = static_cast<uint8_t>(entries[i] >> 8);
  }
  return table;
}

using HalfTag = hn::Repartition<uint64_t, CodeTag>;

// Interleaving works within 16-byte blocks: to come out in order, the 8-byte halves must go in as
// 0, n, 1, n+1, ... where 2n of them make a vector.
HWY_INLINE auto HalvesOrder() {
  const HalfTag d;
  HWY_ALIGN int64_t order[hn::MaxLanes(d)];
  const size_t halves = hn::Lanes(d);
  for (size_t i = 0; i < halves; ++i) {
    order[i] = static_cast<int64_t>(i / 2 + (i % 2) * (halves / 2));
  }
  return hn::SetTableIndices(d, order);
}
using HalvesIndices = decltype(HalvesOrder());

HWY_INLINE CodeVec InOrder(CodeVec codes, [[maybe_unused]] HalvesIndices order) {
#if HWY_MAX_BYTES == 16
  return codes;
#else
  return hn::BitCast(CodeTag(), hn::TableLookupLanes(hn::BitCast(HalfTag(), codes), order));
#endif
}

// `largest` gathers the largest magnitude of a code.
HWY_INLINE void LookUp(CodeVec codes, CodeVec low_table, CodeVec high_table, CodeVec& largest,
                       uint16_t* out) {
  const CodeTag d;
  const hn::Repartition<uint16_t, CodeTag> d16;
  const auto magnitude = hn::And(codes, hn::Set(d, uint8_t{0x7F}));
  largest = hn::Max(largest, magnitude);
  // The lowest code with this fraction: itself if subnormal, else 8 + m, which is never above it.
  const auto entry =
      hn::Min(magnitude, hn::Or(hn::And(codes, hn::Set(d, uint8_t{7})), hn::Set(d, uint8_t{8})));
  const auto binades = hn::Sub(magnitude, entry);  // (e - 1) << 3
  const auto low = hn::TableLookupBytes(low_table, entry);
  const auto high = hn::Xor(hn::TableLookupBytes(high_table, entry), hn::Sub(codes, magnitude));
  const auto zero = hn::Zero(d);
  const auto first =
      hn::Add(hn::BitCast(d16, hn::InterleaveLower(d, low, high)),
              hn::ShiftLeft<4>(hn::BitCast(d16, hn::InterleaveLower(d, binades, zero))));
  const auto second =
      hn::Add(hn::BitCast(d16, hn::InterleaveUpper(d, low, high)),
              hn::ShiftLeft<4>(hn::BitCast(d16, hn::InterleaveUpper(d, binades, zero))));
  hn::StoreU(first, d16, out);
  hn::StoreU(second, d16, out + hn::Lanes(d16));
}

HWY_INLINE void LookUpBlock(const uint8_t* codes, size_t n, const ScaleTable& table,
                            HalvesIndices order, CodeVec& largest, uint16_t* out) {
  const CodeTag d;
  const size_t lanes = hn::Lanes(d);
  const auto low = hn::LoadDup128(d, table.low);
  const auto high = hn::LoadDup128(d, table.high);
  size_t i = 0;
  for (; i + lanes <= n; i += lanes) {
    LookUp(InOrder(hn::LoadU(d, codes + i), order), low, high, largest, out + i);
  }
  if (i == n) return;
  uint8_t tail[hn::MaxLanes(d)] = {};
  uint16_t result[hn::MaxLanes(d)];
  std::memcpy(tail, codes + i, n - i);
  LookUp(InOrder(hn::LoadU(d, tail), order), low, high, largest, result);
  std::memcpy(out + i, result, (n - i) * sizeof(uint16_t));
}

// One row of a strip; false if it holds NaN codes, whose results are then wrong.
HWY_INLINE bool LookUpRow(const Fp8Rows& strip, const ScaleTable* tables, HalvesIndices order,
                          uint16_t* out) {
  const CodeTag d;
  auto largest = hn::Zero(d);
  size_t nan_elsewhere = 0;
  ToBf16 to;
  for (size_t begin = 0, block = 0; begin < strip.cols; begin += strip.block_cols, ++block) {
    const size_t n = std::min<size_t>(strip.block_cols, strip.cols - begin);
    if (tables[block].exact) {
      LookUpBlock(strip.codes + begin, n, tables[block], order, largest, out + begin);
    } else {
      DequantBlock<FromE4m3>(strip.codes + begin, n, strip.scales[block], to, out + begin);
      nan_elsewhere += CountAbove(strip.codes + begin, n, FromE4m3::kLastNumber);
    }
  }
  return nan_elsewhere == 0 && hn::AllFalse(d, hn::Eq(largest, hn::Set(d, uint8_t{0x7F})));
}

// As many blocks side by side as have their tables on the stack at once.
inline constexpr size_t kStripBlocks = 64;

size_t E4m3ToBf16(const Fp8Rows& in, uint16_t* out) {
  const HalvesIndices order = HalvesOrder();
  const size_t blocks = (in.cols + in.block_cols - 1) / in.block_cols;
  ScaleTable tables[kStripBlocks];
  size_t nan_codes = 0;
  ToBf16 to;
  for (size_t first = 0; first < blocks; first += kStripBlocks) {
    const size_t count = std::min(kStripBlocks, blocks - first);
    const size_t begin = first * in.block_cols;
    Fp8Rows strip = in;
    strip.scales += first;
    strip.cols = std::min(in.cols - begin, count * in.block_cols);
    strip.rows = 1;
    for (size_t i = 0; i < count; ++i) tables[i] = MakeScaleTable(strip.scales[i]);
    for (size_t row = 0; row < in.rows; ++row) {
      strip.codes = in.codes + row * in.cols + begin;
      uint16_t* strip_out = out + row * in.cols + begin;
      if (LookUpRow(strip, tables, order, strip_out)) continue;
      nan_codes += CountAbove(strip.codes, strip.cols, FromE4m3::kLastNumber);
      DequantRows<FromE4m3>(strip, to, strip_out);
    }
  }
  return nan_codes;
}

#else

size_t E4m3ToBf16(const Fp8Rows& in, uint16_t* out) {
  ToBf16 to;
  return DequantRows<FromE4m3>(in, to, out);
}

#endif

size_t Fp8ToBf16(const Fp8Rows& in, uint16_t* out) {
  if (in.format == Fp8Code::kE4m3) return E4m3ToBf16(in, out);
  ToBf16 to;
  return DequantRows<FromE5m2>(in, to, out);
}

size_t Fp8ToF32(const Fp8Rows& in, float* out) {
  ToF32 to;
  return DequantRowsOf(in, to, out);
}

size_t Fp8ToF16(const Fp8Rows& in, bool saturate, uint16_t* out, size_t& overflows) {
  NarrowToF16 to{BeyondBits(saturate)};
  const size_t nan_codes = DequantRowsOf(in, to, out);
  overflows += to.overflows;
  return nan_codes;
}

}  // namespace tessera::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace tessera::kernels {

HWY_EXPORT(Fp8ToBf16);
HWY_EXPORT(Fp8ToF32);
HWY_EXPORT(Fp8ToF16);

size_t Fp8ToBf16(const Fp8Rows& in, uint16_t* out) {
  return HWY_DYNAMIC_DISPATCH(Fp8ToBf16)(in, out);
}

size_t Fp8ToF32(const Fp8Rows& in, float* out) { return HWY_DYNAMIC_DISPATCH(Fp8ToF32)(in, out); }

size_t Fp8ToF16(const Fp8Rows& in, bool saturate, uint16_t* out, size_t& overflows) {
  return HWY_DYNAMIC_DISPATCH(Fp8ToF16)(in, saturate, out, overflows);
}

}  // namespace tessera::kernels
#endif  // HWY_ONCE
