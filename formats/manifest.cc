#include "formats/manifest.h"

#include <algorithm>
#include <charconv>
#include <numeric>
#include <optional>
#include <utility>
#include <variant>

#include "formats/file.h"
#include "formats/json.h"

namespace tessera {
namespace {

constexpr std::array<std::string_view, kActions> kActionNames = {
    "copied", "cast", "dequantized", "quantized", "repacked", "folded", "dropped"};
constexpr uint64_t kMaxManifestBytes = uint64_t{1} << 30;
constexpr uint64_t kSchema = 1;

constexpr std::pair<std::string_view, double TensorQuality::*> kQualityRatios[] = {
    {"sqnr", &TensorQuality::sqnr},
    {"predicted_sqnr", &TensorQuality::predicted_sqnr},
    {"gain", &TensorQuality::gain},
    {"worst_row_sqnr", &TensorQuality::worst_row_sqnr},
    {"worst_group_sqnr", &TensorQuality::worst_group_sqnr},
};
constexpr std::pair<std::string_view, uint64_t TensorQuality::*> kQualityCounts[] = {
    {"worst_row", &TensorQuality::worst_row},
    {"worst_group_row", &TensorQuality::worst_group_row},
    {"worst_group", &TensorQuality::worst_group},
    {"zero_groups", &TensorQuality::zero_groups},
    {"saturated", &TensorQuality::saturated},
};

std::optional<Action> ParseAction(std::string_view name) {
  const auto it = std::ranges::find(kActionNames, name);
  if (it == kActionNames.end()) return std::nullopt;
  return static_cast<Action>(it - kActionNames.begin());
}

// Leaves of the document with the path that leads to them; keys only, array places as their number.
class Reader final : public JsonEvents {
 public:
  bool OnObject() override { return Enter(false); }
  bool OnObjectEnd() override { return Leave(); }
  bool OnArray() override { return Enter(true); }
  bool OnArrayEnd() override { return Leave(); }
  bool OnKey(std::string&& key) override {
    path_.back() = std::move(key);
    if (path_.size() == 2 && path_[0] == "files") manifest.files.emplace_back().name = path_[1];
    if (path_.size() == 2 && path_[0] == "side_files") {
      manifest.side_files.emplace_back().name = path_[1];
    }
    if (path_.size() == 2 && path_[0] == "tensors") manifest.tensors.emplace_back().name = path_[1];
    return true;
  }
  bool OnString(std::string&& text) override { return Leaf(std::move(text)); }
  bool OnUnsigned(uint64_t value) override { return Leaf(value); }
  bool OnFraction(double value) override { return Leaf(value); }
  bool OnOther(std::string_view kind) override { return Refuse(std::string(kind)); }

  Manifest manifest;
  uint64_t schema = 0;
  std::string fault;

 private:
  using Value = std::variant<std::string, uint64_t, double>;

  // What goes by name is an object of objects; an array there would have fields and no name.
  bool IsByName() const {
    return (path_.size() == 1 || path_.size() == 2) &&
           (path_[0] == "files" || path_[0] == "side_files" || path_[0] == "tensors");
  }

  bool Enter(bool array) {
    if (array && IsByName()) return Refuse("array");
    // An array's own elements are told apart by their order only.
    if (path_.size() == 2 && path_[0] == "rules" && !array) manifest.rules.emplace_back();
    path_.emplace_back(array ? "[]" : "");
    return true;
  }
  bool Leave() { return path_.pop_back(), true; }

  std::string Path() const {
    return std::accumulate(path_.begin(), path_.end(), std::string(),
                           [](std::string all, const std::string& key) { return all + "/" + key; });
  }
  bool Refuse(const std::string& found) {
    fault = Path() + ": unexpected " + found;
    return false;
  }

  bool Set(uint64_t& field, const Value& value) {
    if (!std::holds_alternative<uint64_t>(value)) return Refuse("value for a count");
    return field = std::get<uint64_t>(value), true;
  }
  bool Set(double& field, const Value& value) {
    if (!std::holds_alternative<double>(value)) return Refuse("value for a fraction");
    return field = std::get<double>(value), true;
  }
  bool Set(std::string& field, const Value& value) {
    if (!std::holds_alternative<std::string>(value)) return Refuse("value for a text");
    return field = std::get<std::string>(value), true;
  }
  bool Set(Digest& field, const Value& value) {
    std::string hex;
    if (!Set(hex, value)) return false;
    const Result<Digest> digest = ParseDigest(hex);
    if (!digest) return Refuse('"' + hex + "\" for a digest");
    return field = *digest, true;
  }

  bool Leaf(const Value& value) {
    const auto at = [this](size_t i) -> std::string_view {
      return i < path_.size() ? std::string_view(path_[i]) : std::string_view();
    };
    const size_t depth = path_.size();
    if (depth == 1 && at(0) == "schema") return Set(schema, value);
    if (depth == 1 && at(0) == "plan") return Set(manifest.plan, value);
    if (depth == 1 && at(0) == "tile_bytes") return Set(manifest.tile_bytes, value);
    if (depth == 2 && at(0) == "tool") return Tool(at(1), value);
    if (depth == 2 && at(0) == "source") return Source(at(1), value);
    if (depth == 2 && at(0) == "request") {
      manifest.request.emplace_back(at(1), "");
      return Set(manifest.request.back().second, value);
    }
    if (depth == 2 && at(0) == "ledger") {
      const auto action = ParseAction(at(1));
      return action ? Set(manifest.ledger[*action], value) : Refuse("key");
    }
    // An object inside an array pushes "[]" and its key: /rules/[]/rule.
    if (depth == 3 && at(0) == "rules") return Rule(at(2), value);
    if (depth == 3 && at(0) == "files") return FileField(at(2), value);
    if (depth == 3 && at(0) == "side_files") return SideFileField(at(2), value);
    if (depth >= 3 && at(0) == "tensors") return TensorField(at(2), value);
    return Refuse("key");
  }

  bool Tool(std::string_view key, const Value& value) {
    if (key == "version") return Set(manifest.tool_version, value);
    if (key == "numerics") {
      uint64_t n = 0;
      if (!Set(n, value)) return false;
      return manifest.numerics = static_cast<int>(n), true;
    }
    std::string name;
    return key == "name" ? Set(name, value) : Refuse("key");
  }
  bool Source(std::string_view key, const Value& value) {
    if (key == "fingerprint") return Set(manifest.source_fingerprint, value);
    if (key == "tensors") return Set(manifest.source_tensors, value);
    if (key == "bytes") return Set(manifest.source_bytes, value);
    return Refuse("key");
  }
  bool Rule(std::string_view key, const Value& value) {
    if (manifest.rules.empty()) return Refuse("value");
    if (key == "rule") return Set(manifest.rules.back().rule, value);
    if (key == "tensors") return Set(manifest.rules.back().tensors, value);
    return Refuse("key");
  }
  bool FileField(std::string_view key, const Value& value) {
    ManifestFile& file = manifest.files.back();
    if (key == "bytes") return Set(file.bytes, value);
    if (key == "header_xxh3") return Set(file.header, value);
    if (key == "sha256") return Set(file.sha256, value);
    return Refuse("key");
  }
  bool SideFileField(std::string_view key, const Value& value) {
    ManifestSideFile& file = manifest.side_files.back();
    if (key == "bytes") return Set(file.bytes, value);
    if (key == "xxh3") return Set(file.digest, value);
    return Refuse("key");
  }
  bool QualityField(std::string_view key, const Value& value) {
    ManifestTensor& tensor = manifest.tensors.back();
    if (!tensor.quality) tensor.quality.emplace();
    for (const auto& [name, field] : kQualityRatios) {
      if (key == name) return Set((*tensor.quality).*field, value);
    }
    for (const auto& [name, field] : kQualityCounts) {
      if (key == name) return Set((*tensor.quality).*field, value);
    }
    uint64_t below = 0;
    if (key != "below") return Refuse("key");
    return Set(below, value) && (tensor.quality->below = below != 0, true);
  }
  bool TensorField(std::string_view key, const Value& value) {
    ManifestTensor& tensor = manifest.tensors.back();
    // /tensors/NAME/shape/[] against /tensors/NAME/file.
    const bool in_list = path_.size() == 4;
    if (in_list && key == "shape") return Set(tensor.shape.emplace_back(), value);
    if (in_list && key == "from") return Set(tensor.from.emplace_back(), value);
    if (in_list && key == "quality") return QualityField(path_[3], value);
    if (path_.size() != 3) return Refuse("nesting");
    if (key == "file") return Set(tensor.file, value);
    if (key == "xxh3") return Set(tensor.digest, value);
    if (key == "tile_bytes") return Set(tensor.tile_bytes, value);
    if (key == "nan_codes") return Set(tensor.nan_codes, value);
    std::string text;
    if (!Set(text, value)) return false;
    if (key == "dtype") {
      const auto dtype = ParseDtype(text);
      return dtype ? (tensor.dtype = *dtype, true) : Refuse("dtype " + text);
    }
    if (key == "by") {
      const auto action = ParseAction(text);
      return action ? (tensor.by = *action, true) : Refuse("action " + text);
    }
    return Refuse("key");
  }

  std::vector<std::string> path_;
};

void Append(std::string& out, std::initializer_list<std::string_view> pieces) {
  for (const std::string_view piece : pieces) out += piece;
}

std::string Hex(const Digest& digest) { return '"' + ToHex(digest) + '"'; }

std::string List(const auto& items, auto text) {
  std::string out = "[";
  for (const auto& item : items) {
    if (out.size() > 1) out += ",";
    out += text(item);
  }
  return out + "]";
}

// Ranks hold tensors of the same names: then the file's name goes in front.
bool NamesRepeat(const std::vector<ManifestTensor>& tensors) {
  std::vector<std::string_view> names;
  for (const ManifestTensor& tensor : tensors) names.push_back(tensor.name);
  std::ranges::sort(names);
  return std::ranges::adjacent_find(names) != names.end();
}

std::string FilePrefix(const ManifestTensor& tensor) { return tensor.file + ":"; }

// Takes the prefixes off. Every tensor must be in a file that is listed, where its bytes will be
// looked for; those of a file must still be in order.
bool TakeOffPrefixes(Manifest& m) {
  std::vector<const std::string*> last(m.files.size());
  for (ManifestTensor& tensor : m.tensors) {
    const auto file = std::ranges::lower_bound(m.files, tensor.file, {}, &ManifestFile::name);
    if (file == m.files.end() || file->name != tensor.file) return false;
    const std::string prefix = FilePrefix(tensor);
    if (tensor.name.starts_with(prefix)) tensor.name.erase(0, prefix.size());
    const std::string*& before = last[static_cast<size_t>(file - m.files.begin())];
    if (before != nullptr && *before >= tensor.name) return false;
    before = &tensor.name;
  }
  return true;
}

std::string Fixed(double value) {
  char text[64];
  const auto [end, error] =
      std::to_chars(text, text + sizeof text, value, std::chars_format::fixed, 4);
  TESSERA_CHECK(error == std::errc());
  return {text, end};
}

std::string QualityText(const TensorQuality& quality) {
  std::string out = "{";
  for (const auto& [name, field] : kQualityRatios) {
    Append(out, {QuoteJson(name), ":", Fixed(quality.*field), ","});
  }
  for (const auto& [name, field] : kQualityCounts) {
    Append(out, {QuoteJson(name), ":", std::to_string(quality.*field), ","});
  }
  return out + "\"below\":" + (quality.below ? "1}" : "0}");
}

void AppendTensor(std::string& out, const ManifestTensor& t, const std::string& key) {
  Append(out, {QuoteJson(key), ":{\"file\":", QuoteJson(t.file),
               ",\"dtype\":", QuoteJson(Name(t.dtype)), ",\"shape\":"});
  out += List(t.shape, [](uint64_t dim) { return std::to_string(dim); });
  Append(out, {",\"tile_bytes\":", std::to_string(t.tile_bytes), ",\"xxh3\":", Hex(t.digest),
               ",\"from\":"});
  out += List(t.from, [](const std::string& name) { return QuoteJson(name); });
  Append(out, {",\"by\":", QuoteJson(Name(t.by))});
  if (t.nan_codes != 0) Append(out, {",\"nan_codes\":", std::to_string(t.nan_codes)});
  if (t.quality) Append(out, {",\"quality\":", QualityText(*t.quality)});
  out += "}";
}

}  // namespace

std::string_view Name(Action action) { return kActionNames[static_cast<size_t>(action)]; }

uint64_t Ledger::total() const {
  return std::accumulate(counts.begin(), counts.end(), uint64_t{0});
}

std::string RenderManifest(const Manifest& m) {
  std::string out;
  // Separates the entries of a JSON object or array that starts at the current end of `out`.
  const auto comma = [&out](bool first, std::string_view separator) {
    if (!first) out += separator;
  };
  Append(out, {"{\"schema\":", std::to_string(kSchema),
               ",\n\"tool\":{\"name\":\"tessera\",\"version\":", QuoteJson(m.tool_version),
               ",\"numerics\":", std::to_string(m.numerics), "},\n"});
  Append(out, {"\"source\":{\"fingerprint\":", Hex(m.source_fingerprint),
               ",\"tensors\":", std::to_string(m.source_tensors),
               ",\"bytes\":", std::to_string(m.source_bytes), "},\n\"request\":{"});
  for (const auto& [key, value] : m.request) {
    comma(&key == &m.request.front().first, ",");
    Append(out, {QuoteJson(key), ":", QuoteJson(value)});
  }
  Append(out, {"},\n\"plan\":", Hex(m.plan), ",\n\"tile_bytes\":", std::to_string(m.tile_bytes),
               ",\n\"ledger\":{"});
  for (size_t i = 0; i < kActions; ++i) {
    comma(i == 0, ",");
    Append(out, {QuoteJson(kActionNames[i]), ":", std::to_string(m.ledger.counts[i])});
  }
  out += "},\n\"rules\":";
  out += List(m.rules, [](const DropRule& r) {
    return "{\"rule\":" + QuoteJson(r.rule) + ",\"tensors\":" + std::to_string(r.tensors) + "}";
  });
  out += ",\n\"files\":{\n";
  for (const ManifestFile& file : m.files) {
    comma(&file == &m.files.front(), ",\n");
    Append(out, {QuoteJson(file.name), ":{\"bytes\":", std::to_string(file.bytes),
                 ",\"header_xxh3\":", Hex(file.header)});
    if (!file.sha256.empty()) Append(out, {",\"sha256\":", QuoteJson(file.sha256)});
    out += "}";
  }
  out += "},\n\"side_files\":{\n";
  for (const ManifestSideFile& file : m.side_files) {
    comma(&file == &m.side_files.front(), ",\n");
    Append(out, {QuoteJson(file.name), ":{\"bytes\":", std::to_string(file.bytes),
                 ",\"xxh3\":", Hex(file.digest), "}"});
  }
  out += "},\n\"tensors\":{\n";
  const bool with_file = NamesRepeat(m.tensors);
  for (const ManifestTensor& tensor : m.tensors) {
    comma(&tensor == &m.tensors.front(), ",\n");
    AppendTensor(out, tensor, with_file ? FilePrefix(tensor) + tensor.name : tensor.name);
  }
  return out + "}}\n";
}

Result<Manifest> ParseManifest(std::string_view text) {
  Reader reader;
  const auto bad = [](std::string why) {
    return Fail(Error(ErrorCode::kBadManifest, "not a manifest that this version can read")
                    .Found(std::move(why)));
  };
  TESSERA_ASSIGN(const bool whole, ParseJsonEvents(text, reader));
  if (!whole) return bad(reader.fault);
  if (reader.schema != kSchema) return bad("schema " + std::to_string(reader.schema));
  Manifest& m = reader.manifest;
  if (m.tool_version.empty() || m.files.empty()) return bad("keys missing");
  if (m.ledger.total() != m.source_tensors) {
    return bad("a ledger of " + std::to_string(m.ledger.total()) + " for " +
               std::to_string(m.source_tensors) + " source tensors");
  }
  const auto stays_inside = [](const auto& file) { return StaysInside(file.name); };
  if (!std::ranges::all_of(m.files, stays_inside) ||
      !std::ranges::all_of(m.side_files, stays_inside)) {
    return bad("a file name that leads out of the folder");
  }
  const auto strictly_rising = [](const auto& items) {
    return std::ranges::adjacent_find(
               items, [](const auto& a, const auto& b) { return a.name >= b.name; }) == items.end();
  };
  if (!strictly_rising(m.files) || !strictly_rising(m.side_files) || !strictly_rising(m.tensors)) {
    return bad("names out of order or twice");
  }
  if (!TakeOffPrefixes(m)) return bad("tensors in files that are not listed, or twice in one");
  return std::move(m);
}

std::string ManifestNameOf(std::string_view file) { return std::string(file) + ".tessera.json"; }

Result<Manifest> ReadManifest(const std::filesystem::path& file) {
  TESSERA_ASSIGN(const std::string text, ReadWholeFile(file, kMaxManifestBytes));
  Result<Manifest> manifest = ParseManifest(text);
  if (!manifest) return Fail(std::move(manifest).error().Within(file.string()));
  return manifest;
}

}  // namespace tessera
