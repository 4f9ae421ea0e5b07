#include "convert/engines/tp_rule.h"

#include <algorithm>

namespace tessera {
namespace {

struct CutRow {
  std::string_view scheme;
  bool experts_block, experts_group, linears_block, linears_group;
};
constexpr CutRow kCuts[] = {
    {"fp8-block", true, false, true, false},   {"fp8-block-ue8m0", true, false, true, false},
    {"int8-block", true, false, true, false},  {"w4afp8", false, true, true, false},
    {"trtllm-w4a8", false, true, true, false}, {"w4a16", false, true, false, false},
    {"w4a16-asym", false, true, false, false}, {"w8a16", false, true, false, false},
    {"awq", false, true, false, true},         {"gptq4", false, true, false, false},
    {"gptq8", false, true, false, false},
};
constexpr uint64_t kBlock = 128;

}  // namespace

CutUnits CutOf(std::string_view scheme, uint64_t group) {
  const auto row = std::ranges::find(kCuts, scheme, &CutRow::scheme);
  CutUnits units;
  if (row == std::end(kCuts)) return units;
  const uint64_t columns = std::max<uint64_t>(group, 1);
  if (row->experts_block) units.expert_rows = units.expert_columns = kBlock;
  if (row->experts_group) units.expert_columns = columns;
  if (row->linears_block) units.rows = units.columns = kBlock;
  if (row->linears_group) units.columns = columns;
  return units;
}

std::vector<TpFault> FindTpFaults(const ModelSpec& spec, const CutUnits& units, int tp) {
  std::vector<TpFault> faults;
  const auto degree = static_cast<uint64_t>(tp);
  const auto check = [&](const char* module, const char* field, uint64_t size, uint64_t unit) {
    if (size % degree == 0 && (size / degree) % unit == 0) return;
    std::string what = std::string(field) + " is " + std::to_string(size) + ", which " +
                       std::to_string(tp) + " ranks cannot share";
    if (unit > 1) what += " in multiples of " + std::to_string(unit);
    faults.push_back({module, std::move(what)});
  };
  const uint64_t heads = spec.num_attention_heads;
  if (heads % degree != 0) {
    check("self_attn", "num_attention_heads", heads, 1);
  } else if (degree > 1) {
    check("self_attn.q_b_proj", "its output",
          heads * (spec.qk_nope_head_dim + spec.qk_rope_head_dim), units.rows);
    check("self_attn.kv_b_proj", "its output", heads * (spec.qk_nope_head_dim + spec.v_head_dim),
          units.rows);
    check("self_attn.o_proj", "its input", heads * spec.v_head_dim, units.columns);
  }
  if (degree > 1) {
    check("mlp.experts", "moe_intermediate_size", spec.moe_intermediate_size,
          std::max(units.expert_rows, units.expert_columns));
    check("mlp", "intermediate_size", spec.intermediate_size, std::max(units.rows, units.columns));
  }
  return faults;
}

std::string WorkingDegrees(const ModelSpec& spec, const CutUnits& units) {
  std::string degrees;
  for (int tp = 1; tp <= 64; tp *= 2) {
    if (!FindTpFaults(spec, units, tp).empty()) continue;
    degrees += (degrees.empty() ? "" : ", ") + std::to_string(tp);
  }
  return degrees;
}

}  // namespace tessera
