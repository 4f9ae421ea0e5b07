#include "quant/imatrix.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <utility>

namespace tessera {
namespace {

constexpr std::string_view kSums = ".in_sum2", kCounts = ".counts";
// More than any model has experts or heads.
constexpr uint64_t kMaxCounts = uint64_t{1} << 16;
constexpr uint64_t kMaxText = uint64_t{1} << 16;

Error Bad(std::string what) { return Error(ErrorCode::kBadCalibration, std::move(what)); }

Result<void> ReadFloats(const File& file, uint64_t offset, std::span<float> out) {
  return file.ReadAt(offset, std::as_writable_bytes(out));
}

bool IsMeasured(float value) { return std::isfinite(value) && value >= 0; }

// Whole and exact, as counts of tokens are.
bool IsCount(float value) {
  return IsMeasured(value) && value == std::trunc(value) && value < 0x1p63f;
}

struct Pair {
  const GgufEntry* sums = nullptr;
  const GgufEntry* counts = nullptr;
};

// The file front to back, never past its end.
class DatReader {
 public:
  DatReader(const File& file, uint64_t bytes) : file_(file), bytes_(bytes) {}

  uint64_t offset() const { return offset_; }
  uint64_t left() const { return bytes_ - offset_; }

  Result<int32_t> Int(int32_t least, const char* what) {
    int32_t value = 0;
    TESSERA_TRY(Take(sizeof value));
    TESSERA_TRY(file_.ReadAt(offset_ - sizeof value, std::as_writable_bytes(std::span(&value, 1))));
    if (value >= least) return value;
    return Fail(Bad(std::string("no ") + what + " can be this")
                    .In(file_.path().string())
                    .Expected("at least " + std::to_string(least))
                    .Found(std::to_string(value) + " before byte " + std::to_string(offset_)));
  }

  Result<std::string> Text(int32_t least) {
    TESSERA_ASSIGN(const int32_t length, Int(least, "length of a name"));
    const uint64_t size = static_cast<uint64_t>(length);
    if (size > kMaxText) {
      return Fail(Bad("a name is too long")
                      .In(file_.path().string())
                      .Expected("at most " + std::to_string(kMaxText) + " bytes")
                      .Found(std::to_string(size) + " before byte " + std::to_string(offset_)));
    }
    TESSERA_TRY(Take(size));
    std::string text(size, '\0');
    TESSERA_TRY(file_.ReadAt(offset_ - size, std::as_writable_bytes(std::span(text))));
    return text;
  }

  Result<void> Take(uint64_t bytes) {
    if (bytes > left()) {
      return Fail(Bad("the importance matrix ends too soon")
                      .In(file_.path().string())
                      .Expected(std::to_string(bytes) + " bytes at " + std::to_string(offset_))
                      .Found(std::to_string(left())));
    }
    offset_ += bytes;
    return {};
  }

 private:
  const File& file_;
  uint64_t bytes_, offset_ = 0;
};

}  // namespace

Result<ImportanceMatrix> ImportanceMatrix::Open(const std::filesystem::path& path) {
  TESSERA_ASSIGN(File file, File::OpenRead(path));
  TESSERA_ASSIGN(const FileIdentity identity, file.Identity());
  ImportanceMatrix matrix(std::move(file));
  char magic[4] = {};
  if (identity.size >= sizeof magic) {
    TESSERA_TRY(matrix.file_.ReadAt(0, std::as_writable_bytes(std::span(magic))));
  }
  const bool gguf = std::string_view(magic, sizeof magic) == "GGUF";
  Result<void> opened = gguf ? matrix.OpenGguf() : matrix.OpenDat(identity.size);
  if (!opened && !gguf) {
    return Fail(
        std::move(opened).error().Next("neither GGUF nor a complete .dat file of llama-imatrix"));
  }
  if (opened) opened = matrix.Finish();
  if (!opened) return Fail(std::move(opened).error().Within(path.string()));
  return matrix;
}

Result<void> ImportanceMatrix::OpenGguf() {
  TESSERA_ASSIGN(const GgufHeader header, ReadGgufHeader(file_));
  TESSERA_TRY(ReadMetadata(header.metadata));
  std::map<std::string, Pair, std::less<>> pairs;
  for (const GgufEntry& entry : header.entries) {
    std::string_view name = entry.info.name();
    const bool is_sum = name.ends_with(kSums);
    if (!is_sum && !name.ends_with(kCounts)) continue;
    if (entry.info.dtype() != Dtype::kF32) {
      return Fail(
          Bad("sums and counts are F32").Of(entry.info.name()).Found(entry.info.Describe()));
    }
    name.remove_suffix(is_sum ? kSums.size() : kCounts.size());
    Pair& pair = pairs[std::string(name)];
    (is_sum ? pair.sums : pair.counts) = &entry;
  }
  for (const auto& [name, pair] : pairs) {
    if (pair.sums == nullptr || pair.counts == nullptr) {
      return Fail(Bad("sums and counts do not pair up").Of(name));
    }
    const TensorInfo& info = pair.counts->info;
    if (info.elements() > kMaxCounts) {
      return Fail(
          Bad("more counts than a model has experts").Of(info.name()).Found(info.Describe()));
    }
    Importance entry{.name = name,
                     .values = pair.sums->info.elements(),
                     .counts = std::vector<float>(info.elements()),
                     .offset = header.data_begin + pair.sums->begin};
    TESSERA_TRY(ReadFloats(file_, header.data_begin + pair.counts->begin, entry.counts));
    entries_.push_back(std::move(entry));
  }
  return {};
}

Result<void> ImportanceMatrix::ReadMetadata(const GgufMetadata& metadata) {
  const auto* type = FindValue<std::string>(metadata, "general.type");
  if (type == nullptr || *type != "imatrix") {
    return Fail(Bad("this GGUF file is no importance matrix")
                    .Expected("general.type imatrix")
                    .Found(type == nullptr ? "no general.type" : *type));
  }
  const auto* datasets = FindValue<std::vector<std::string>>(metadata, "imatrix.datasets");
  const auto* chunks = FindValue<uint32_t>(metadata, "imatrix.chunk_count");
  const auto* size = FindValue<uint32_t>(metadata, "imatrix.chunk_size");
  if (datasets == nullptr || chunks == nullptr || size == nullptr) {
    return Fail(Bad("the importance matrix does not say what it was measured on")
                    .Expected("imatrix.datasets, imatrix.chunk_count and imatrix.chunk_size"));
  }
  datasets_ = *datasets;
  chunk_count_ = *chunks;
  return {};
}

Result<void> ImportanceMatrix::OpenDat(uint64_t file_bytes) {
  dat_ = true;
  DatReader reader(file_, file_bytes);
  TESSERA_ASSIGN(const int32_t count, reader.Int(1, "number of entries"));
  for (int32_t i = 0; i < count; ++i) {
    Importance entry;
    TESSERA_ASSIGN(entry.name, reader.Text(1));
    TESSERA_ASSIGN(const int32_t calls, reader.Int(0, "number of calls"));
    TESSERA_ASSIGN(const int32_t values, reader.Int(1, "number of values"));
    entry.values = static_cast<uint64_t>(values);
    entry.counts = {static_cast<float>(calls)};
    entry.offset = reader.offset();
    TESSERA_TRY(reader.Take(entry.values * sizeof(float)));
    entries_.push_back(std::move(entry));
  }
  // Old files end here.
  if (reader.left() == 0) return {};
  TESSERA_ASSIGN(const int32_t chunks, reader.Int(0, "number of chunks"));
  chunk_count_ = static_cast<uint32_t>(chunks);
  if (reader.left() == 0) return {};
  TESSERA_ASSIGN(std::string dataset, reader.Text(0));
  if (!dataset.empty()) datasets_.push_back(std::move(dataset));
  if (reader.left() == 0) return {};
  return Fail(Bad("bytes after the end of the importance matrix")
                  .Found(std::to_string(reader.left()) + " bytes"));
}

// Order, and what both forms must keep to.
Result<void> ImportanceMatrix::Finish() {
  if (entries_.empty()) return Fail(Bad("there is nothing in this importance matrix"));
  std::ranges::sort(entries_, {}, &Importance::name);
  const auto twice = std::ranges::adjacent_find(entries_, {}, &Importance::name);
  if (twice != entries_.end()) return Fail(Bad("a tensor was measured twice").Of(twice->name));
  Xxh3Stream hash;
  hash.Update(uint64_t{dat_});
  for (const Importance& entry : entries_) {
    const bool fits = !entry.counts.empty() && entry.values % entry.counts.size() == 0;
    if (!fits || entry.values == 0 || !std::ranges::all_of(entry.counts, IsCount)) {
      return Fail(Bad("counts are whole numbers, one for a tensor or for each of its experts")
                      .Of(entry.name)
                      .Found(std::to_string(entry.counts.size()) + " for " +
                             std::to_string(entry.values) + " values"));
    }
    hash.Update(entry.name.size());
    hash.Update(entry.name);
    hash.Update(entry.values);
    hash.Update(entry.counts.size());
    hash.Update(std::as_bytes(std::span(entry.counts)));
    TESSERA_TRY(CheckValues(entry, hash));
  }
  digest_ = hash.Finish();
  return {};
}

Result<void> ImportanceMatrix::CheckValues(const Importance& entry, Xxh3Stream& hash) const {
  constexpr uint64_t kPiece = uint64_t{1} << 18;
  std::vector<float> piece;
  for (uint64_t begin = 0; begin < entry.values; begin += kPiece) {
    piece.resize(std::min(kPiece, entry.values - begin));
    TESSERA_TRY(ReadFloats(file_, entry.offset + begin * sizeof(float), piece));
    hash.Update(std::as_bytes(std::span(piece)));
    const auto bad = std::ranges::find_if_not(piece, IsMeasured);
    if (bad == piece.end()) continue;
    return Fail(Bad("a sum of squares is no such number")
                    .Of(entry.name)
                    .Expected("0 or more, finite")
                    .Found(std::to_string(*bad)));
  }
  return {};
}

const Importance* ImportanceMatrix::Find(std::string_view name) const {
  const auto it = std::ranges::lower_bound(entries_, name, {}, &Importance::name);
  return it == entries_.end() || it->name != name ? nullptr : &*it;
}

Result<void> ImportanceMatrix::Read(const Importance& entry, uint64_t matrix, uint64_t matrices,
                                    std::span<float> out) const {
  const uint64_t columns = out.size(), begin = matrix * columns;
  TESSERA_CHECK(matrix < matrices);
  if (entry.values != columns * matrices) {
    return Fail(
        Bad("the importance matrix is of a model with other shapes")
            .In(path().string())
            .Of(entry.name)
            .Expected(std::to_string(matrices) + " x " + std::to_string(columns) + " values")
            .Found(std::to_string(entry.values)));
  }
  TESSERA_TRY(ReadFloats(file_, entry.offset + begin * sizeof(float), out));
  const uint64_t values_a_count = entry.values / entry.counts.size();
  for (uint64_t i = 0; i < columns; ++i) {
    const float count = entry.counts[(begin + i) / values_a_count];
    if (count > 0) {
      out[i] /= count;
    } else if (!dat_) {
      out[i] = 1;
    }
  }
  return {};
}

}  // namespace tessera
