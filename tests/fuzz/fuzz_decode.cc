// Every way to store weights, given any bytes: decoding reads what it was given, gives the same
// values however the rows are cut, and what is encoded from them is whole and can be read again.
#include <algorithm>
#include <cstring>
#include <memory>
#include <vector>

#include "quant/ggml_types.h"
#include "quant/part_spans.h"
#include "quant/scheme_ggml.h"
#include "tests/fuzz/require.h"
#include "tests/quant/int_scheme_cases.h"
#include "tests/quant/scheme_parts.h"

namespace {

using namespace tessera;

// make_corpus.py has a seed for each.
constexpr size_t kSchemes = 130;
// A search of scales takes its time under sanitizers.
constexpr uint64_t kMostValues = 600;

// Matrices that a scheme can have been stored with are multiples of these.
struct StoredAs {
  std::shared_ptr<const Scheme> scheme;
  uint64_t row_unit = 1, col_unit = 1;
  bool can_encode = true;
  uint64_t most_row_units = 20;
};

std::shared_ptr<const Scheme> Borrow(const Scheme& scheme) {
  return {std::shared_ptr<const Scheme>(), &scheme};
}

void AddInts(std::vector<StoredAs>& all) {
  for (const Search search : AllSearches()) {
    for (const IntSchemeCase& one : IntSchemeCases()) {
      const bool awq = one.name.starts_with("awq"), gptq = one.name.starts_with("gptq");
      all.push_back({one.make(search), awq ? 8u : 1u, gptq || one.name == "int4-fp8" ? 8u : 1u});
    }
  }
  for (const GptqZeros zeros : {GptqZeros::kPlain, GptqZeros::kMinusOne}) {
    for (const int bits : {4, 8}) {
      const GptqArgs args{.bits = bits, .group = 40, .symmetric = false, .zeros = zeros};
      all.push_back({MakeGptqScheme(args), 1, 8, false});
    }
  }
  all.push_back({MakeInt4Fp8Scheme({}), 1, 8, false});
}

void AddFp8(std::vector<StoredAs>& all) {
  for (const Dtype code : {Dtype::kF8E4M3, Dtype::kF8E5M2}) {
    for (const Dtype scale : {Dtype::kF32, Dtype::kBF16, Dtype::kF8E8M0}) {
      const bool can_encode = code == Dtype::kF8E4M3 && scale == Dtype::kF32;
      for (const uint32_t block : {128u, 3u}) {
        const Fp8BlockArgs args{
            .code = code, .scale = scale, .block_rows = block, .block_cols = block + 2};
        all.push_back({MakeFp8BlockScheme(args), 1, 1, can_encode});
      }
    }
  }
  all.push_back({MakeFp8BlockScheme({.scale_format = ScaleFormat::kUe8m0})});
  for (const bool in_bf16 : {false, true}) {
    all.push_back({MakeFp8ChannelScheme(Dtype::kF32, in_bf16)});
    all.push_back({MakeFp8ChannelScheme(Dtype::kBF16, in_bf16), 1, 1, false});
  }
}

// Of kv_b_proj one half in the type, the other plain: a matrix need not be whole blocks twice.
void AddKvB(Dtype type, std::vector<StoredAs>& all) {
  const uint64_t block = Info(type).block;
  all.push_back({MakeGgmlKvBScheme({.heads = 1, .nope = block, .v = 1, .k_type = type}), block + 1,
                 1, true, 1});
  all.push_back({MakeGgmlKvBScheme({.heads = 2, .nope = 3, .v = 1, .v_type = type}), 2 * (3 + 1),
                 block, true, 1});
}

void AddGgml(std::vector<StoredAs>& all) {
  std::vector<Dtype> types = {Dtype::kF32, Dtype::kF16, Dtype::kBF16};
  for (const GgmlTypeInfo& info : AllGgmlTypes()) types.push_back(info.type);
  for (const Dtype type : types) {
    if (IsPlainFloat(type)) all.push_back({Borrow(PlainScheme(type))});
    all.push_back({Borrow(GgmlMatrixScheme(type)), 1, Info(type).block});
    AddKvB(type, all);
  }
}

const std::vector<StoredAs>& All() {
  static const std::vector<StoredAs> all = [] {
    std::vector<StoredAs> made;
    AddInts(made);
    AddFp8(made);
    AddGgml(made);
    Require(made.size() == kSchemes);
    return made;
  }();
  return all;
}

// Which scheme and which matrix an input is of, and then bytes: over and over, as many as it takes.
class Input {
 public:
  Input(const uint8_t* data, size_t size) : data_(data), size_(size) {}

  uint64_t Below(uint64_t limit) { return at_ < size_ ? data_[at_++] % limit : 0; }
  std::vector<Bytes> Fill(std::vector<Bytes> parts) {
    for (Bytes& part : parts) {
      for (std::byte& byte : part) {
        byte = static_cast<std::byte>(data_[at_++]);
        if (at_ == size_) at_ = std::min<size_t>(kHead, size_ - 1);
      }
    }
    return parts;
  }

 private:
  static constexpr size_t kHead = 5;

  const uint8_t* data_;
  size_t size_, at_ = 0;
};

struct Matrix {
  const Scheme& scheme;
  uint64_t rows, cols;

  RowRange all() const { return {0, rows}; }
  std::vector<float> Decode(std::vector<Bytes>& parts, RowRange range, float before) const {
    std::vector<float> out(range.size() * cols, before);
    ValueStats stats;
    scheme.DecodeRows(Within(parts, range), rows, cols, range, out.data(), stats);
    return out;
  }
  std::vector<std::span<const std::byte>> Within(std::vector<Bytes>& parts, RowRange range) const {
    return PartSpansWithin<const std::byte>(scheme, Spans<const std::byte>(parts), rows, cols,
                                            all(), range);
  }
};

bool SameBits(std::span<const float> a, std::span<const float> b) {
  return a.size() == b.size() &&
         (a.empty() || std::memcmp(a.data(), b.data(), a.size_bytes()) == 0);
}

void CheckIntegers(const Matrix& m, std::vector<Bytes>& parts) {
  const auto* ints = dynamic_cast<const IntScheme*>(&m.scheme);
  if (ints == nullptr) return;
  const IntBuffer buffer(ints->format(), m.rows, m.cols);
  ValueStats stats;
  ints->ReadCodes(m.Within(parts, m.all()), m.rows, m.cols, m.all(), buffer.rows(), stats);
  const auto in_range = [&](int8_t code) {
    return code >= ints->format().lowest() && code <= ints->format().highest();
  };
  Require(std::ranges::all_of(buffer.rows().codes, in_range));
  Require(std::ranges::all_of(buffer.rows().zeros, in_range));
}

std::vector<float> CheckDecode(const Matrix& m, std::vector<Bytes>& parts, RowRange range) {
  std::vector<float> values = m.Decode(parts, m.all(), 0);
  const std::vector<float> some = m.Decode(parts, range, -1);
  Require(SameBits(some, std::span(values).subspan(range.begin * m.cols, range.size() * m.cols)));
  CheckIntegers(m, parts);
  std::vector<float> errors(values.size());
  m.scheme.ExpectedErrorRows(m.Within(parts, m.all()), m.rows, m.cols, m.all(), errors.data());
  return values;
}

// The fused ways and the general one.
void CheckTranscode(const Matrix& m, std::vector<Bytes>& parts) {
  for (const Dtype dtype : {Dtype::kBF16, Dtype::kF16, Dtype::kF32}) {
    const Scheme& to = PlainScheme(dtype);
    std::vector<Bytes> fused = PartsFor(to, m.rows, m.cols, m.all()), general = fused;
    ValueStats stats;
    const auto source = m.Within(parts, m.all());
    Transcode(m.scheme, source, to, Spans<std::byte>(fused), m.rows, m.cols, m.all(), stats);
    TranscodeThroughF32(m.scheme, source, to, Spans<std::byte>(general), m.rows, m.cols, m.all(),
                        stats);
    Require(fused == general);
  }
}

void CheckEncode(const Matrix& m, const std::vector<float>& values) {
  std::vector<Bytes> parts = PartsFor(m.scheme, m.rows, m.cols, m.all()), again = parts;
  for (Bytes& part : parts) std::ranges::fill(part, std::byte{0xAA});
  ValueStats stats;
  for (std::vector<Bytes>* into : {&parts, &again}) {
    m.scheme.EncodeRows(values.data(), m.rows, m.cols, m.all(), Spans<std::byte>(*into), stats);
  }
  Require(parts == again);  // every byte was written
  std::vector<float> decoded(values.size());
  ValueStats read;
  m.scheme.DecodeRows(m.Within(parts, m.all()), m.rows, m.cols, m.all(), decoded.data(), read);
  Require(read.wrong_constants == 0);
  CheckIntegers(m, parts);
}

void Check(const StoredAs& stored, Input input) {
  const Scheme& scheme = *stored.scheme;
  const uint64_t most = std::max<uint64_t>(1, kMostValues / (stored.row_unit * stored.col_unit));
  const uint64_t wide = 1 + input.Below(std::min<uint64_t>(most, 140));
  const uint64_t tall = 1 + input.Below(std::min(most / wide, stored.most_row_units));
  const Matrix m{scheme, stored.row_unit * tall, stored.col_unit * wide};
  const uint64_t begin = input.Below(m.rows), end = begin + input.Below(m.rows - begin + 1);
  std::vector<Bytes> parts = input.Fill(PartsFor(scheme, m.rows, m.cols, m.all()));
  const std::vector<float> values = CheckDecode(m, parts, {begin, end});
  CheckTranscode(m, parts);
  if (!stored.can_encode || !scheme.Accepts(m.rows, m.cols)) return;
  CheckEncode(m, values);
  std::vector<Bytes> raw = input.Fill({Bytes(values.size() * sizeof(float))});
  std::vector<float> any(values.size());
  std::memcpy(any.data(), raw[0].data(), raw[0].size());
  CheckEncode(m, any);
}

}  // namespace

// The first byte says which scheme.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  constexpr size_t kLeast = 8;
  if (size < kLeast) return 0;
  Input input(data, size);
  Check(All()[input.Below(kSchemes)], input);
  return 0;
}
