// Two checkpoints of one model on the same text: both passes advance together, layer by layer, so
// that each is read once and nothing is kept but sums, and what each position says.
#pragma once

#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "verify/forward.h"
#include "verify/layer_compare.h"
#include "verify/logits_compare.h"
#include "verify/matrix_product.h"
#include "verify/quality_gates.h"
#include "verify/tensor_compare.h"
#include "verify/token_texts.h"

namespace tessera {

struct ForwardCompareOptions {
  ForwardOptions run;  // of both; memory is for both together
  // Of A. By default rounded to BF16 if B is BF16 beside some F32: a faithful cast then is equal.
  std::optional<WeightValues> weights;
  QualityGates gates{};
};

// Of two MTP modules.
struct DraftComparison {
  LogitComparison logits;                     // position i is that of the text's token i + 1
  double acceptance_a = 0, acceptance_b = 0;  // drafts that are the own main model's choice
};

struct ForwardComparison {
  ComparedSide a, b;
  uint64_t tokens = 0;
  Arithmetic arithmetic{};
  WeightValues weights{};  // of A
  StorageKind kind{};      // see KindOfChange; whose limits hold
  std::vector<LayerComparison> layers;
  RoutingComparison routing;  // of all layers, without loads
  LogitComparison logits;
  std::optional<DraftComparison> drafts;  // if both have a module
  std::vector<GateResult> gates;
  std::string verdict;  // one sentence
  TokenTexts texts;     // of the tokens in logits.worst, by A's tokenizer or else B's

  bool passes() const;
  const LayerComparison& FurthestLayer() const;
};

class ForwardComparer {
 public:
  // Fails as ForwardPass::Open does, and with kUsage if the two are not of one architecture and
  // one tokenizer.
  static Result<std::unique_ptr<ForwardComparer>> Open(const std::filesystem::path& a,
                                                       const std::filesystem::path& b,
                                                       const ForwardCompareOptions& options,
                                                       WorkCounters& counters);

  const ModelSpec& spec() const { return a_->spec(); }

  // Once. The same report for any number of threads and any budget.
  Result<ForwardComparison> Run(std::span<const uint32_t> tokens);

 private:
  ForwardComparer(std::unique_ptr<ForwardPass> a, std::unique_ptr<ForwardPass> b,
                  const ForwardCompareOptions& options)
      : a_(std::move(a)),
        b_(std::move(b)),
        options_(options),
        threads_(options.run.threads, kMaxMultiplyingThreads) {}

  Result<void> ShareMemory(uint64_t tokens);
  Result<std::vector<LayerComparison>> CompareLayers();
  // Of the positions of `text`.
  Result<LogitComparison> CompareLogits(std::span<const uint32_t> text);
  Result<DraftComparison> CompareDrafts(std::span<const uint32_t> tokens,
                                        const LogitComparison& main);

  std::filesystem::path path_a_, path_b_;
  std::unique_ptr<ForwardPass> a_, b_;
  ForwardCompareOptions options_;
  Threads threads_;
};

}  // namespace tessera
