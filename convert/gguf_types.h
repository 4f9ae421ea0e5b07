// The type of every tensor of a GGUF file: what the loader insists on, then the user's rules, then
// the mix, then what the length of its rows allows.
#pragma once

#include <regex>
#include <span>
#include <string>
#include <vector>

#include "convert/gguf_mix.h"
#include "formats/gguf_names.h"
#include "formats/result.h"
#include "formats/tensor.h"

namespace tessera {

// --tensor-type REGEX=TYPE.
struct GgufTypeRule {
  std::string expression;  // ECMAScript, searched for in tensor names in any case of letters
  Dtype dtype{};
};
// kUsage, listing the types.
Result<GgufTypeRule> ParseGgufTypeRule(const std::string& text);

class GgufTypes {
 public:
  // Both arguments must outlive this. kUsage for what is no regular expression.
  static Result<GgufTypes> Make(const GgufMix& mix, std::span<const GgufTypeRule> rules,
                                const GgufModel& model);

  // `measured`: the tensor's columns have an importance. kUnsupported for rows that neither the
  // type nor one in its place can hold, and for types that need an importance.
  Result<Dtype> Choose(const std::string& name, const GgufTensorRole& tensor, const Shape& shape,
                       bool measured);

  // After all tensors: kUsage for a rule that chose nothing.
  Result<void> CheckRules() const;

 private:
  struct Rule {
    const GgufTypeRule* rule;
    std::regex pattern;
    bool used = false;
  };
  GgufTypes(const GgufMix& mix, const GgufModel& model) : mix_(&mix), model_(model) {}

  Dtype Wanted(const std::string& name, const GgufTensorRole& tensor, const Shape& shape);

  const GgufMix* mix_;
  GgufModel model_;
  std::vector<Rule> rules_;
};

}  // namespace tessera
