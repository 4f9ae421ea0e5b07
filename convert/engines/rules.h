// The rules that engines share. Each looks at one thing and adds what it finds; docs/engines.md
// has a line for every name of a rule.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
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
// How the groups of compressed-tensors are stored is said, and where it is read: `global_only`, for
// all of them at once.
void CheckFormats(Judgement& j, bool global_only);
// What multiplies INT8 and FP8 weights of compressed-tensors has a kernel, and scales if it is
// static.
void CheckActivations(Judgement& j);
bool HasAsymmetricExperts(const Judgement& j);
// The group of a class of modules; nullptr where there is none.
const GroupClaim* GroupOfExperts(const Judgement& j);
// quantization_config must be gone: another file says how weights are quantized.
void ForbidQuantizationConfig(Judgement& j, std::string_view file);

// --- shapes (rules_geometry.cc) ---
// Every tensor of the model that config.json describes, in its shape.
void CheckComplete(Judgement& j);
// What a quantized weight is made of: all of it, in the shapes that the model and the format ask
// for, and no scale of what it was before.
void CheckParts(Judgement& j);
// Bits, groups and zero points of packed integers, as config.json says they are.
void CheckGeometry(Judgement& j);
// "4 bits, groups of 128": what the parts of one weight have to share; "" where it does not tell.
std::string GeometryOf(const Judgement& j, const StoredModule& module);
// Groups that the engine's table does not have.
void WarnOfGroupSize(Judgement& j);

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
// The router's bias: F32.
void WarnOfRouterBias(Judgement& j);
// kv_b_proj, where the engine takes it apart and knows it as floats only.
void RefuseKvBStoredAs(Judgement& j, Storage storage);
// Blocks of q_a_proj that would reach into kv_a_proj, which is put behind it.
void CheckJoinedBlocks(Judgement& j);
// wk and weights_proj: BF16 or block FP8.
void CheckIndexer(Judgement& j);
// The classes of linears of which some are stored so.
ModuleSet SetsStoredAs(const Judgement& j, Storage storage);
// The first module of these sets stored so, or nullptr.
const StoredModule* FirstStoredAs(const Judgement& j, ModuleSet sets, Storage storage);
void CheckTpDegree(Judgement& j);

// --- values (rules_values.cc) ---
// op(first byte, bytes) of all pieces of a tensor, whose size is the file's word: memory is not to
// follow it. False, with a finding, if it cannot be read.
bool ForEachPiece(Judgement& j, const TensorExtent& tensor,
                  const std::function<void(uint64_t, std::span<const std::byte>)>& op);
// scale_fmt ue8m0 with scales that are no powers of two.
void CheckUe8m0(Judgement& j);
// W4AFP8: equal for w1 and w3, representable in BF16, `required` or else 1.
void CheckInputScales(Judgement& j, bool required);
// Group scales that the engine holds as BF16.
void RequireBf16Scales(Judgement& j);
// GPTQ: columns in groups in their order, as desc_act false has it.
void CheckColumnOrder(Judgement& j);
// GPTQ: zero points of symmetric weights, for which engines take the middle unseen.
void CheckMiddleZeros(Judgement& j);
// NaN and infinite scales; read with --check only.
void CheckScaleValues(Judgement& j);
// 0x7F and 0xFF are NaN in E4M3FN and numbers in FNUZ.
void CheckNanCodes(Judgement& j);

// --- Ascend (rules_ascend.cc) ---
// quant_model_description.json: there, under the right name, with every tensor.
void CheckDescription(Judgement& j, bool exact_name);
// One type for the parts of one weight, and one that has kernels there.
void CheckDescribedTypes(Judgement& j, const EngineNames& names);

}  // namespace tessera
