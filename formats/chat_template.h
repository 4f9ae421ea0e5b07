// The templates by which a model's conversations become text.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "formats/json.h"
#include "formats/result.h"

namespace tessera {

struct ChatTemplates {
  std::optional<std::string> main;
  std::vector<std::pair<std::string, std::string>> named;  // others, by name

  friend bool operator==(const ChatTemplates&, const ChatTemplates&) = default;
};

// From `config`, which is tokenizer_config.json (one template or a list of named ones), else from
// chat_template.jinja with additional_chat_templates/*.jinja, else from chat_template.json.
Result<ChatTemplates> ReadChatTemplates(const std::filesystem::path& folder,
                                        const std::optional<Json>& config);

}  // namespace tessera
