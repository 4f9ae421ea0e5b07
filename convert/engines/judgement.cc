#include "convert/engines/judgement.h"

#include <algorithm>
#include <utility>

#include "convert/engines/rules.h"
#include "formats/file.h"

namespace tessera {
namespace {

constexpr uint64_t kMaxDescriptionBytes = uint64_t{64} << 20;
constexpr std::string_view kDescription = "quant_model_description";

// The flat object of msModelSlim; what is no text (its own settings) is left out. A tree would
// bound its keys far below the tensors of a V3.
class DescriptionEvents : public JsonEvents {
 public:
  explicit DescriptionEvents(QuantFiles& files) : files_(files) {}

  bool OnObject() override { return ++depth_, true; }
  bool OnObjectEnd() override { return --depth_, true; }
  bool OnArray() override { return ++depth_, true; }
  bool OnArrayEnd() override { return --depth_, true; }
  bool OnKey(std::string&& key) override { return key_ = std::move(key), true; }
  bool OnString(std::string&& text) override {
    if (depth_ == 1) files_.description[key_] = std::move(text);
    return true;
  }
  bool OnUnsigned(uint64_t number) override {
    if (depth_ == 1 && key_ == "group_size") files_.description_group = number;
    return true;
  }
  bool OnOther(std::string_view) override { return true; }

 private:
  QuantFiles& files_;
  std::string key_;
  int depth_ = 0;
};

Result<QuantFiles> ReadQuantFiles(const Checkpoint& checkpoint) {
  QuantFiles files;
  for (const std::string& name : checkpoint.side_files()) {
    const std::string path = (checkpoint.dir() / name).string();
    if (name == "hf_quant_config.json") {
      TESSERA_ASSIGN(files.hf_quant_config, ReadJsonFile(path));
    } else if (name == "quant_cfg.json") {
      TESSERA_ASSIGN(files.quant_cfg, ReadJsonFile(path));
    } else if (name.starts_with(kDescription) && name.ends_with(".json")) {
      TESSERA_ASSIGN(const std::string text, ReadWholeFile(path, kMaxDescriptionBytes));
      DescriptionEvents events(files);
      const Result<bool> parsed = ParseJsonEvents(text, events);
      if (!parsed) return Fail(Error(parsed.error()).Within(path));
      files.description_name = name;
    }
  }
  return files;
}

Finding UnknownModel(const Error& error) {
  std::string what = error.what();
  for (const auto& [label, text] : error.facts()) what += "; " + label + ": " + text;
  return {.rule = "model-unknown",
          .severity = Severity::kError,
          .tensor = "",
          .file = "config.json",
          .what = std::move(what),
          .remedy = "nothing more can be judged"};
}

}  // namespace

Judgement::Judgement(const EngineProfile& profile, const Checkpoint& source, const Json& json,
                     const ModelSpec& model, const JudgeOptions& judge_options,
                     QuantFiles quant_files)
    : engine(profile),
      checkpoint(source),
      config(json),
      spec(model),
      options(judge_options),
      files(std::move(quant_files)),
      claim(QuantClaim::Read(json, files.hf_quant_config)),
      stored(source) {}

void Judgement::Add(std::string_view rule, Severity severity, std::string tensor, std::string what,
                    std::string remedy) {
  const TensorExtent* extent = checkpoint.Find(tensor);
  findings.push_back({.rule = std::string(rule),
                      .severity = severity,
                      .tensor = std::move(tensor),
                      .file = extent == nullptr ? "" : checkpoint.shards()[extent->shard].name,
                      .what = std::move(what),
                      .remedy = std::move(remedy)});
}

void Judgement::Fatal(std::string_view rule, std::string tensor, std::string what,
                      std::string remedy) {
  Add(rule, Severity::kError, std::move(tensor), std::move(what), std::move(remedy));
}

void Judgement::Warn(std::string_view rule, std::string tensor, std::string what,
                     std::string remedy) {
  Add(rule, Severity::kWarning, std::move(tensor), std::move(what), std::move(remedy));
}

void Judgement::Note(std::string_view rule, std::string what, std::string remedy) {
  Add(rule, Severity::kNote, "", std::move(what), std::move(remedy));
}

void Judgement::NeedFlag(std::string_view flag, std::string why) {
  Warn("launch-flag", "", std::move(why), "start the server with " + std::string(flag));
}

bool Judgement::HasFatal() const {
  return std::ranges::any_of(findings,
                             [](const Finding& f) { return f.severity == Severity::kError; });
}

std::optional<Shape> Judgement::ShapeOf(std::string_view module) const {
  const auto role = spec.Parse(std::string(module) + ".weight");
  return role ? spec.ShapeOf(*role) : std::nullopt;
}

uint64_t Judgement::GroupOf(const StoredModule& module) const {
  const std::optional<Shape> shape = ShapeOf(module.name);
  const uint64_t scales = module.ScalesPerRow();
  return !shape || shape->size() != 2 || scales <= 1 ? 0 : (*shape)[1] / scales;
}

Result<Verdict> JudgeCheckpoint(const EngineProfile& engine, const Checkpoint& checkpoint,
                                const JudgeOptions& options) {
  if (!checkpoint.config_text()) {
    return Fail(Error(ErrorCode::kNoConfig, "the checkpoint has no config.json")
                    .In(checkpoint.dir().string())
                    .Next("an engine knows the model by it: there is nothing to judge"));
  }
  const std::string path = checkpoint.config_path().string();
  Result<Json> config = ParseJson(*checkpoint.config_text());
  if (!config) return Fail(std::move(config).error().Within(path));
  TESSERA_ASSIGN(QuantFiles files, ReadQuantFiles(checkpoint));
  const Result<ModelSpec> spec = ModelSpec::FromConfig(*config);
  if (!spec) {
    return Verdict{.quantization = QuantClaim::Read(*config).Describe(),
                   .findings = {UnknownModel(spec.error())}};
  }
  Judgement judgement(engine, checkpoint, *config, *spec, options, std::move(files));
  CheckModel(judgement);
  RefuseCompressed(judgement);
  engine.judge(judgement);
  CheckComplete(judgement);
  CheckParts(judgement);
  if (options.scan_codes) CheckScaleValues(judgement);
  return Verdict{.quantization = judgement.claim.Describe(),
                 .findings = std::move(judgement.findings)};
}

}  // namespace tessera
