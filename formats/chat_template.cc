#include "formats/chat_template.h"

#include <algorithm>

#include "formats/file.h"
#include "formats/json_fields.h"
#include "formats/unicode.h"

namespace tessera {
namespace {

constexpr uint64_t kMaxTemplateBytes = uint64_t{1} << 20;

// Names are parts of keys: letters and digits, else "_".
std::string KeyName(std::string_view name) {
  std::string key;
  for (size_t at = 0; at < name.size(); at += Utf8Bytes(name[at])) {
    const char c = name[at];
    const bool plain = (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z');
    key += plain ? c : '_';
  }
  return key;
}

void Add(std::string_view name, std::string text, ChatTemplates& templates) {
  const std::string key = KeyName(name);
  if (key == "default") {
    templates.main = std::move(text);
  } else if (!key.empty()) {
    templates.named.emplace_back(key, std::move(text));
  }
}

Result<ChatTemplates> FromJson(const Json& json) {
  ChatTemplates templates;
  if (json.is_null()) return templates;
  if (json.is_string()) {
    templates.main = json.get<std::string>();
    return templates;
  }
  if (!json.is_array()) {
    return Fail(ErrorCode::kBadTokenizer, "chat_template is neither a text nor a list of them");
  }
  for (const Json& one : json) {
    TESSERA_ASSIGN(const std::string name, StringField(one, "a chat template", "name"));
    TESSERA_ASSIGN(std::string text, StringField(one, "a chat template", "template"));
    Add(name, std::move(text), templates);
  }
  return templates;
}

// Line ends of any system become "\n", as Python reads text.
Result<std::string> ReadTemplate(const std::filesystem::path& path) {
  TESSERA_ASSIGN(const std::string text, ReadWholeFile(path, kMaxTemplateBytes));
  if (FindNonUtf8(text)) {
    return Fail(Error(ErrorCode::kBadTokenizer, "a chat template is not UTF-8").In(path.string()));
  }
  std::string read;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '\r') {
      read += text[i];
    } else if (i + 1 == text.size() || text[i + 1] != '\n') {
      read += '\n';
    }
  }
  return read;
}

Result<ChatTemplates> FromJinja(const std::filesystem::path& folder) {
  ChatTemplates templates;
  TESSERA_ASSIGN(templates.main, ReadTemplate(folder / "chat_template.jinja"));
  std::error_code none;
  std::vector<std::filesystem::path> paths;
  for (const auto& entry :
       std::filesystem::directory_iterator(folder / "additional_chat_templates", none)) {
    if (entry.path().extension() == ".jinja") paths.push_back(entry.path());
  }
  std::ranges::sort(paths);
  for (const std::filesystem::path& path : paths) {
    TESSERA_ASSIGN(std::string text, ReadTemplate(path));
    Add(path.stem().string(), std::move(text), templates);
  }
  return templates;
}

}  // namespace

Result<ChatTemplates> ReadChatTemplates(const std::filesystem::path& folder,
                                        const std::optional<Json>& config) {
  if (!config) return ChatTemplates{};
  if (const auto given = config->find("chat_template"); given != config->end()) {
    return FromJson(*given);
  }
  std::error_code ignored;
  if (std::filesystem::exists(folder / "chat_template.jinja", ignored)) return FromJinja(folder);
  const std::filesystem::path json = folder / "chat_template.json";
  if (!std::filesystem::exists(json, ignored)) return ChatTemplates{};
  TESSERA_ASSIGN(const Json read, ReadJsonFile(json.string()));
  const auto given = read.find("chat_template");
  return given == read.end() ? ChatTemplates{} : FromJson(*given);
}

}  // namespace tessera
