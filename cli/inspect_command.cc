#include <fnmatch.h>

#include <algorithm>
#include <memory>
#include <string>

#include "cli/commands.h"
#include "cli/findings.h"
#include "cli/gguf_table.h"
#include "cli/inspect_report.h"

namespace tessera::cli {
namespace {

struct InspectOptions {
  std::string checkpoint;
  std::optional<std::string> tensors;  // a glob
  bool check = false;
  std::string engine;  // --for
  int tp = 1;
};

std::string_view CoverageName(Coverage coverage) {
  switch (coverage) {
    case Coverage::kWhole:
      return "whole";
    case Coverage::kMainOnly:
      return "main-only";
    case Coverage::kMtpOnly:
      return "mtp-only";
  }
  return "";
}

std::vector<const TensorExtent*> Matching(const Checkpoint& checkpoint, const std::string& glob) {
  std::vector<const TensorExtent*> matching;
  for (const TensorExtent& tensor : checkpoint.tensors()) {
    if (::fnmatch(glob.c_str(), tensor.info.name().c_str(), 0) == 0) matching.push_back(&tensor);
  }
  return matching;
}

SortedJson SumsJson(const std::map<std::string, TensorSum, std::less<>>& sums) {
  SortedJson json = SortedJson::object();
  for (const auto& [name, sum] : sums) {
    json[name] = {{"tensors", sum.tensors}, {"bytes", sum.bytes}, {"parameters", sum.parameters}};
  }
  return json;
}

bool HasBlocks(const QuantArgs& args) {
  return std::ranges::any_of(args.Layouts(), [](const QuantGroup& group) {
    return group.layout == WeightLayout::kFp8Block || group.layout == WeightLayout::kFp8BlockCt ||
           group.layout == WeightLayout::kInt8Block;
  });
}

SortedJson QuantizationJson(const QuantArgs& args) {
  if (args.method == QuantMethod::kNone) return nullptr;
  SortedJson json = {{"method", Name(args.method)}};
  if (HasBlocks(args)) json["block"] = {args.block_rows, args.block_cols};
  if (args.method == QuantMethod::kFp8Block) {
    json["scale_format"] = args.ue8m0 ? "ue8m0" : "f32";
    return json;
  }
  for (const QuantGroup& group : args.Layouts()) {
    json["groups"].push_back({{"layout", Name(group.layout)},
                              {"bits", group.bits},
                              {"symmetric", group.symmetric},
                              {"group_size", group.group_size},
                              {"targets", group.targets}});
  }
  return json;
}

SortedJson TensorListJson(const Checkpoint& checkpoint, const std::string& glob) {
  SortedJson json = SortedJson::array();
  for (const TensorExtent* tensor : Matching(checkpoint, glob)) {
    json.push_back({{"name", tensor->info.name()},
                    {"dtype", Name(tensor->info.dtype())},
                    {"shape", tensor->info.shape()},
                    {"shard", checkpoint.shards()[tensor->shard].name},
                    {"offset", tensor->offset},
                    {"bytes", tensor->info.bytes()}});
  }
  return json;
}

SortedJson EngineJson(const InspectReport& report) {
  const JudgedFor& judged = *report.judged_for;
  return {{"name", judged.engine->name},         {"version", judged.engine->version},
          {"judged", judged.engine->judged},     {"tp", judged.tp},
          {"quantization", judged.quantization}, {"loads", report.Faults() == 0}};
}

// What is not known (no config.json, a damaged checkpoint) is null, so that every key is there.
SortedJson ReportJson(const InspectReport& report) {
  SortedJson json;
  for (const char* key :
       {"family", "model_type", "layers", "experts", "mtp_layers", "coverage", "tensors", "bytes",
        "shards", "compressed", "parameters", "quantization"}) {
    json[key] = nullptr;
  }
  if (report.spec) {
    json["family"] = Name(report.spec->family());
    json["model_type"] = report.spec->model_type();
    json["layers"] = report.spec->num_hidden_layers;
    json["experts"] = report.spec->n_routed_experts;
    json["mtp_layers"] = report.spec->num_nextn_predict_layers;
  }
  if (report.coverage) json["coverage"] = CoverageName(*report.coverage);
  if (report.checkpoint) {
    json["tensors"] = report.checkpoint->tensors().size();
    json["bytes"] = report.checkpoint->payload_bytes();
    json["shards"] = report.checkpoint->shards().size();
    json["compressed"] = report.compressed;
    json["parameters"] = report.parameters;
    json["quantization"] = QuantizationJson(report.quantization);
  }
  if (report.judged_for) json["engine"] = EngineJson(report);
  if (report.checkpoint && report.checkpoint->gguf_metadata() != nullptr) {
    json["metadata"] = GgufMetadataJson(*report.checkpoint->gguf_metadata());
  }
  json["dtypes"] = SumsJson(report.by_dtype);
  json["roles"] = SumsJson(report.by_role);
  json["findings"] = FindingsJson(report.findings);
  return json;
}

void PrintField(Terminal& terminal, std::string label, const std::string& text) {
  label.resize(14, ' ');
  terminal.Print(label + text + "\n");
}

std::string LayersText(const ModelSpec& spec) {
  uint32_t moe_layers = 0;
  for (uint32_t layer = 0; layer < spec.num_hidden_layers; ++layer) {
    moe_layers += spec.IsMoeLayer(layer) ? 1 : 0;
  }
  return std::to_string(spec.num_hidden_layers) + ", " + std::to_string(moe_layers) +
         " of them with " + std::to_string(spec.n_routed_experts) + " routed experts; " +
         Plural(spec.num_nextn_predict_layers, "MTP layer");
}

// "4 bits in groups of 32, symmetric (pack-quantized)"
std::string LayoutText(const QuantGroup& group, const std::string& blocks) {
  using enum WeightLayout;
  const WeightLayout layout = group.layout;
  const bool fp8 = layout == kFp8Block || layout == kFp8BlockCt || layout == kFp8Channel;
  std::string text = fp8 ? "FP8" : std::to_string(group.bits) + " bits";
  if (layout == kFp8Block || layout == kFp8BlockCt || layout == kInt8Block) {
    text += " " + blocks;
  } else if (group.group_size == 0) {
    text += ", a scale a row";
  } else {
    text += " in groups of " + std::to_string(group.group_size);
  }
  if (!group.symmetric) text += ", asymmetric";
  return text + " (" + std::string(Name(layout)) + ")";
}

std::string QuantizationText(const QuantArgs& args) {
  if (args.method == QuantMethod::kNone) return "none";
  const std::string blocks =
      "in blocks of " + std::to_string(args.block_rows) + " x " + std::to_string(args.block_cols);
  if (args.method == QuantMethod::kFp8Block) {
    return "FP8 " + blocks + ", " + (args.ue8m0 ? "power-of-two" : "F32") + " scales";
  }
  std::string text;
  for (const QuantGroup& group : args.Layouts()) {
    text += (text.empty() ? "" : "; ") + LayoutText(group, blocks);
  }
  return std::string(Name(args.method)) + ": " + text;
}

std::string StoredText(const Checkpoint& checkpoint) {
  return Plural(checkpoint.tensors().size(), "tensor") + " in " +
         Plural(checkpoint.shards().size(), "shard") + ", " +
         HumanBytes(checkpoint.payload_bytes());
}

void PrintSums(Terminal& terminal, const std::string& title,
               const std::map<std::string, TensorSum, std::less<>>& sums) {
  std::vector<TableRow> rows;
  for (const auto& [name, sum] : sums) {
    rows.push_back({name, Grouped(sum.tensors), HumanBytes(sum.bytes), HumanCount(sum.parameters)});
  }
  terminal.Print("\n");
  terminal.PrintTable({title, "tensors", "bytes", "parameters"}, rows,
                      {Align::kLeft, Align::kRight, Align::kRight, Align::kRight});
}

void PrintSummary(Terminal& terminal, const InspectReport& report) {
  const Checkpoint& checkpoint = *report.checkpoint;
  if (report.spec) {
    PrintField(terminal, "model",
               std::string(Name(report.spec->family())) + " (" + report.spec->model_type() + ")");
    PrintField(terminal, "layers", LayersText(*report.spec));
  }
  if (report.coverage) {
    PrintField(terminal, "coverage", std::string(CoverageName(*report.coverage)));
  }
  PrintField(terminal, "parameters", HumanCount(report.parameters));
  if (checkpoint.gguf_metadata() == nullptr) {
    PrintField(terminal, "quantization", QuantizationText(report.quantization));
  }
  PrintField(terminal, "stored", StoredText(checkpoint));
  for (const auto& [how, shards] : report.compressed) {
    PrintField(terminal, "compressed", Plural(shards, "shard") + " as " + how);
  }
  PrintSums(terminal, "dtype", report.by_dtype);
  PrintSums(terminal, "role", report.by_role);
  if (checkpoint.gguf_metadata() != nullptr) {
    PrintGgufMetadata(terminal, *checkpoint.gguf_metadata());
  }
}

void PrintTensors(Terminal& terminal, const Checkpoint& checkpoint, const std::string& glob) {
  std::vector<TableRow> rows;
  for (const TensorExtent* tensor : Matching(checkpoint, glob)) {
    rows.push_back({tensor->info.name(), std::string(Name(tensor->info.dtype())),
                    ToString(tensor->info.shape()), checkpoint.shards()[tensor->shard].name,
                    std::to_string(tensor->offset), std::to_string(tensor->info.bytes())});
  }
  if (rows.empty()) terminal.Note("no tensor matches " + glob);
  terminal.PrintTable(
      {"name", "dtype", "shape", "shard", "offset", "bytes"}, rows,
      {Align::kLeft, Align::kLeft, Align::kLeft, Align::kLeft, Align::kRight, Align::kRight});
}

void PrintVerdict(Terminal& terminal, const InspectReport& report) {
  const JudgedFor& judged = *report.judged_for;
  PrintField(terminal, "engine",
             std::string(judged.engine->name) + " (" + std::string(judged.engine->version) +
                 "), --tp " + std::to_string(judged.tp));
  if (report.spec) {
    PrintField(terminal, "model",
               std::string(Name(report.spec->family())) + " (" + report.spec->model_type() + ")");
  }
  if (report.checkpoint) {
    PrintField(terminal, "quantization", judged.quantization);
    PrintField(terminal, "stored", StoredText(*report.checkpoint));
  }
  PrintFindings(terminal, report.findings);
  const uint64_t faults = report.Faults();
  terminal.Print((faults == 0 ? "\nloads" : "\ndoes not load: " + Plural(faults, "fault")) +
                 "; known by: " + std::string(judged.engine->judged) + "\n");
}

void PrintReport(Terminal& terminal, const InspectReport& report, const InspectOptions& options) {
  if (report.judged_for) return PrintVerdict(terminal, report);
  if (report.checkpoint && options.tensors) {
    PrintTensors(terminal, *report.checkpoint, *options.tensors);
    if (!options.check) return;
  } else if (report.checkpoint) {
    PrintSummary(terminal, report);
  }
  PrintFindings(terminal, report.findings);
  if (options.check) terminal.Print("\n" + Plural(report.Faults(), "fault") + " found\n");
}

Result<InspectReport> MakeReport(const InspectOptions& options) {
  if (options.engine.empty()) {
    return options.check ? CheckCheckpoint(options.checkpoint)
                         : InspectCheckpoint(options.checkpoint);
  }
  TESSERA_ASSIGN(const EngineProfile* engine, FindEngine(options.engine));
  return InspectForEngine(options.checkpoint, *engine,
                          {.tp = options.tp, .scan_codes = options.check});
}

Result<Outcome> RunInspect(const InspectOptions& options, Terminal& terminal) {
  TESSERA_ASSIGN(const InspectReport report, MakeReport(options));
  if (terminal.json) {
    SortedJson json = ReportJson(report);
    if (report.checkpoint && options.tensors) {
      json["tensor_list"] = TensorListJson(*report.checkpoint, *options.tensors);
    }
    terminal.PrintJson(std::move(json));
  } else {
    PrintReport(terminal, report, options);
  }
  return report.Faults() > 0 ? Outcome::kNegative : Outcome::kDone;
}

}  // namespace

void AddInspect(CLI::App& app, Session& session) {
  CLI::App& verb = AddVerb(
      app, session, "inspect", "What a checkpoint is: model, parameters, dtypes, oddities",
      "Only headers, the index and config.json are read. Without --check the first fault ends it\n"
      "with exit code 3; with --check every fault found is listed, and the exit code is 1.\n"
      "With --for an engine's rules judge it, also where tessera cannot decode the weights:\n"
      "a fatal finding gives exit code 1. tessera engines lists the engines.\n"
      "A quoted GLOB knows *, ? and [...]: --tensors 'model.layers.3.*scale_inv'.");
  auto options = std::make_shared<InspectOptions>();
  verb.add_option("CKPT", options->checkpoint, "A folder, an index, .safetensors or .gguf file")
      ->required();
  verb.add_flag("--check", options->check, "All structural checks; list every fault");
  verb.add_option_function<std::string>(
          "--tensors",
          [raw = options.get()](const std::string& glob) {
            raw->tensors = glob.empty() ? "*" : glob;
          },
          "The table of tensors, all or those that match")
      ->expected(0, 1)
      ->type_name("[GLOB]");
  CLI::Option* engine =
      verb.add_option("--for", options->engine, "Does this engine load it?")->type_name("ENGINE");
  verb.add_option("--tp", options->tp, "With --for: ranks of tensor parallelism")
      ->check(CLI::Range(1, 1024))
      ->needs(engine);
  SetAction(verb, session, options, RunInspect);
}

}  // namespace tessera::cli
