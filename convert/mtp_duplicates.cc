#include "convert/mtp_duplicates.h"

#include <algorithm>
#include <cstddef>

namespace tessera {
namespace {

constexpr uint64_t kChunkBytes = uint64_t{1} << 20;

// The main model's weight that an MTP layer has a copy of; a tied head is the embedding.
const Decision* FindOriginal(std::span<const Decision> decisions, Module copy) {
  const auto find = [&](Module module) {
    const auto it =
        std::ranges::find(decisions, module, [](const Decision& d) { return d.role.module; });
    return it == decisions.end() ? nullptr : &*it;
  };
  const Decision* const head = copy == Module::kMtpHead ? find(Module::kLmHead) : nullptr;
  return head != nullptr ? head : find(Module::kEmbedTokens);
}

Result<bool> SameBytes(const Checkpoint& a, const TensorExtent& left, const Checkpoint& b,
                       const TensorExtent& right, const StopCheck& check) {
  if (left.info.dtype() != right.info.dtype() || left.info.shape() != right.info.shape()) {
    return false;
  }
  const uint64_t bytes = left.info.bytes();
  std::vector<std::byte> one(std::min(bytes, kChunkBytes)), other(one.size());
  for (uint64_t at = 0; at < bytes; at += one.size()) {
    TESSERA_TRY(check());
    const uint64_t size = std::min<uint64_t>(one.size(), bytes - at);
    const auto first = std::span(one).first(size), second = std::span(other).first(size);
    TESSERA_TRY(a.ReadBytes(left, at, first));
    TESSERA_TRY(b.ReadBytes(right, at, second));
    if (!std::ranges::equal(first, second)) return false;
  }
  return true;
}

}  // namespace

Result<std::vector<MtpCopy>> DropMtpDuplicates(
    std::span<const std::shared_ptr<const Checkpoint>> inputs, std::span<Decision> decisions,
    const StopCheck& check) {
  std::vector<MtpCopy> copies;
  for (Decision& decision : decisions) {
    const Module module = decision.role.module;
    if (module != Module::kMtpEmbedTokens && module != Module::kMtpHead) continue;
    if (decision.by == Action::kDropped) continue;
    const TensorExtent& copy = *decision.weight->parts[0];
    MtpCopy& found = copies.emplace_back();
    found.name = copy.info.name();
    const Decision* const original = FindOriginal(decisions, module);
    if (original == nullptr) continue;
    const TensorExtent& main = *original->weight->parts[0];
    found.original = main.info.name();
    if (decision.weight->parts.size() != 1 || original->weight->parts.size() != 1) continue;
    TESSERA_ASSIGN(found.equal,
                   SameBytes(*inputs[decision.input], copy, *inputs[original->input], main, check));
    if (!found.equal) continue;
    decision.by = Action::kDropped;
    decision.rule = "mtp-duplicate";
    decision.to = nullptr;
  }
  return copies;
}

}  // namespace tessera
