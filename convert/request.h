// What a person asked for. Every converting verb fills in one of these; it becomes one Plan.
#pragma once

#include <atomic>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "convert/engines/engine.h"
#include "convert/gguf_types.h"
#include "convert/run_part.h"
#include "formats/model_spec.h"
#include "formats/result.h"
#include "formats/zstd_frames.h"
#include "quant/int_format.h"
#include "quant/registry.h"
#include "quant/scheme.h"

namespace tessera {

enum class CastTo : uint8_t { kStored, kBf16, kF16, kF32, kFp8 };
std::string_view Name(CastTo to);  // "stored", "bf16", "f16", "f32", "fp8"

enum class MtpMode : uint8_t { kKeep, kDrop, kOnly };
std::string_view Name(MtpMode mode);  // "keep", "drop", "only"

// Which linears a requantization reaches: its scheme's own choice, or another.
enum class Reach : uint8_t { kByScheme, kExpertsOnly, kAllLinears };
std::string_view Name(Reach reach);  // "scheme", "experts", "linears"

struct QuantizeRequest {
  const SchemeRow* scheme = nullptr;
  const EngineProfile* engine = nullptr;  // null: whatever loads the scheme
  Reach reach = Reach::kByScheme;
  Search search = Search::kMse;
  std::vector<std::string> ignore;  // ECMAScript expressions, searched for in module names
  std::optional<float> input_scale;
  std::optional<std::filesystem::path> calibration;
};

struct GgufRequest {
  const GgufMix* mix = nullptr;
  std::vector<GgufTypeRule> rules;  // the first that matches a tensor counts
  std::optional<std::filesystem::path> imatrix;
  bool tokenizer = true;
  std::string name;  // general.name; empty: none
};

// Whose loader a split-off MTP module is for; kAny: a checkpoint like any other.
enum class ModuleFor : uint8_t { kAny, kSglang, kVllm, kDeepSeek };
std::string_view Name(ModuleFor engine);  // "any", "sglang", "vllm", "deepseek"

// What shapes the output's bytes, and where they come from and go to.
struct Request {
  std::filesystem::path in, out;
  std::optional<std::filesystem::path> config;  // instead of the one in `in`
  CastTo to = CastTo::kStored;
  ScaleFormat scale_format = ScaleFormat::kF32;      // with kFp8
  std::optional<std::filesystem::path> scales_from;  // with kFp8: a block-FP8 checkpoint's scales
  bool saturate = false;                             // with kF16
  std::optional<QuantizeRequest> quantize;           // then `to` is kStored
  std::optional<GgufRequest> gguf;                   // likewise; then `out` is a file
  MtpMode mtp = MtpMode::kKeep;
  std::optional<std::filesystem::path> split;  // the MTP module goes here, the rest to `out`
  ModuleFor split_for = ModuleFor::kAny;
  std::optional<std::filesystem::path> module;  // this MTP module joins the model of `in`
  bool dedup_mtp = false;   // drop the module's embedding and head where they are copies
  uint64_t shard_size = 0;  // 0: shards as in the source
  uint32_t mp = 0;          // 0: not cut; else model-parallel ranks as DeepSeek's demo loads them
  std::vector<uint32_t> ranks;  // with mp: only these, rising; empty: all
  bool reblock = false;         // with mp: cut FP8 beyond its blocks
  bool no_index = false;        // accept several shards without an index
  bool sha256 = false;          // whole-file SHA-256 in the manifest
  Compression compress;         // how shards are stored
  bool force = false;           // replace an output that tessera wrote

  // Whether weights stay stored as they are, and with them what says how.
  bool keeps_storage() const { return to == CastTo::kStored && !quantize && !gguf; }
  // The folders to write, as Plan::folders.
  std::vector<std::filesystem::path> Outputs() const;
};

class StepQueue;

// How to run it. None of these may change an output byte.
struct RunOptions {
  unsigned threads = 0;        // 0: the cores this process may use
  uint64_t memory = 0;         // for buffers; 0: 256 MiB, or more where a single weight needs it
  bool rehearse = false;       // do everything, discard the output
  RunPart part;                // this run's share, where several work on one output
  StepQueue* queue = nullptr;  // deals out the steps instead, as the runs go
  bool finish = false;         // only seal what parts have made; kUnfinished if they have not
  // What a part was called with, from which `finish` can make the plan again; opaque here.
  std::string command;
  const std::atomic<int>* signal = nullptr;  // non-zero: stop soon, keeping what is done

  bool Stopped() const { return signal != nullptr && *signal != 0; }
  // kInterrupted or kTerminated once the signal has come.
  Result<void> CheckStop() const;
};

}  // namespace tessera
