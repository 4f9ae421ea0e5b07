// Makes checkpoints of this architecture: real names, real quirks, invented weights.
//
// Always of the family, because every release of it has them: the config's fields and their order,
// tensor names, F32 norms (v3.2), powers of two as scales (v3.1, v3.2), unpadded file numbers (k2).
// Accidents of the releases come with `quirks` only: scales in the next shard, unpadded headers and
// so odd offsets, the wrong total_size (2 x elements), MTP copies of embedding and head, o_proj
// scales off powers of two (v3.1), stray inv_freq [56] (k2). Without them a scale lies right behind
// its weight in the same shard, headers are padded and the MTP module shares embedding and head.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string_view>

#include "formats/model_spec.h"
#include "formats/result.h"

namespace tessera {

enum class SynthPreset : uint8_t { kTiny, kSmall, kV3Slice, kDeepSeekV3 };
enum class SynthFormat : uint8_t { kFp8, kBf16 };

std::string_view Name(SynthPreset preset);  // "tiny", "small", "v3-slice", "deepseek-v3"
std::string_view Name(SynthFormat format);  // "fp8", "bf16"
// kUsage with the list of names.
Result<SynthPreset> ParseSynthPreset(std::string_view name);
Result<SynthFormat> ParseSynthFormat(std::string_view name);
Result<Family> ParseFamily(std::string_view name);

struct SynthRequest {
  SynthPreset preset = SynthPreset::kTiny;
  Family family = Family::kV3;
  std::optional<SynthFormat> format = std::nullopt;  // none: as the family was released
  bool quirks = false;  // kDeepSeekV3 is the release itself and has them anyway
  bool sparse = false;  // every weight byte a hole; kDeepSeekV3 comes in no other form
  uint64_t seed = 0;
  unsigned threads = 0;  // 0: all cores; no matter for the bytes
};

struct SynthSummary {
  SynthFormat format{};
  uint64_t files = 0, tensors = 0;
  uint64_t payload_bytes = 0;  // of all tensors
  uint64_t file_bytes = 0;     // of all shards, headers included
  uint64_t total_size = 0;     // what the index claims
  uint64_t split_pairs = 0;    // weights whose scale lies in the next shard
};

// Writes config.json, tokenizer and other side files, the shards, and the index last. `out` must be
// empty or absent, else kForeignFile. The bytes depend on preset, family, format, quirks and seed
// only. Memory: a few tiles a thread.
Result<SynthSummary> Synthesize(const SynthRequest& request, const std::filesystem::path& out);

}  // namespace tessera
