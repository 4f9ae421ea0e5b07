#include <algorithm>
#include <memory>

#include "cli/commands.h"
#include "cli/conversion.h"

namespace tessera::cli {
namespace {

struct ReshardOptions : ConversionOptions {
  std::vector<uint32_t> ranks;
};

Result<Outcome> RunReshard(const ReshardOptions& typed, Terminal& terminal) {
  ReshardOptions options = typed;
  Request& request = options.request;
  if (request.mp == 0 && options.shard_size.empty() && options.names != "hf") {
    return Fail(Error(ErrorCode::kUsage, "reshard needs --mp, --shard-size or --names hf")
                    .Next("--mp N cuts for N ranks; --shard-size 5GB repacks a checkpoint; --names "
                          "hf puts ranks together"));
  }
  if (request.reblock && (request.mp == 0 || options.names == "hf")) {
    return Fail(ErrorCode::kUsage, "--reblock goes with --mp");
  }
  request.ranks = options.ranks;
  std::ranges::sort(request.ranks);
  const auto repeated = std::ranges::unique(request.ranks);
  request.ranks.erase(repeated.begin(), repeated.end());
  if (!request.ranks.empty() && request.ranks.back() >= request.mp) {
    return Fail(
        Error(ErrorCode::kUsage, "--rank: there is no rank " + std::to_string(request.ranks.back()))
            .Expected(request.mp == 0 ? "--mp" : "0 to " + std::to_string(request.mp - 1)));
  }
  return RunConversion(options, terminal);
}

}  // namespace

void AddReshard(CLI::App& app, Session& session) {
  CLI::App& verb = AddVerb(
      app, session, "reshard", "Cut for model-parallel ranks, or repack into even shards",
      "--mp N writes model{r}-mp{N}.safetensors as DeepSeek's convert.py does: the same "
      "names, slices,\n"
      "expert ownership and bytes, and beside them the demo's config.json and the "
      "tokenizer. Every\n"
      "weight is judged before a byte is written; a refusal names the degrees that work. "
      "--shard-size\n"
      "repacks into even shards that keep each weight and its scale together. IN may itself "
      "be cut for\n"
      "ranks: --names hf puts the Hugging Face checkpoint together again, --mp M cuts "
      "anew.");
  auto options = std::make_shared<ReshardOptions>();
  options->verb = "reshard";
  AddConversionOptions(verb, session, *options);
  verb.add_option("--rank", options->ranks, "With --mp: write only these ranks")->delimiter(',');
  verb.add_flag("--reblock", options->request.reblock,
                "With --mp: share or requantize FP8 blocks that ranks would cut");
  SetAction(verb, session, std::move(options), RunReshard);
}

}  // namespace tessera::cli
