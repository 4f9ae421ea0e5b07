// What each inference engine loads of these models, and how it must be told: one table an engine.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "formats/dtype.h"
#include "formats/model_spec.h"
#include "formats/result.h"
#include "quant/module_set.h"

namespace tessera {

class Judgement;

enum class MtpWeights : uint8_t { kAbsent, kFloat, kQuantized };  // of the module's routed experts

// What `tessera quantize` is asked to write.
struct SchemeChoice {
  std::string_view scheme;             // as `tessera schemes` lists it, or "bf16"
  uint64_t group = 128;                // columns a scale; 0: a whole row
  ModuleSet modules = kRoutedExperts;  // that get the scheme
  ModuleSet in_part = 0;               // of them, those of which --ignore leaves some out
  MtpWeights mtp = MtpWeights::kAbsent;
  int tp = 1;
  bool negative_scales = false;  // --search mse-signed
  Dtype scale = Dtype::kBF16;    // of integers
  uint32_t ranks = 0;            // model-parallel ranks that the files are cut for; 0: not cut
};

enum class MtpRule : uint8_t { kAny, kQuantized };

// One scheme at one engine. `reason` says why it is refused, or what is to know where it loads.
struct SchemeRule {
  std::string_view scheme;
  bool loads = true;
  ModuleSet may = kAllLinears, must = 0;
  MtpRule mtp = MtpRule::kAny;
  std::string_view groups = "";  // "" any, else such as "channel 32 64 128"
  bool bf16_scales = false;      // of integers; other types are read as if they were BF16
  std::string_view flags = "";   // launch flags that it always needs
  std::string_view reason = "";
  std::string_view nearest = "";  // of a refused one: what loads instead

  bool Takes(uint64_t group) const;
};

// How lists of unquantized modules are spelled for an engine, by the scheme's config.
enum class ListSpelling : uint8_t { kRegex, kSubstring, kExact, kGptqDynamic, kNone };

struct EngineProfile {
  std::string_view name, version;
  std::string_view judged;  // how its rules are known
  std::span<const Family> families;
  std::span<const SchemeRule> schemes;
  // Of every scheme that has no rule: refused.
  std::string_view other_reason = "", other_nearest = "";
  std::string_view negative_scales = "";  // evidence that they load and compute right; "": none
  // SGLang runs a shared expert as one more routed expert unless told not to.
  bool fuses_shared_expert = false;
  bool loads_ranks = false;  // files cut for model-parallel ranks, and no others
  void (*judge)(Judgement&) = nullptr;

  // nullptr for a scheme that has no rule.
  const SchemeRule* FindScheme(std::string_view scheme) const;
  // kUnsupported with the reason and the nearest possible choice.
  Result<void> Accepts(const ModelSpec& spec, const SchemeChoice& choice) const;
  // The modules that get `scheme` when `wanted` is asked for: less what must stay as it is, more
  // what must not.
  ModuleSet Limit(std::string_view scheme, ModuleSet wanted) const;
  // What to start the server with for this choice to load; empty mostly.
  std::vector<std::string> LaunchFlags(const ModelSpec& spec, const SchemeChoice& choice) const;
};

// "v2, v3"
std::string FamiliesOf(const EngineProfile& engine);
// All engines in the order in which `tessera engines` lists them.
std::span<const EngineProfile* const> Engines();
// kUsage with the list of names.
Result<const EngineProfile*> FindEngine(std::string_view name);
// The engines that load such an output, by name.
std::vector<std::string_view> EnginesThatLoad(const ModelSpec& spec, const SchemeChoice& choice);

// Whether N-way tensor parallelism can cut this model's weights where the scheme has scales.
Result<void> CheckTp(const ModelSpec& spec, std::string_view scheme, uint64_t group, int tp);

extern const EngineProfile kVllm, kSglang, kLmdeploy, kTensorRtLlm, kLightLlm, kAmd, kAscendMindIe,
    kVllmAscend, kDeepSeekDemo, kTransformers, kKTransformers;

}  // namespace tessera
