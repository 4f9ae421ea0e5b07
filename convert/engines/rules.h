// The rules that engines share. Each looks at one thing and adds what it finds; docs/engines.md
// has a line for every name of a rule.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "convert/engines/judgement.h"
#include "convert/engines/name_rule.h"

namespace tessera {

// What every engine minds: a model it knows, weights that are what config.json says.
void CheckModel(Judgement& j);

// --- files (rules_files.cc) ---
// Engines read safetensors files as they are.
void RefuseCompressed(Judgement& j);
// transformers before 5 refuses a header whose metadata does not say format: pt.
void WarnFormatMetadata(Judgement& j);
// kv_b_proj's weight and scale looked for in one file.
void RequireKvBInOneShard(Judgement& j);
// Scale before weight: LMDeploy before 0.18 leaves its absorbed kv_b_proj empty then.
void WarnKvBOrder(Judgement& j);
// Shard numbers without leading zeros, as Kimi-K2 has them.
void NoteShardNames(Judgement& j);
// Python files that config.json's auto_map names.
void CheckCustomCode(Judgement& j);
// The MTP module that config.json promises. `one_only`: more than one layer is refused.
void CheckMtp(Judgement& j, bool one_only);

// --- config.json (rules_config.cc) ---
struct MethodJudge {
  std::string_view method;
  void (*judge)(Judgement& j);
};
// Runs the rules of the method that config.json names; one that the engine does not have is fatal.
// BF16 needs no row.
void JudgeMethod(Judgement& j, std::span<const MethodJudge> methods, std::string_view known);
void RequireKeys(Judgement& j, std::span<const std::string_view> keys);
// quant_method fp8: 128x128 blocks with dynamic activations.
void CheckFp8Config(Judgement& j);
void CheckGptqConfig(Judgement& j);
void CheckAwqConfig(Judgement& j);
// compressed-tensors: groups, formats, bits, key by key.
void CheckCompressedConfig(Judgement& j);
bool HasAsymmetricExperts(const Judgement& j);
// The group of a class of modules; nullptr where there is none.
const GroupClaim* GroupOfExperts(const Judgement& j);
// quantization_config must be gone: another file says how weights are quantized.
void ForbidQuantizationConfig(Judgement& j, std::string_view file);

// --- shapes (rules_geometry.cc) ---
// Bits, groups and zero points of packed integers.
void CheckGeometry(Judgement& j);

// --- which modules (rules_coverage.cc) ---
struct CoverageCheck {
  EngineNames names = {};
  NameRule rule = NameRule::kNever;
  std::vector<std::string> list = {};
  NameList::Kind kind = NameList::Kind::kPlain;
  // SGLang asks for the MTP module as model.decoder, and rewrites some methods' lists for that.
  bool rewrites_mtp = false;
  // vLLM looks at dtypes for GPTQ linears.
  bool detects_linears = false;
  // SGLang ends where no target of compressed-tensors hits a linear that is not in the list.
  bool needs_target = false;
  // Or only that parts of one weight are stored alike: the list's rule is not known.
  bool compares = true;
};
void CheckCoverage(Judgement& j, const CoverageCheck& check);
// Router, norms, embedding, heads, eh_proj.
void CheckNeverQuantized(Judgement& j);
// wk and weights_proj: BF16 or block FP8.
void CheckIndexer(Judgement& j);
// The classes of linears of which some are stored so.
ModuleSet SetsStoredAs(const Judgement& j, Storage storage);
// The first module of these sets stored so, or nullptr.
const StoredModule* FirstStoredAs(const Judgement& j, ModuleSet sets, Storage storage);
void CheckTpDegree(Judgement& j);

// --- values (rules_values.cc) ---
// scale_fmt ue8m0 with scales that are no powers of two.
void CheckUe8m0(Judgement& j);
// W4AFP8: equal for w1 and w3, representable in BF16, `required` or else 1.
void CheckInputScales(Judgement& j, bool required);
// Group scales that the engine holds as BF16.
void RequireBf16Scales(Judgement& j);
// 0x7F and 0xFF are NaN in E4M3FN and numbers in FNUZ.
void CheckNanCodes(Judgement& j);

// --- Ascend (rules_ascend.cc) ---
// quant_model_description.json: there, under the right name, with every tensor.
void CheckDescription(Judgement& j, bool exact_name);

}  // namespace tessera
