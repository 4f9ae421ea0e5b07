// The list of unquantized modules to write into a checkpoint's config, so that every engine that
// is to load it understands the same.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "convert/engines/engine.h"
#include "formats/model_spec.h"

namespace tessera {

// How lists are spelled in the config of a scheme.
ListSpelling SpellingOf(std::string_view scheme);

// `unquantized` are modules by the checkpoint's names ("model.layers.0.mlp.down_proj"), each a
// linear that `SetOf` knows, or an indexer's. The list names them in the spelling of the scheme,
// fused names of vLLM and SGLang and the latter's model.decoder included, and with them what is
// never quantized. It grows with the kinds of modules and the layers, not with the experts.
std::vector<std::string> SpellUnquantized(const ModelSpec& spec, std::string_view scheme,
                                          const std::vector<std::string>& unquantized);

}  // namespace tessera
