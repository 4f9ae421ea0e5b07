// What becomes of each weight of the source under a request.
#pragma once

#include <memory>
#include <optional>
#include <regex>
#include <string>
#include <string_view>
#include <vector>

#include "convert/request.h"
#include "formats/manifest.h"
#include "formats/result.h"
#include "quant/calibration.h"
#include "quant/int_scheme.h"
#include "quant/module_set.h"
#include "quant/scheme.h"
#include "quant/source.h"

namespace tessera {

struct Decision {
  const StoredWeight* weight = nullptr;
  TensorRole role{};
  uint32_t input = 0;  // index into Plan::sources
  Action by = Action::kCopied;
  const Scheme* to = nullptr;            // null: every part is copied as it is
  std::string_view rule = {};            // of a dropped one
  bool in_scheme = false;                // `to` is what the requantization is named after
  bool repacks = false;                  // `to` takes the integers as they are
  const StoredWeight* scales = nullptr;  // --scales-from: the weight whose scales are used
};

class Decider {
 public:
  // `scales` is --scales-from, or null. Fails where the request cannot fit the source as a whole.
  static Result<Decider> Make(const Request& request, const Source& source, const Source* scales);

  Result<Decision> Decide(const StoredWeight& weight);

  const std::optional<Calibration>& calibration() const { return calibration_; }
  // The schemes of quantized weights met so far; none unless the request quantizes.
  const std::vector<std::shared_ptr<const Scheme>>& targets() const { return targets_; }

 private:
  Decider(const Request& request, const Source& source, const Source* scales)
      : request_(&request), source_(&source), scales_(scales) {}

  Result<void> CheckRequest() const;
  Result<void> CheckQuantize() const;
  Result<void> CheckRepack() const;
  Result<void> ReadIgnored();
  Result<void> MakeTargets();
  Result<void> DecideFp8(Decision& decision) const;
  Result<void> DecideQuantize(Decision& decision);
  Result<void> KeepIntegers(Decision& decision) const;
  Result<void> DecideRepack(Decision& decision, const IntScheme& from);
  bool WantsBf16Scales() const;
  bool IsReached(const TensorRole& role, const std::string& name) const;
  Result<float> InputScale(const TensorRole& role) const;
  const Scheme* TargetWith(float input_scale);

  const Request* request_;
  const Source* source_;
  const Source* scales_;
  std::vector<std::shared_ptr<const Scheme>> targets_;
  std::vector<std::pair<IntFormat, const IntScheme*>> repacked_;  // among targets_
  std::vector<std::pair<float, const Scheme*>> scaled_;           // likewise, by input scale
  std::optional<Calibration> calibration_;
  ModuleSet modules_{};              // that a requantization reaches
  std::vector<std::regex> ignored_;  // modules that it does not
};

// The plain type that weights are cast to; BF16 where the request names none.
Dtype TargetDtype(CastTo to);

}  // namespace tessera
