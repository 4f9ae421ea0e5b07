// A whole checkpoint, from the bytes of its headers and config to a Plan: it is refused, or every
// tensor is accounted for and every byte that a run would read or write lies within its file. An
// engine's rules end with a verdict on any of them.
//
// An input is one JSON document: the files of a folder, and what is asked for.
#include <algorithm>
#include <filesystem>
#include <string>

#include "convert/engines/judgement.h"
#include "convert/gguf_mix.h"
#include "convert/planner.h"
#include "formats/json.h"
#include "tests/fuzz/folder_document.h"
#include "tests/fuzz/require.h"

namespace {

using namespace tessera;
namespace fs = std::filesystem;

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
  if (document.contains("split")) request.split = folder.parent_path() / "nowhere-mtp";
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

// Scales and codes are all read: more would only take its time.
constexpr uint64_t kMostJudgedBytes = uint64_t{16} << 20;

void CheckVerdict(const Checkpoint& checkpoint, const Json& document) {
  const auto engine = FindEngine(Asked<std::string>(document, "engine", ""));
  if (!engine) return;
  const auto verdict = JudgeCheckpoint(**engine, checkpoint, {.tp = 2, .scan_codes = true});
  if (!verdict) return;
  for (const Finding& finding : verdict->findings) {
    Require(!finding.rule.empty() && !finding.what.empty());
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const TempDir dir;
  const auto document = ParseJson(AsText(data, size));
  if (!document || !document->is_object()) return 0;
  const uint64_t bytes = WriteFolder(dir, *document);
  const auto faults = Checkpoint::FindFaults(dir.path(), {.allow_no_index = true});
  const auto checkpoint = Checkpoint::Open(dir.path(), {.allow_no_index = true});
  Require(checkpoint.has_value() == faults.empty());
  if (!checkpoint) return 0;
  if (bytes <= kMostJudgedBytes) CheckVerdict(*checkpoint, *document);
  const Request request = Ask(*document, dir.path());
  const auto plan = MakePlan(request);
  if (!plan) return 0;
  CheckPlan(*plan);
  return 0;
}
