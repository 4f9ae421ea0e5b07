#include "cli/terminal.h"

#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>

namespace tessera::cli {
namespace {

std::string_view Code(Colour colour) {
  switch (colour) {
    case Colour::kBold:
      return "\033[1m";
    case Colour::kRed:
      return "\033[1;31m";
    case Colour::kYellow:
      return "\033[33m";
    case Colour::kDim:
      return "\033[2m";
  }
  return "";
}

std::string Painted(Colour colour, std::string_view text) {
  return std::string(Code(colour)) + std::string(text) + "\033[0m";
}

// File names and tensor names may hold bytes that are not UTF-8; they are shown replaced.
std::string Dump(const auto& json, int indent) {
  using Json = std::remove_cvref_t<decltype(json)>;
  return json.dump(indent, ' ', false, Json::error_handler_t::replace);
}

// Width on a terminal: UTF-8 continuation bytes take no column.
size_t Width(std::string_view text) {
  return static_cast<size_t>(std::ranges::count_if(
      text, [](char c) { return (static_cast<unsigned char>(c) & 0xC0) != 0x80; }));
}

std::string Scaled(uint64_t value, std::string_view unit_of_one, std::string_view units,
                   std::string_view suffix) {
  if (value < 1000) return std::to_string(value) + std::string(unit_of_one);
  double scaled = static_cast<double>(value);
  size_t unit = 0;
  // 999.95 would round up to "1000.0".
  for (scaled /= 1000; scaled >= 999.95 && unit + 1 < units.size(); ++unit) scaled /= 1000;
  char text[32];
  std::snprintf(text, sizeof text, "%.1f ", scaled);
  return std::string(text) + units[unit] + std::string(suffix);
}

nlohmann::ordered_json ErrorObject(const Error& error) {
  nlohmann::ordered_json object;
  object["code"] = static_cast<int>(error.error_class());
  object["class"] = Name(error.error_class());
  object["rule"] = Name(error.code());
  object["what"] = error.what();
  object["file"] = error.file();
  object["tensor"] = error.tensor();
  return {{"error", std::move(object)}};
}

}  // namespace

Terminal::Terminal() : stderr_is_terminal_(::isatty(STDERR_FILENO) == 1) {
  const char* no_color = std::getenv("NO_COLOR");
  const bool wanted = no_color == nullptr || *no_color == '\0';
  stdout_colour_ = wanted && ::isatty(STDOUT_FILENO) == 1;
  stderr_colour_ = wanted && stderr_is_terminal_;
}

void Terminal::WriteStdout(std::string_view text) {
  if (write_error_ != 0) return;
  if (std::fwrite(text.data(), 1, text.size(), stdout) != text.size()) write_error_ = errno;
}

void Terminal::Print(std::string_view text) { WriteStdout(text); }

void Terminal::PrintJson(SortedJson object) {
  object["schema"] = 1;
  WriteStdout(Dump(object, 2) + "\n");
}

void Terminal::PrintTable(const TableRow& header, const std::vector<TableRow>& rows,
                          const std::vector<Align>& align) {
  std::vector<size_t> widths;
  for (const std::string& title : header) widths.push_back(Width(title));
  for (const TableRow& row : rows) {
    for (size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], Width(row[i]));
  }
  const auto line = [&](const TableRow& row) {
    std::string text;
    for (size_t i = 0; i < row.size(); ++i) {
      const std::string pad(widths[i] - Width(row[i]), ' ');
      text += align[i] == Align::kRight ? pad + row[i] : row[i] + pad;
      text += "  ";
    }
    text.erase(text.find_last_not_of(' ') + 1);
    return text;
  };
  WriteStdout(Paint(Colour::kBold, line(header)) + "\n");
  for (const TableRow& row : rows) WriteStdout(line(row) + "\n");
}

void Terminal::Note(std::string_view text) {
  if (quiet) return;
  std::fprintf(stderr, "%.*s\n", static_cast<int>(text.size()), text.data());
}

void Terminal::PrintUsage(std::string_view help) {
  std::fprintf(stderr, "%.*s\n", static_cast<int>(help.size()), help.data());
}

void Terminal::PrintError(const Error& error) {
  std::fflush(stdout);
  const std::string head = stderr_colour_ ? Painted(Colour::kRed, "error:") : "error:";
  std::fprintf(stderr, "%s %s\n", head.c_str(), error.Text().c_str());
  if (json) std::fprintf(stderr, "%s\n", Dump(ErrorObject(error), -1).c_str());
}

std::string Terminal::Paint(Colour colour, std::string_view text) const {
  return stdout_colour_ ? Painted(colour, text) : std::string(text);
}

Result<void> Terminal::Flush() {
  if (std::fflush(stdout) != 0 && write_error_ == 0) write_error_ = errno;
  if (write_error_ == 0 || write_error_ == EPIPE) return {};
  return Fail(Error(ErrorCode::kWriteFailed, std::string("cannot write to standard output: ") +
                                                 std::strerror(write_error_)));
}

std::string HumanBytes(uint64_t bytes) { return Scaled(bytes, " B", "kMGTPE", "B"); }
std::string HumanCount(uint64_t count) { return Scaled(count, "", "KMBT", ""); }

std::string Grouped(uint64_t count) {
  std::string text = std::to_string(count);
  for (size_t place = text.size(); place > 3; place -= 3) text.insert(place - 3, ",");
  return text;
}

std::string Decimals(double value, int digits) {
  char text[64];
  std::snprintf(text, sizeof text, "%.*f", digits, value);
  return text;
}

std::string Plural(uint64_t count, std::string_view noun) {
  return Grouped(count) + " " + std::string(noun) + (count == 1 ? "" : "s");
}

}  // namespace tessera::cli
