// What becomes of each weight of the source under a request.
#pragma once

#include <memory>
#include <optional>
#include <string_view>

#include "convert/request.h"
#include "formats/manifest.h"
#include "formats/result.h"
#include "quant/scheme.h"
#include "quant/source.h"

namespace tessera {

struct Decision {
  const StoredWeight* weight = nullptr;
  TensorRole role{};
  Action by = Action::kCopied;
  const Scheme* to = nullptr;            // null: every part is copied as it is
  std::string_view rule = {};            // of a dropped one
  const StoredWeight* scales = nullptr;  // --scales-from: the weight whose scales are used
};

class Decider {
 public:
  // `scales` is --scales-from, or null. Fails where the request cannot fit the source as a whole.
  static Result<Decider> Make(const Request& request, const Source& source, const Source* scales);

  Result<Decision> Decide(const StoredWeight& weight) const;

  // The scheme of quantized weights; null unless the request quantizes.
  const std::shared_ptr<const Scheme>& target() const { return fp8_; }

 private:
  Decider(const Request& request, const Source& source, const Source* scales)
      : request_(&request), source_(&source), scales_(scales) {}

  Result<void> CheckRequest() const;
  Result<void> DecideFp8(Decision& decision) const;

  const Request* request_;
  const Source* source_;
  const Source* scales_;
  std::shared_ptr<const Scheme> fp8_;
};

// The plain type that weights are cast to; BF16 where the request names none.
Dtype TargetDtype(CastTo to);

}  // namespace tessera
