// Which modules an engine takes for unquantized, given the list in a checkpoint's config: every
// engine and method matches names by a rule of its own.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "convert/engines/engine.h"
#include "convert/engines/pattern.h"
#include "formats/result.h"

namespace tessera {

// A module as an engine asks for it, and the checkpoint's modules that it is made of.
struct EngineModule {
  std::string name;  // "model.layers.3.mlp.gate_up_proj"
  ModuleSet set = 0;
  int32_t layer = -1;
  bool fused = false;  // of several projections, experts not counted
  // "model.layers.3.mlp.gate_proj", ...; itself where not fused. `parts` as the checkpoint names
  // them, `own_parts` as the engine does.
  std::vector<std::string> parts, own_parts;
};

// How an engine names what it fuses; empty where it does not.
struct EngineNames {
  std::string_view a_projections = "";  // of q_a_proj and kv_a_proj_with_mqa
  std::string_view gate_up = "";
  std::string_view mtp_layer = "";  // instead of "model.layers.61"
};

// Every linear that an engine asks its quantization about, in the order of the model. Experts are
// one module a layer, with all its experts' projections as parts.
std::vector<EngineModule> ModulesAsked(const ModelSpec& spec, const EngineNames& names);

// A list from a config; entries that begin with "re:", or in a GPTQ "dynamic" with "-:" or "+:",
// are patterns.
class NameList {
 public:
  enum class Kind : uint8_t { kPlain, kGptqDynamic };
  static Result<NameList> Parse(const std::vector<std::string>& entries, Kind kind = Kind::kPlain);

  struct Entry {
    std::string text;                // without its prefix
    std::optional<Pattern> pattern;  // none: plain text
    bool excludes = false;           // "-:" of a dynamic
  };
  const std::vector<Entry>& entries() const { return entries_; }
  bool Contains(std::string_view text) const;  // as plain text

 private:
  std::vector<Entry> entries_;
};

enum class NameRule : uint8_t {
  kCtVllm,             // vLLM's compressed-tensors
  kCtSglang,           // SGLang's, 0.5.23
  kCtSglangSubstring,  // SGLang's up to July 2026
  kCtPlain,            // compressed-tensors itself, by the modules' own names
  kInt8Sglang,         // SGLang's w8a8_int8
  kAwqVllm,
  kAwqSglang,
  kFp8Vllm,
  kFp8Sglang,
  kBlockInt8Sglang,
  kGptq,  // vLLM's, and SGLang's where experts are not concerned
  kGptqSglang,
  kNever,  // the engine has no such list
};

// Whether the list makes a module unquantized. kUnsupported when parts of a fused module disagree,
// which the engine refuses too.
Result<bool> IsUnquantized(NameRule rule, const EngineModule& module, const NameList& list);

}  // namespace tessera
