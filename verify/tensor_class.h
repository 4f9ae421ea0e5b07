// Where a tensor belongs in tables and heat maps: a layer, a class such as "experts down_proj".
#pragma once

#include <compare>
#include <cstdint>
#include <string>
#include <string_view>

#include "formats/model_spec.h"

namespace tessera {

struct TensorClass {
  int32_t rank = 0;  // classes in the order in which a token meets them
  std::string label;

  friend auto operator<=>(const TensorClass&, const TensorClass&) = default;
};

struct TensorPlace {
  TensorClass kind;
  int32_t layer = -1, expert = -1;  // as in TensorRole
};

// A name that the model does not have is of the class "other".
TensorPlace PlaceOf(const ModelSpec& spec, std::string_view name);

}  // namespace tessera
