// What each WeightLayout means on disk: the tensor that holds a weight's codes, the weight's own
// shape, and the scheme that decodes it.
#pragma once

#include <memory>
#include <span>
#include <string_view>

#include "formats/dtype.h"
#include "formats/tensor.h"
#include "quant/quant_args.h"
#include "quant/scheme.h"

namespace tessera {

struct LayoutInfo {
  WeightLayout layout;
  std::string_view name;
  std::string_view codes;  // suffix of the tensor that holds the codes
  std::span<const Dtype> code_types;
  std::string_view scale;              // suffix of the one that holds the scales
  std::span<const Dtype> scale_types;  // that can be decoded; the usual one first
};
const LayoutInfo& Info(WeightLayout layout);

// The weight that a matrix of codes is, out and in. Packed rows end in a whole word, so that it may
// be narrower by less than a word: `expected`, where given, decides.
Shape ShapeOfWeight(const QuantGroup& group, const Shape& codes, const Shape* expected);

// The types that a weight's tensors are found to have, where several are possible.
struct PartTypes {
  Dtype code, scale;
  Dtype shape = Dtype::kI64;  // of weight_shape

  friend bool operator==(const PartTypes&, const PartTypes&) = default;
};

std::unique_ptr<Scheme> MakeDecoder(const QuantGroup& group, const QuantArgs& args,
                                    const PartTypes& types);

}  // namespace tessera
