// A whole checkpoint, from the bytes of its headers and config to a Plan: it is refused, or every
// tensor is accounted for and every byte that a run would read or write lies within its file.
//
// An input is one JSON document: the files of a folder, and what is asked for. Tensors without
// data_offsets get those that the format wants, so that changed shapes mean changed files; the data
// are holes.
#include <algorithm>
#include <filesystem>
#include <fstream>
#include <string>

#include "convert/gguf_mix.h"
#include "convert/planner.h"
#include "formats/file.h"
#include "formats/json.h"
#include "tests/fuzz/require.h"
#include "tests/support/safetensors_file.h"
#include "tests/support/temp_dir.h"

namespace {

using namespace tessera;
namespace fs = std::filesystem;

constexpr uint64_t kMaxFile = uint64_t{1} << 42;  // what file systems take

// Shapes that no file could hold are tried all the same, at the end of a file that is too short.
uint64_t BytesInFile(const Json& entry) { return std::min(BytesOfEntry(entry), kMaxFile); }

void WriteShard(const TempDir& dir, const std::string& name, Json header) {
  uint64_t end = 0;
  if (header.is_object()) {
    for (auto& [tensor, entry] : header.items()) {
      if (!entry.is_object() || tensor == "__metadata__" || entry.contains("data_offsets")) {
        continue;
      }
      const uint64_t begin = end;
      end += BytesInFile(entry);
      entry["data_offsets"] = {begin, end};
    }
  }
  const std::string text = header.dump(-1, ' ', false, Json::error_handler_t::replace);
  const uint64_t length = text.size();
  dir.Write(name, std::string(reinterpret_cast<const char*>(&length), sizeof length) + text);
  fs::resize_file(dir / name, std::min(sizeof length + length + end, kMaxFile));
}

// Only names that a folder can hold; what else an index may say is not the folder's to tell.
bool IsFileName(const std::string& name) {
  return !name.empty() && name.size() < 100 && name.front() != '.' &&
         name.find_first_of(std::string_view("/\0", 2)) == std::string::npos;
}

void WriteFolder(const TempDir& dir, const Json& document) {
  for (const fs::directory_entry& entry : fs::directory_iterator(dir.path())) {
    fs::remove_all(entry.path());
  }
  for (const auto& [name, contents] : document.items()) {
    if (!IsFileName(name)) continue;
    if (name.ends_with(".safetensors")) {
      WriteShard(dir, name, contents);
    } else if (name.ends_with(".json")) {
      dir.Write(name, RenderJson(contents));
    }
  }
}

template <class Value>
Value Asked(const Json& document, const char* what, Value otherwise) {
  const auto found = document.find(what);
  if (found == document.end()) return otherwise;
  if constexpr (std::is_same_v<Value, std::string>) {
    return found->is_string() ? found->get<std::string>() : otherwise;
  } else {
    return found->is_number_unsigned() ? found->get<Value>() : otherwise;
  }
}

Request Ask(const Json& document, const fs::path& folder) {
  Request request;
  request.in = folder;
  request.out = folder.parent_path() / "nowhere";
  request.no_index = true;
  for (const CastTo to : {CastTo::kBf16, CastTo::kF16, CastTo::kF32, CastTo::kFp8}) {
    if (Asked<std::string>(document, "to", "stored") == Name(to)) request.to = to;
  }
  for (const MtpMode mtp : {MtpMode::kDrop, MtpMode::kOnly}) {
    if (Asked<std::string>(document, "mtp", "keep") == Name(mtp)) request.mtp = mtp;
  }
  request.shard_size = Asked<uint64_t>(document, "shard_size", 0);
  request.mp = static_cast<uint32_t>(Asked<uint64_t>(document, "mp", 0) % 64);
  request.reblock = request.mp != 0 && document.contains("reblock");
  if (const SchemeRow* scheme = FindScheme(Asked<std::string>(document, "scheme", ""))) {
    request.to = CastTo::kStored;
    request.quantize.emplace();
    request.quantize->scheme = scheme;
    request.quantize->input_scale = 0.5f;
  }
  if (const GgufMix* mix = FindGgufMix(Asked<std::string>(document, "gguf", ""))) {
    request.out = folder.parent_path() / "nowhere.gguf";
    request.gguf.emplace();
    request.gguf->mix = mix;
    request.gguf->tokenizer = false;
  }
  return request;
}

void CheckBytes(const Plan& plan) {
  for (const PlanTensor& tensor : plan.tensors) {
    const PlanFile& file = plan.files.at(tensor.file);
    Require(tensor.offset >= file.header.size() && tensor.offset <= file.bytes &&
            tensor.info.bytes() <= file.bytes - tensor.offset);
  }
  for (const Step& step : plan.steps) {
    if (step.tiles() == 0) continue;
    for (const uint64_t tile : {uint64_t{0}, step.tiles() / 2, step.tiles() - 1}) {
      const RowRange rows = step.TileRows(tile);
      const TileShape shape = ShapeOfTile(step, rows);
      Require(shape.reads.size() == step.sources.size());
      for (size_t i = 0; i < shape.reads.size(); ++i) {
        const SourceRef ref = step.sources[i];
        const TensorInfo& info = plan.sources.at(ref.checkpoint)->tensors()[ref.tensor].info;
        Require(shape.reads[i].begin <= shape.reads[i].end && shape.reads[i].end <= info.bytes());
      }
      for (const Destination& destination : step.destinations) {
        const auto place = PlaceInDestination(step, destination, rows, shape);
        const uint64_t bytes = plan.tensors.at(destination.tensor).info.bytes();
        Require(!place || (place->begin <= place->end && place->end <= bytes));
      }
    }
  }
}

void CheckPlan(const Plan& plan) {
  Require(plan.ledger.total() == plan.sources[0]->tensors().size());
  Require(HashPlan(plan) == plan.hash);
  CheckBytes(plan);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const TempDir dir;
  const auto document = ParseJson(AsText(data, size));
  if (!document || !document->is_object()) return 0;
  WriteFolder(dir, *document);
  const auto faults = Checkpoint::FindFaults(dir.path(), {.allow_no_index = true});
  const auto checkpoint = Checkpoint::Open(dir.path(), {.allow_no_index = true});
  Require(checkpoint.has_value() == faults.empty());
  if (!checkpoint) return 0;
  const Request request = Ask(*document, dir.path());
  const auto plan = MakePlan(request);
  if (!plan) return 0;
  CheckPlan(*plan);
  return 0;
}
