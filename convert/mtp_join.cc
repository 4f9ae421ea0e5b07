#include "convert/mtp_join.h"

#include <string>

#include "convert/config_edit.h"
#include "formats/shard_name.h"

namespace tessera {
namespace {

std::string Show(const Json* value) {
  if (value == nullptr) return "no such field";
  std::string text = value->dump(-1, ' ', false, Json::error_handler_t::replace);
  if (text.size() > 60) text = text.substr(0, 57) + "...";
  return text;
}

const Json* FindField(const Json& config, const std::string& key) {
  const auto found = config.find(key);
  return found == config.end() ? nullptr : &*found;
}

Result<void> CheckMain(const Source& main) {
  const auto refuse = [&](std::string what) {
    return Error(ErrorCode::kUnsupported, std::move(what)).In(main.checkpoint->dir().string());
  };
  if (main.checkpoint->ranks() != 0) {
    return Fail(refuse("a model cut for ranks cannot be joined")
                    .Next("put it together first: tessera reshard MAIN OUT --names hf"));
  }
  if (main.spec->num_nextn_predict_layers != 0) {
    return Fail(refuse("this checkpoint has its MTP module, or is one")
                    .Expected("a main model, whose config.json says num_nextn_predict_layers 0")
                    .Found("num_nextn_predict_layers " +
                           std::to_string(main.spec->num_nextn_predict_layers))
                    .Next("the order is: tessera join-mtp MAIN MTP OUT"));
  }
  return {};
}

// SGLang's form says nothing of the copies of embedding and head that it left out: whether the
// original had them, and what they held.
Result<void> CheckForm(const Checkpoint& module) {
  if (!module.config_text()) return {};  // OpenSource's to refuse
  const Result<Json> config = ParseJson(*module.config_text());
  const Json* const architectures =
      config && config->is_object() ? FindField(*config, "architectures") : nullptr;
  if (architectures == nullptr || *architectures != Json::array({"DeepseekV3ForCausalLMNextN"})) {
    return {};
  }
  return Fail(Error(ErrorCode::kUnsupported,
                    "a draft in SGLang's form cannot be joined: it does not tell what the "
                    "original's copies of embedding and head were")
                  .In(module.dir().string())
                  .Next("join the module that split-mtp makes without --for"));
}

// The two configs must tell one story but for the module itself.
Result<void> CheckSameModel(const Source& main, const Source& module) {
  ConfigEdits edits;
  edits.without_mtp = true;
  const Json theirs = EditConfig(module.config, edits);
  const auto check = [&](const std::string& key) -> Result<void> {
    const Json* const expected = FindField(main.config, key);
    const Json* const found = FindField(theirs, key);
    if (key == "num_nextn_predict_layers") return {};  // judged by the model specs
    if (expected != nullptr && found != nullptr && *expected == *found) return {};
    return Fail(Error(ErrorCode::kBadConfig,
                      "the module is not this model's: config.json differs in " + key)
                    .In(module.checkpoint->config_path().string())
                    .Expected(Show(expected) + ", as in " + main.checkpoint->config_path().string())
                    .Found(Show(found))
                    .Next("cast or split both in the same way, from one checkpoint"));
  };
  for (const auto& [key, value] : main.config.items()) TESSERA_TRY(check(key));
  for (const auto& [key, value] : theirs.items()) TESSERA_TRY(check(key));
  return {};
}

}  // namespace

Result<Source> OpenModule(const std::filesystem::path& path, const Source& main,
                          const CheckpointOptions& options) {
  TESSERA_TRY(CheckMain(main));
  TESSERA_ASSIGN(const Checkpoint opened, Checkpoint::Open(path, options));
  TESSERA_TRY(CheckForm(opened));
  TESSERA_ASSIGN(Source module, OpenSource(path, options));
  const auto refuse = [&](std::string what) {
    return Error(ErrorCode::kUnsupported, std::move(what)).In(module.checkpoint->dir().string());
  };
  if (module.coverage != Coverage::kMtpOnly) {
    return Fail(refuse("this checkpoint is no MTP module alone")
                    .Next("make one with split-mtp, or cast --mtp only"));
  }
  if (module.checkpoint->ranks() != 0) {
    return Fail(refuse("a module under the demo's names cannot be joined: its config.json is not "
                       "the model's")
                    .Next("join the module that split-mtp makes without --for"));
  }
  TESSERA_TRY(CheckSameModel(main, module));
  return module;
}

std::vector<Shard> JoinShards(std::span<const Shard> main, std::span<const Shard> module) {
  std::vector<Shard> shards(main.begin(), main.end());
  shards.insert(shards.end(), module.begin(), module.end());
  for (size_t i = 0; i < shards.size(); ++i) {
    shards[i].name =
        ToString(ShardName{.prefix = "model", .number = i + 1, .count = shards.size()});
  }
  return shards;
}

}  // namespace tessera
