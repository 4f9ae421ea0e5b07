// A model's forward pass over one sequence, a layer at a time, its weights streamed from disk.
#pragma once

#include <atomic>
#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "formats/work_counters.h"
#include "quant/source.h"
#include "verify/feed_forward.h"
#include "verify/mla.h"

namespace tessera {

inline constexpr uint64_t kDefaultForwardMemory = uint64_t{4} << 30;

struct ForwardOptions {
  Arithmetic arithmetic = Arithmetic::kF32;
  WeightValues weights = WeightValues::kStored;
  Decoder decoder = Decoder::kFast;
  unsigned threads = 0;  // 0: the scheduler's choice; no matter for the result
  uint64_t memory = kDefaultForwardMemory;
  CheckpointOptions checkpoint;
  const std::atomic<int>* signal = nullptr;  // non-zero: stop with kInterrupted or kTerminated
  LinearObserver observer;                   // may be empty
  HeadObserver head_observer;                // may be empty
};

// Steps in this order: Start; Layer for each main layer; Finish; Logits as often as wanted. Then,
// if has_mtp(): StartMtp; Layer(num_hidden_layers); Finish; Logits, which now are the module's
// drafts. Two passes may advance in turns; one is not thread-safe.
class ForwardPass {
 public:
  // Opens the checkpoint and checks everything that needs no weight: completeness of the main
  // model, a config that a forward pass can follow.
  static Result<std::unique_ptr<ForwardPass>> Open(const std::filesystem::path& path,
                                                   const ForwardOptions& options,
                                                   WorkCounters& counters);

  const Source& source() const { return source_; }
  const ModelSpec& spec() const { return *source_.spec; }
  const ForwardConfig& config() const { return config_; }

  // Another budget, before Start.
  void set_memory(uint64_t bytes) { options_.memory = bytes; }

  // Tokens are cut into sequences of `sequence` (0: all in one; the last may be shorter) that know
  // nothing of each other and go through each layer together, so that its weights are read for all
  // of them at once. kMemoryBudget if a layer's activations and hot panels do not fit into
  // options.memory.
  Result<void> Start(std::span<const uint32_t> tokens, uint64_t sequence = 0);
  Result<void> Layer(uint32_t layer);
  Result<void> Finish();

  // Only a module of the first kind is run: layer num_hidden_layers drafts the token after next.
  bool has_mtp() const;
  // Pairs the final hidden state of each token but a sequence's last with the embedding of the
  // token after it.
  Result<void> StartMtp();

  // Valid until the next step.
  ConstMatrix residual() const { return stream_.view(); }             // after the last Layer
  const std::optional<Routing>& routing() const { return routing_; }  // of the last Layer
  ConstMatrix hidden() const { return hidden_.view(); }               // after Finish: normed

  // Rows [begin, end) into `out`, [end - begin, vocab_size]. Reads the head once a call, so take
  // kLogitTokens at a time. kNotFinite names the position.
  Result<void> Logits(uint64_t begin, uint64_t end, std::span<float> out) const;

 private:
  ForwardPass(Source source, const ForwardOptions& options, WorkCounters& counters);

  ForwardContext Context() const;
  void Cut(uint64_t tokens, uint64_t sequence);
  Result<void> CheckMemory();
  Result<void> CheckSignal() const;
  Result<void> Attend(uint32_t layer, ConstMatrix normed);
  Result<void> AddDense(uint32_t layer, ConstMatrix normed);
  Result<void> Embed(const TensorRole& table, std::span<const uint32_t> tokens,
                     MatrixView<float> out) const;
  TensorRole Role(Module module) const;

  Source source_;
  ForwardConfig config_;
  ForwardOptions options_;
  ModelWeights weights_;
  Threads threads_;
  RopeTable rope_;
  bool prefetch_ = false;
  bool mtp_ = false;  // past StartMtp
  std::vector<uint32_t> tokens_;
  Matrix<float> stream_, hidden_;
  std::vector<RowRange> sequences_;      // of stream_
  std::vector<KeySelection> selection_;  // of each sequence
  std::optional<Routing> routing_;
};

inline constexpr uint64_t kLogitTokens = 512;

// What a pass over so many tokens in sequences of at most `sequence` needs at most, prefetching not
// counted.
uint64_t ForwardMemory(const ModelSpec& spec, uint64_t tokens, uint64_t sequence, unsigned threads);
// What it holds between its steps, with a caller's chunk of logits; prefetching not counted.
uint64_t RestingForwardMemory(const ModelSpec& spec, uint64_t tokens);

}  // namespace tessera
