#include "cli/inspect_report.h"

#include <algorithm>
#include <string_view>

#include "cli/findings.h"
#include "formats/shard_name.h"
#include "formats/zstd_frames.h"
#include "quant/storage.h"

namespace tessera::cli {
namespace {

namespace fs = std::filesystem;

// What is stored with the weights and is none of the model's parameters.
constexpr std::string_view kScales = "scales", kBuffers = "buffers";

std::string_view RoleName(const ModelSpec& spec, const TensorRole& role) {
  if (IsBesideCodes(role.part) && role.part != Part::kValueHeads) return kScales;
  if (role.part == Part::kBuffer) return kBuffers;
  if (spec.IsMtp(role)) return "mtp";
  switch (role.mlp) {
    case Mlp::kDense:
      return "dense mlp";
    case Mlp::kShared:
      return "shared experts";
    case Mlp::kRouted:
      return "routed experts";
    case Mlp::kNone:
      break;
  }
  switch (role.module) {
    case Module::kEmbedTokens:
      return "embedding";
    case Module::kLmHead:
      return "head";
    case Module::kRouter:
      return "router";
    case Module::kInputNorm:
    case Module::kPostAttentionNorm:
    case Module::kFinalNorm:
      return "norms";
    case Module::kIndexerWqB:
    case Module::kIndexerWk:
    case Module::kIndexerWeightsProj:
    case Module::kIndexerKNorm:
      return "indexer";
    default:
      return "attention";
  }
}

// "other" for what has no role: a name the model does not have, or no config.json.
std::string_view RoleName(const std::optional<ModelSpec>& spec, const std::string& tensor) {
  if (!spec) return "other";
  const std::optional<TensorRole> role = spec->Parse(tensor);
  return role ? RoleName(*spec, *role) : "other";
}

// Of each tensor: the elements of the weight that it holds, however many share a word.
std::vector<uint64_t> CountParameters(const InspectReport& report,
                                      const std::optional<StorageMap>& storage) {
  std::vector<uint64_t> parameters;
  for (const TensorExtent& tensor : report.checkpoint->tensors()) {
    const std::string_view role = RoleName(report.spec, tensor.info.name());
    const bool counts = role != kScales && role != kBuffers;
    parameters.push_back(counts ? tensor.info.elements() : 0);
  }
  if (!storage) return parameters;
  for (const StoredWeight& weight : storage->weights()) {
    // Of heads, and of types that cannot be decoded, the tensors' own elements are counted.
    const bool heads = PartOf(weight.parts[0]->info.name()) == Part::kKeyHeads;
    if (heads || weight.scheme == nullptr || !weight.is_quantized()) continue;
    parameters[report.checkpoint->IndexOf(*weight.parts[0])] = weight.rows * weight.cols;
  }
  return parameters;
}

void AddUp(InspectReport& report, const std::optional<StorageMap>& storage) {
  const std::vector<uint64_t> parameters_of = CountParameters(report, storage);
  for (const TensorExtent& tensor : report.checkpoint->tensors()) {
    const TensorInfo& info = tensor.info;
    const std::string_view role = RoleName(report.spec, info.name());
    const uint64_t parameters = parameters_of[report.checkpoint->IndexOf(tensor)];
    for (TensorSum* sum :
         {&report.by_dtype[std::string(Name(info.dtype()))], &report.by_role[std::string(role)]}) {
      sum->tensors += 1;
      sum->bytes += info.bytes();
      sum->parameters += parameters;
    }
    report.parameters += parameters;
  }
  if (const auto buffers = report.by_role.find(kBuffers); buffers != report.by_role.end()) {
    report.findings.push_back({.rule = "stray-buffer",
                               .severity = Severity::kNote,
                               .tensor = "",
                               .file = "",
                               .what = std::to_string(buffers->second.tensors) +
                                       " tensors are buffers that loaders compute themselves",
                               .remedy = ""});
  }
}

// Gathers a report; every fault goes to `on_fault`, which says whether to go on.
class Inspection {
 public:
  explicit Inspection(fs::path path) : path_(std::move(path)) {}

  void Open() {
    Result<Checkpoint> opened = Checkpoint::Open(path_);
    if (!opened) return Add(std::move(opened).error());
    report.checkpoint = std::move(*opened);
    const auto found = report.checkpoint->findings();
    report.findings.insert(report.findings.end(), found.begin(), found.end());
    for (const Shard& shard : report.checkpoint->shards()) {
      if (IsCompressed(shard.name)) CountCompressed(report.checkpoint->dir() / shard.name);
    }
  }

  void ReadConfig() {
    const std::optional<std::string>& text = report.checkpoint->config_text();
    if (!text) {
      quantization_known_ = false;
      if (report.checkpoint->gguf_metadata() != nullptr) {
        report.findings.push_back({.rule = "gguf-architecture",
                                   .severity = Severity::kWarning,
                                   .tensor = "",
                                   .file = report.checkpoint->shards()[0].name,
                                   .what = report.checkpoint->NoConfig().what(),
                                   .remedy = "its tensors are listed as they are stored"});
      } else if (fs::is_directory(path_)) {
        Add(Error(ErrorCode::kNoConfig, "the folder has no config.json")
                .In(path_.string())
                .Next("A single .safetensors file can be inspected without one."));
      }
      return;
    }
    const std::string file = report.checkpoint->config_path().string();
    Result<Json> config = ParseJson(*text);
    if (!config) return Add(std::move(config).error().Within(file));
    if (Result<ModelSpec> spec = ModelSpec::FromConfig(*config); spec) {
      report.spec = std::move(*spec);
    } else {
      Add(std::move(spec).error().Within(file));
    }
    if (Result<QuantArgs> args = QuantArgs::Of(*report.checkpoint, *config); args) {
      report.quantization = std::move(*args);
    } else {
      quantization_known_ = false;
      Add(std::move(args).error().Within(file));
    }
  }

  void CheckContents() {
    if (IsOneOfSeveral(path_)) return;  // nor complete by itself, nor with every scale
    if (report.spec) {
      CompletenessReport completeness = CheckCompleteness(*report.spec, *report.checkpoint);
      report.coverage = completeness.coverage;
      for (Error& fault : completeness.faults) Add(std::move(fault));
    }
    if (quantization_known_) {
      Result<StorageMap> paired = StorageMap::Of(*report.checkpoint, report.quantization,
                                                 report.spec ? &*report.spec : nullptr);
      if (!paired) return Add(std::move(paired).error());
      storage = *std::move(paired);
    }
  }

  void Add(Error fault) { faults.push_back(std::move(fault)); }

  InspectReport report;
  std::optional<StorageMap> storage;
  std::vector<Error> faults;

 private:
  void CountCompressed(const fs::path& path) {
    const Result<File> file = File::OpenRead(path);
    if (!file) return Add(file.error());
    const Result<ZstdFrames> frames = ZstdFrames::Read(*file);
    if (!frames) return Add(frames.error());
    ++report.compressed[frames->planes() ? "zstd-planes" : "zstd"];
  }

  fs::path path_;
  bool quantization_known_ = true;
};

// The same fault can be met twice: by the completeness check and by the pairing of scales.
void AddFaults(InspectReport& report, const std::vector<Error>& faults) {
  for (const Error& fault : faults) {
    Finding finding = AsFinding(fault);
    const bool known = std::ranges::any_of(report.findings, [&](const Finding& other) {
      return other.rule == finding.rule && other.tensor == finding.tensor &&
             other.file == finding.file && other.what == finding.what;
    });
    if (!known) report.findings.push_back(std::move(finding));
  }
}

// Of a path that leads nowhere, the message that opening it gives.
Result<void> Exists(const fs::path& path) {
  std::error_code ignored;
  if (!fs::exists(path, ignored)) {
    TESSERA_TRY(Checkpoint::Open(path));
  }
  return {};
}

}  // namespace

uint64_t InspectReport::Faults() const {
  return static_cast<uint64_t>(std::ranges::count(findings, Severity::kError, &Finding::severity));
}

Result<InspectReport> InspectCheckpoint(const fs::path& path) {
  Inspection inspection(path);
  for (const auto step : {&Inspection::Open, &Inspection::ReadConfig, &Inspection::CheckContents}) {
    (inspection.*step)();
    if (!inspection.faults.empty()) return Fail(std::move(inspection.faults.front()));
  }
  AddUp(inspection.report, inspection.storage);
  return std::move(inspection.report);
}

Result<InspectReport> CheckCheckpoint(const fs::path& path) {
  TESSERA_TRY(Exists(path));
  Inspection inspection(path);
  inspection.faults = Checkpoint::FindFaults(path);
  if (inspection.faults.empty()) inspection.Open();
  if (inspection.report.checkpoint) {
    inspection.ReadConfig();
    inspection.CheckContents();
    AddUp(inspection.report, inspection.storage);
  }
  AddFaults(inspection.report, inspection.faults);
  return std::move(inspection.report);
}

Result<InspectReport> InspectForEngine(const fs::path& path, const EngineProfile& engine,
                                       const JudgeOptions& options) {
  Inspection inspection(path);
  inspection.Open();
  InspectReport& report = inspection.report;
  report.judged_for = {.engine = &engine, .tp = options.tp, .quantization = ""};
  if (!report.checkpoint) {
    TESSERA_TRY(Exists(path));
    AddFaults(report, Checkpoint::FindFaults(path));
    return std::move(report);
  }
  if (report.checkpoint->gguf_metadata() != nullptr) {
    return Fail(Error(ErrorCode::kUnsupported, "what engines load of GGUF files is not known")
                    .In(path.string())
                    .Expected("a checkpoint of safetensors files"));
  }
  TESSERA_ASSIGN(Verdict verdict, JudgeCheckpoint(engine, *report.checkpoint, options));
  // What tessera itself could not decode is no fault here.
  inspection.ReadConfig();
  inspection.CheckContents();
  AddUp(report, inspection.storage);
  report.findings = std::move(verdict.findings);
  report.judged_for->quantization = std::move(verdict.quantization);
  return std::move(report);
}

}  // namespace tessera::cli
