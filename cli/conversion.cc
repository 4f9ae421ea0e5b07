#include "cli/conversion.h"

#include <sys/resource.h>

#include <algorithm>
#include <charconv>
#include <chrono>
#include <map>

#include "cli/progress.h"
#include "cli/rank_job.h"
#include "cli/sandbox.h"
#include "cli/signals.h"
#include "convert/convert.h"
#include "convert/planner.h"
#include "convert/preflight.h"
#include "convert/slots.h"
#include "formats/zstd_frames.h"
#include "quant/int_scheme.h"

namespace tessera::cli {
namespace {

using Clock = std::chrono::steady_clock;

SortedJson LedgerJson(const Ledger& ledger) {
  SortedJson json = SortedJson::object();
  for (size_t i = 0; i < kActions; ++i) {
    json[std::string(Name(static_cast<Action>(i)))] = ledger.counts[i];
  }
  return json;
}

// Of a GGUF output: how much of it has which type.
std::map<std::string_view, std::pair<uint64_t, uint64_t>> TypesOf(const Plan& plan) {
  std::map<std::string_view, std::pair<uint64_t, uint64_t>> types;
  for (const PlanTensor& tensor : plan.tensors) {
    auto& [tensors, bytes] = types[Name(tensor.info.dtype())];
    ++tensors;
    bytes += tensor.info.bytes();
  }
  return types;
}

// Weights that were integers before, of other bits or groups: what they lost then stays lost.
uint64_t Requantized(const Plan& plan) {
  const auto is_integer = [](const Scheme* scheme) {
    return dynamic_cast<const IntScheme*>(scheme) != nullptr;
  };
  return static_cast<uint64_t>(std::ranges::count_if(plan.steps, [&](const Step& step) {
    return is_integer(step.from) && is_integer(step.to) && !step.repacks;
  }));
}

SortedJson PlanJson(const Plan& plan) {
  SortedJson json = {{"plan", ToHex(plan.hash)},         {"tensors", plan.tensors.size()},
                     {"bytes", plan.payload_bytes},      {"file_bytes", plan.file_bytes},
                     {"files", plan.files.size()},       {"steps", plan.steps.size()},
                     {"ledger", LedgerJson(plan.ledger)}};
  if (!plan.folders[0].file.empty()) {
    for (const auto& [name, type] : TypesOf(plan)) {
      json["types"][std::string(name)] = {{"tensors", type.first}, {"bytes", type.second}};
    }
  }
  if (const uint64_t again = Requantized(plan); again != 0) json["requantized"] = again;
  if (!plan.engines.empty()) json["engines"] = plan.engines;
  if (!plan.launch_flags.empty()) json["launch_flags"] = plan.launch_flags;
  return json;
}

// Ranks have their steps dealt to them: what each makes is nobody's concern.
bool IsPart(const RunOptions& run) { return run.queue == nullptr && !run.part.is_whole(); }

SortedJson PartJson(const Plan& plan, const RunPart& part) {
  const StepRange steps = StepsOf(plan, part);
  return {{"index", part.index}, {"count", part.count}, {"steps", steps.end - steps.begin}};
}

// Of all parts, for whoever wants to know how even they are.
SortedJson PartsJson(const Plan& plan, uint32_t count) {
  SortedJson parts = SortedJson::array();
  for (const PartBytes& bytes : WeighParts(plan, count)) {
    parts.push_back({{"read_bytes", bytes.read}, {"written_bytes", bytes.written}});
  }
  return parts;
}

using Below = std::vector<std::pair<std::string, TensorQuality>>;

SortedJson BelowJson(const Below& below) {
  SortedJson list = SortedJson::array();
  for (const auto& [name, quality] : below) {
    list.push_back({{"tensor", name},
                    {"sqnr", quality.sqnr},
                    {"predicted_sqnr", quality.predicted_sqnr},
                    {"worst_row", quality.worst_row}});
  }
  return list;
}

std::string Decibels(double ratio) {
  char text[32];
  std::snprintf(text, sizeof text, "%.2f dB", ratio);
  return text;
}

std::string LedgerText(const Plan& plan) {
  std::string text;
  for (size_t i = 0; i < kActions; ++i) {
    if (plan.ledger.counts[i] == 0) continue;
    if (!text.empty()) text += ", ";
    text += Grouped(plan.ledger.counts[i]) + " " + std::string(Name(static_cast<Action>(i)));
  }
  for (const DropRule& rule : plan.rules) text += " (by " + rule.rule + ")";
  return text;
}

std::string TypesText(const Plan& plan) {
  std::string text;
  for (const auto& [name, type] : TypesOf(plan)) {
    text += (text.empty() ? "" : ", ") + Grouped(type.first) + " " + std::string(name);
  }
  return text;
}

void NoteCopies(const Plan& plan, Terminal& terminal) {
  if (plan.mtp_copies.empty()) {
    terminal.Note("--dedup-mtp has no effect: no copies of embedding or head are to be written");
  }
  for (const MtpCopy& copy : plan.mtp_copies) {
    if (copy.equal) continue;
    terminal.Note(copy.name + " is kept: " +
                  (copy.original.empty() ? "the main model's is not here to compare it with"
                                         : "it is not the same as " + copy.original));
  }
}

// Which copies --dedup-mtp dropped, and which it kept.
SortedJson CopiesJson(const Plan& plan) {
  SortedJson dropped = SortedJson::array(), kept = SortedJson::array();
  for (const MtpCopy& copy : plan.mtp_copies) (copy.equal ? dropped : kept).push_back(copy.name);
  return {{"dropped", dropped}, {"kept", kept}};
}

// Of a requantization: where it comes from, and where it can go.
void PrintRequantization(const Plan& plan, Terminal& terminal) {
  if (const uint64_t again = Requantized(plan); again != 0) {
    terminal.Print("quantized again: " + Plural(again, "weight") +
                   " that had been integers; the error of before stays below the new one\n");
  }
  if (!plan.engines.empty()) {
    terminal.Print("loaded by: " + Joined(plan.engines, ", ") +
                   (plan.compress ? ", once unpacked: tessera reshard OUT DIR --names hf" : "") +
                   "\n");
  }
  if (!plan.launch_flags.empty()) {
    terminal.Print("start the server with: " + Joined(plan.launch_flags, " ") + "\n");
  }
}

void PrintPlan(const ConversionOptions& options, const Plan& plan, const Buffers& buffers,
               Terminal& terminal) {
  if (terminal.json) {
    SortedJson json = PlanJson(plan);
    if (options.request.dedup_mtp) json["mtp_duplicates"] = CopiesJson(plan);
    json["peak_memory"] = buffers.bytes();
    if (IsPart(options.run)) {
      json["part"] = PartJson(plan, options.run.part);
      json["parts"] = PartsJson(plan, options.run.part.count);
    }
    terminal.PrintJson(std::move(json));
    return;
  }
  uint64_t tensors = 0, shards = 0, bytes = 0;
  for (const auto& source : std::span(plan.sources).first(plan.inputs)) {
    tensors += source->tensors().size();
    shards += source->shards().size();
    bytes += source->payload_bytes();
  }
  terminal.Print("source   " + Plural(tensors, "tensor") + " in " + Plural(shards, "shard") + ", " +
                 HumanBytes(bytes) + "\n");
  terminal.Print("output   " + Plural(plan.tensors.size(), "tensor") + " in " +
                 Plural(plan.files.size(), "file") + ", " + HumanBytes(plan.payload_bytes) + " (" +
                 Grouped(plan.payload_bytes) + " bytes)\n");
  if (!plan.folders[0].file.empty()) {
    terminal.Print("types    " + TypesText(plan) + "\n");
  }
  terminal.Print("ledger   " + LedgerText(plan) + "\n");
  PrintRequantization(plan, terminal);
  if (IsPart(options.run)) {
    const StepRange steps = StepsOf(plan, options.run.part);
    terminal.Print("part     " + options.part + ": " + Plural(steps.end - steps.begin, "weight") +
                   " of " + Grouped(plan.steps.size()) + "\n");
  }
  terminal.Print("buffers  " + HumanBytes(buffers.bytes()) + "\n");
  terminal.Print("plan     " + ToHex(plan.hash) + "\n");
}

// Of a compressed output: what its files take up.
uint64_t StoredBytes(const ConversionOptions& options, const Plan& plan) {
  const std::vector<std::filesystem::path> folders = options.request.Outputs();
  uint64_t bytes = 0;
  for (const PlanFile& file : plan.files) {
    std::error_code error;
    const uint64_t size = std::filesystem::file_size(folders[file.folder] / file.name, error);
    if (!error) bytes += size;
  }
  return bytes;
}

void PrintDone(const ConversionOptions& options, const Plan& plan, const tessera::Outcome& outcome,
               double seconds, Terminal& terminal) {
  const bool compressed = plan.compress && !options.run.rehearse && outcome.parts_left.empty();
  if (terminal.json) {
    SortedJson json = PlanJson(plan);
    if (options.request.dedup_mtp) json["mtp_duplicates"] = CopiesJson(plan);
    json["peak_memory"] = PeakMemory();
    json["seconds"] = seconds;
    json["read_bytes"] = outcome.execution.read_bytes;
    json["written_bytes"] = outcome.execution.written_bytes;
    json["resumed_steps"] = outcome.execution.resumed_steps;
    json["nan_codes"] = outcome.nan_codes;
    json["clipped"] = outcome.clipped;
    json["below"] = BelowJson(outcome.below);
    if (compressed) json["stored_bytes"] = StoredBytes(options, plan);
    if (IsPart(options.run)) {
      json["part"] = PartJson(plan, options.run.part);
      json["parts_left"] = outcome.parts_left;
    }
    if (const RankJob* job = options.session->job) json["ranks"] = job->size();
    terminal.PrintJson(std::move(json));
    return;
  }
  std::string out = options.request.out.string();
  if (options.request.split) out += " and " + options.request.split->string();
  if (outcome.already_done) {
    terminal.Print(out + (options.request.split ? " are" : " is") +
                   " already complete: nothing to do\n");
    return;
  }
  if (!outcome.parts_left.empty()) {
    terminal.Print(out + ": part " + options.part + " is done; " +
                   Plural(outcome.parts_left.size(), "part") +
                   " to go, the last of which completes the output\n");
    return;
  }
  terminal.Print((options.run.rehearse ? "rehearsed " : out + ": ") +
                 Plural(plan.tensors.size(), "tensor") + " in " +
                 Plural(plan.files.size(), "file") + ", " + HumanBytes(plan.payload_bytes) +
                 ", in " + std::to_string(static_cast<uint64_t>(seconds + 0.5)) + " s\n");
  if (compressed) {
    terminal.Print("compressed to " + HumanBytes(StoredBytes(options, plan)) + "\n");
  }
  terminal.Print("ledger: " + LedgerText(plan) + "\n");
  PrintRequantization(plan, terminal);
  if (outcome.execution.resumed_steps != 0) {
    terminal.Print("resumed: " + Plural(outcome.execution.resumed_steps, "weight") +
                   " were already done\n");
  }
  if (outcome.nan_codes != 0) {
    terminal.Print("NaN codes in the source: " + Grouped(outcome.nan_codes) +
                   ", stored as NaN; the manifest says where\n");
  }
  for (const auto& [name, quality] : outcome.below) {
    terminal.Print("below its scheme's quality: " + name + ": " + Decibels(quality.sqnr) +
                   ", expected " + Decibels(quality.predicted_sqnr) + "; worst row " +
                   std::to_string(quality.worst_row) + "\n");
  }
  if (outcome.clipped != 0) {
    terminal.Print("clipped to F16's range: " + Plural(outcome.clipped, "value") + "\n");
  }
}

// --mp cuts for ranks under the demo's names; --names hf with --mp 1 means an uncut checkpoint.
Result<void> ApplyNames(const std::string& names, Request& request) {
  if (names.empty()) return {};
  if (names != "hf" && names != "deepseek") {
    return Fail(
        Error(ErrorCode::kUsage, "--names: unknown style " + names).Expected("hf or deepseek"));
  }
  if (names == "deepseek" && request.mp == 0) {
    return Fail(Error(ErrorCode::kUsage, "--names deepseek goes with --mp")
                    .Next("--mp 1 writes one file under the demo's names"));
  }
  if (names == "hf" && request.mp > 1) {
    return Fail(ErrorCode::kUsage,
                "--names hf is not cut for ranks: leave out --mp, or use --mp 1");
  }
  if (names == "hf") request.mp = 0;
  return {};
}

// "2/4"
Result<RunPart> ParsePart(const std::string& text) {
  RunPart part;
  const char* const end = text.data() + text.size();
  const auto index = std::from_chars(text.data(), end, part.index);
  const bool cut = index.ec == std::errc() && index.ptr != end && *index.ptr == '/';
  if (cut) {
    const auto count = std::from_chars(index.ptr + 1, end, part.count);
    if (count.ec == std::errc() && count.ptr == end && part.index >= 1 &&
        part.index <= part.count && part.count <= kMaxParts) {
      return part;
    }
  }
  return Fail(Error(ErrorCode::kUsage, "--part: not a part: " + text)
                  .Expected("I/N with I from 1 to N, and N at most " + std::to_string(kMaxParts)));
}

// The command that made a part, without what is the part's own business.
std::string RecordCommand(const std::vector<std::string>& arguments) {
  SortedJson kept = SortedJson::array();
  for (size_t i = 0; i < arguments.size(); ++i) {
    const std::string& argument = arguments[i];
    if (argument == "--part") ++i;
    if (argument.starts_with("--part") || argument == "--json" || argument == "-q" ||
        argument == "--quiet") {
      continue;
    }
    kept.push_back(argument);
  }
  const SortedJson record = {{"arguments", kept}, {"folder", std::filesystem::current_path()}};
  return record.dump() + "\n";
}

Result<void> ApplyPart(ConversionOptions& options) {
  options.run.finish = !options.seal.empty();
  if (options.run.finish) {
    std::error_code error;
    const auto place = [&](const std::filesystem::path& path) {
      return std::filesystem::weakly_canonical(std::filesystem::absolute(path), error);
    };
    if (place(options.seal) == place(options.request.out)) return {};
    return Fail(Error(ErrorCode::kDamagedJournal, "the recorded command writes another folder")
                    .Expected(options.seal.string())
                    .Found(options.request.out.string())
                    .Next("give the command itself again, without --part"));
  }
  if (options.part.empty()) return {};
  TESSERA_ASSIGN(options.run.part, ParsePart(options.part));
  if (options.request.force && !options.run.part.is_whole()) {
    return Fail(Error(ErrorCode::kUsage, "--force would throw away the work of other parts")
                    .Next("remove OUT, or run --force once without --part"));
  }
  options.run.command = RecordCommand(options.session->arguments);
  return {};
}

// Of tessera-mpi: this rank's share is what it is dealt.
Result<void> ApplyJob(ConversionOptions& options) {
  RankJob* const job = options.session->job;
  if (job == nullptr) return {};
  const std::pair<bool, const char*> alone[] = {{!options.part.empty(), "--part"},
                                                {options.request.force, "--force"},
                                                {options.run.rehearse, "--rehearse"},
                                                {options.sandbox, "--sandbox"}};
  for (const auto& [given, name] : alone) {
    if (!given) continue;
    return Fail(Error(ErrorCode::kUsage, std::string(name) + " does not go with several ranks")
                    .Next("run tessera itself with it"));
  }
  if (job->size() == 1) return {};
  if (job->size() > kMaxParts) {
    return Fail(Error(ErrorCode::kUsage, "too many ranks")
                    .Expected("at most " + std::to_string(kMaxParts) + "; one a machine is best")
                    .Found(std::to_string(job->size())));
  }
  options.run.part = {.index = job->rank() + 1, .count = job->size()};
  options.run.queue = job;
  options.run.command = RecordCommand(options.session->arguments);
  return {};
}

// Every path that the request names, and no other.
Result<void> ApplySandbox(const ConversionOptions& options) {
  if (!options.sandbox) return {};
  const Request& request = options.request;
  SandboxPaths paths;
  const auto read = [&](const std::filesystem::path& path) { paths.read.push_back(path); };
  // Beside a single file or an index lies the rest of the checkpoint.
  const auto read_checkpoint = [&](const std::filesystem::path& path) {
    std::error_code error;
    const bool folder = std::filesystem::is_directory(path, error);
    read(folder ? path : std::filesystem::absolute(path).parent_path());
  };
  read_checkpoint(request.in);
  if (request.module) read_checkpoint(*request.module);
  if (request.scales_from) read_checkpoint(*request.scales_from);
  if (request.config) read(*request.config);
  if (request.quantize && request.quantize->calibration) read(*request.quantize->calibration);
  if (request.gguf && request.gguf->imatrix) read(*request.gguf->imatrix);
  if (!options.dry_run && !options.run.rehearse) paths.write = request.Outputs();
  return EnterSandbox(paths);
}

// "zstd:9", "zstd-planes".
Result<Compression> ParseCompression(const std::string& text) {
  const size_t colon = text.find(':');
  const std::string way = text.substr(0, colon);
  Compression compression{.level = kDefaultZstdLevel, .planes = way == "zstd-planes"};
  if (colon != std::string::npos) {
    const char* const end = text.data() + text.size();
    const auto parsed = std::from_chars(text.data() + colon + 1, end, compression.level);
    if (parsed.ec != std::errc() || parsed.ptr != end) compression.level = 0;
  }
  if ((compression.planes || way == "zstd") && compression.level >= 1 &&
      compression.level <= kMaxZstdLevel) {
    return compression;
  }
  return Fail(
      Error(ErrorCode::kUsage, "--compress: not a way to compress: " + text)
          .Expected("zstd, zstd:LEVEL, zstd-planes or zstd-planes:LEVEL, with a level from 1 to " +
                    std::to_string(kMaxZstdLevel)));
}

Result<MtpMode> ParseMtp(const std::string& text) {
  for (const MtpMode mode : {MtpMode::kKeep, MtpMode::kDrop, MtpMode::kOnly}) {
    if (Name(mode) == text) return mode;
  }
  return Fail(
      Error(ErrorCode::kUsage, "--mtp: unknown mode " + text).Expected("keep, drop or only"));
}

}  // namespace

uint64_t PeakMemory() {
  struct rusage usage;
  ::getrusage(RUSAGE_SELF, &usage);
  return static_cast<uint64_t>(usage.ru_maxrss) * 1024;
}

Result<uint64_t> ParseBytes(const std::string& option, const std::string& text) {
  struct Unit {
    std::string_view name;
    uint64_t bytes;
  };
  constexpr Unit kUnits[] = {{"", 1},
                             {"B", 1},
                             {"kB", 1000},
                             {"KB", 1000},
                             {"MB", 1'000'000},
                             {"GB", 1'000'000'000},
                             {"TB", 1'000'000'000'000},
                             {"KiB", uint64_t{1} << 10},
                             {"MiB", uint64_t{1} << 20},
                             {"GiB", uint64_t{1} << 30},
                             {"TiB", uint64_t{1} << 40}};
  uint64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  const std::string_view suffix(end, static_cast<size_t>(text.data() + text.size() - end));
  for (const Unit& unit : kUnits) {
    uint64_t bytes = 0;
    if (error == std::errc() && suffix == unit.name && value != 0 &&
        !__builtin_mul_overflow(value, unit.bytes, &bytes)) {
      return bytes;
    }
  }
  return Fail(Error(ErrorCode::kUsage, option + ": not a size: " + text)
                  .Expected("a positive number with an optional unit, such as 256MiB or 5GB"));
}

void AddInput(CLI::App& verb, ConversionOptions& o) {
  verb.add_option("IN", o.request.in, "Checkpoint: a folder, an index, or one .safetensors file")
      ->required();
  verb.add_option("--config", o.request.config, "A config.json to use instead of IN's")
      ->group(kMore);
}

void AddRunOptions(CLI::App& verb, Session& session, ConversionOptions& o) {
  o.session = &session;
  verb.add_option("--threads", o.run.threads, "Computing threads; default: the cores it may use")
      ->check(CLI::Range(1, 1024));
  verb.add_option("--memory", o.memory,
                  "Budget for buffers; default: 256MiB, or more where a single weight needs it");
  verb.add_flag("--dry-run", o.dry_run, "Print the plan; write nothing");
  verb.add_flag("--rehearse", o.run.rehearse, "Do everything, discard the output");
  verb.add_option("--part", o.part, "I/N: make one of N shares; others can be made elsewhere");
  verb.add_option(kSealOption, o.seal)->group("");
  verb.add_flag("--sha256", o.request.sha256, "Record whole-file SHA-256 in the manifest")
      ->group(kMore);
  verb.add_flag("--no-index", o.request.no_index, "Accept several shards without an index")
      ->group(kMore);
  verb.add_flag("--sandbox", o.sandbox, "Let the kernel forbid all files but IN and OUT")
      ->group(kMore);
  verb.add_flag("--force", o.request.force, "Replace an OUT that tessera wrote, nothing else")
      ->group(kMore);
}

void AddShardOptions(CLI::App& verb, Session& session, ConversionOptions& o) {
  verb.add_option("--shard-size", o.shard_size, "Largest shard, such as 5GB; default: as in IN");
  AddRunOptions(verb, session, o);
  verb.add_option(
          "--compress", o.compress,
          "zstd[:LEVEL] or zstd-planes[:LEVEL]: store shards as *.safetensors.zst; LEVEL is 1 "
          "to 19, else 3")
      ->group(kMore);
  verb.add_flag("--dedup-mtp", o.request.dedup_mtp,
                "Drop the MTP module's embedding and head where they are copies")
      ->group(kMore);
}

void AddConversionOptions(CLI::App& verb, Session& session, ConversionOptions& o) {
  AddInput(verb, o);
  verb.add_option("OUT", o.request.out, "Folder to write; made if it is not there")->required();
  verb.add_option("--mtp", o.mtp, "MTP module: keep, drop or only; default: keep, with --mp drop");
  verb.add_option("--mp", o.request.mp, "Cut for N model-parallel ranks of DeepSeek's demo")
      ->check(CLI::Range(1, 65536));
  verb.add_option("--names", o.names, "hf, or deepseek (with --mp, and its default)");
  AddShardOptions(verb, session, o);
}

Result<Outcome> RunConversion(const ConversionOptions& typed, Terminal& terminal) {
  ConversionOptions options = typed;
  TESSERA_TRY(ApplyNames(options.names, options.request));
  const bool ranked = options.request.mp != 0;
  const std::string default_mtp = ranked ? "drop" : "keep";
  TESSERA_ASSIGN(options.request.mtp, ParseMtp(options.mtp.empty() ? default_mtp : options.mtp));
  if (ranked && !options.shard_size.empty()) {
    return Fail(ErrorCode::kUsage, "--mp writes one file a rank: leave out --shard-size");
  }
  if (!options.memory.empty()) {
    TESSERA_ASSIGN(options.run.memory, ParseBytes("--memory", options.memory));
  }
  if (!options.shard_size.empty()) {
    TESSERA_ASSIGN(options.request.shard_size, ParseBytes("--shard-size", options.shard_size));
  }
  if (!options.compress.empty()) {
    TESSERA_ASSIGN(options.request.compress, ParseCompression(options.compress));
  }
  if (options.dry_run && options.run.rehearse) {
    return Fail(ErrorCode::kUsage, "--dry-run and --rehearse exclude each other");
  }
  TESSERA_TRY(ApplyPart(options));
  TESSERA_TRY(ApplyJob(options));
  TESSERA_TRY(ApplySandbox(options));
  options.run.signal = &WatchSignals();
  const Clock::time_point start = Clock::now();
  TESSERA_ASSIGN(const Plan plan,
                 MakePlan(options.request, [&] { return options.run.CheckStop(); }));
  if (options.request.dedup_mtp) NoteCopies(plan, terminal);
  TESSERA_ASSIGN(const Buffers buffers, PlanBuffers(plan, options.run));
  if (options.dry_run) {
    TESSERA_TRY(CheckApart(options.request.Outputs(), plan));
    PrintPlan(options, plan, buffers, terminal);
    return Outcome::kDone;
  }
  if (options.run.queue != nullptr) options.session->job->Share(plan);
  WorkCounters counters;
  Result<tessera::Outcome> outcome = [&] {
    const ProgressLine line(terminal, options.verb, counters);
    return Convert(plan, options.request, options.run, counters);
  }();
  if (!outcome) return Fail(std::move(outcome).error());
  const double seconds = std::chrono::duration<double>(Clock::now() - start).count();
  PrintDone(options, plan, *outcome, seconds, terminal);
  return outcome->below.empty() ? Outcome::kDone : Outcome::kNegative;
}

}  // namespace tessera::cli
