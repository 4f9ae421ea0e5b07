#include "convert/gguf_types.h"

#include <algorithm>
#include <optional>

#include "quant/ggml_types.h"

namespace tessera {
namespace {

constexpr Dtype kPlainTypes[] = {Dtype::kF32, Dtype::kF16, Dtype::kBF16};

std::optional<Dtype> ParseType(std::string text) {
  std::ranges::transform(text, text.begin(), [](unsigned char c) {
    return static_cast<char>(c >= 'a' && c <= 'z' ? c - 'a' + 'A' : c);
  });
  for (const Dtype dtype : kPlainTypes) {
    if (Name(dtype) == text) return dtype;
  }
  return ParseGgmlType(text);
}

std::string KnownTypes() {
  std::string names;
  for (const Dtype dtype : kPlainTypes) names += std::string(Name(dtype)) + ", ";
  for (const GgmlTypeInfo& info : AllGgmlTypes()) names += std::string(Name(info.type)) + ", ";
  names.resize(names.size() - 2);
  return names;
}

// Norms, vectors and the router, which the loader or the model's quality wants in F32.
bool StaysF32(const GgufTensorRole& tensor, const Shape& shape) {
  return shape.size() < 2 || tensor.role.module == Module::kRouter;
}

// What stands in for a type of longer blocks; nullopt: nothing does.
std::optional<Dtype> InPlaceOf(Dtype dtype) {
  switch (dtype) {
    case Dtype::kQ2_K:
    case Dtype::kQ3_K:
      return Dtype::kQ4_0;
    case Dtype::kQ4_K:
      return Dtype::kQ5_0;
    case Dtype::kQ5_K:
      return Dtype::kQ5_1;
    case Dtype::kQ6_K:
      return Dtype::kQ8_0;
    case Dtype::kIq4Xs:
      return Dtype::kIq4Nl;
    default:
      return std::nullopt;
  }
}

}  // namespace

Result<GgufTypeRule> ParseGgufTypeRule(const std::string& text) {
  // The last one: an expression may hold others.
  const size_t equals = text.rfind('=');
  if (equals == std::string::npos || equals == 0) {
    return Fail(Error(ErrorCode::kUsage, "--tensor-type: not a rule: " + text)
                    .Expected("REGEX=TYPE, such as ffn_down_exps=Q3_K"));
  }
  const std::optional<Dtype> dtype = ParseType(text.substr(equals + 1));
  if (!dtype) {
    return Fail(Error(ErrorCode::kUsage, "--tensor-type: unknown type " + text.substr(equals + 1))
                    .Expected(KnownTypes()));
  }
  return GgufTypeRule{text.substr(0, equals), *dtype};
}

Result<GgufTypes> GgufTypes::Make(const GgufMix& mix, std::span<const GgufTypeRule> rules,
                                  const GgufModel& model) {
  GgufTypes types(mix, model);
  for (const GgufTypeRule& rule : rules) {
    try {
      types.rules_.push_back(
          {&rule, std::regex(rule.expression,
                             std::regex::ECMAScript | std::regex::icase | std::regex::optimize)});
    } catch (const std::regex_error& e) {
      return Fail(
          Error(ErrorCode::kUsage, "--tensor-type: not a regular expression: " + rule.expression)
              .Found(e.what()));
    }
  }
  return types;
}

Dtype GgufTypes::Wanted(const std::string& name, const GgufTensorRole& tensor, const Shape& shape) {
  for (Rule& rule : rules_) {
    if (!std::regex_search(name, rule.pattern)) continue;
    rule.used = true;
    return rule.rule->dtype;
  }
  return MixedType(*mix_, model_, tensor, shape);
}

Result<Dtype> GgufTypes::Choose(const std::string& name, const GgufTensorRole& tensor,
                                const Shape& shape, bool measured) {
  if (StaysF32(tensor, shape)) return Dtype::kF32;
  const Dtype wanted = Wanted(name, tensor, shape);
  const auto fits = [&](Dtype dtype) { return shape.back() % Info(dtype).block == 0; };
  Dtype chosen = wanted;
  if (!fits(wanted)) {
    const std::optional<Dtype> other = InPlaceOf(wanted);
    if (!other) {
      return Fail(Error(ErrorCode::kUnsupported,
                        "rows that are no whole blocks of " + std::string(Name(wanted)))
                      .Of(name)
                      .Expected("a multiple of " + std::to_string(Info(wanted).block) + " columns")
                      .Found(ToString(shape))
                      .Next("give it a type of its own: --tensor-type '" + name + "=F16'"));
    }
    chosen = fits(*other) ? *other : Dtype::kF16;
  }
  if (!measured && NeedsImportance(*mix_, tensor, chosen)) {
    return Fail(Error(ErrorCode::kUnsupported, std::string(mix_->name) +
                                                   " needs an importance matrix for " +
                                                   std::string(Name(chosen)))
                    .Of(name)
                    .Next("give one with --imatrix, or take --type Q2_K"));
  }
  return chosen;
}

Result<void> GgufTypes::CheckRules() const {
  for (const Rule& rule : rules_) {
    if (rule.used) continue;
    return Fail(
        Error(ErrorCode::kUsage, "--tensor-type: no tensor is chosen by " + rule.rule->expression)
            .Expected("a part of a name such as blk.3.ffn_down_exps.weight")
            .Next("norms and the router are F32 always, and of several rules that match "
                  "a name the first one counts"));
  }
  return {};
}

}  // namespace tessera
