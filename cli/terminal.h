// What a command says: results on stdout, everything else on stderr, as text or as JSON.
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "formats/result.h"

namespace tessera::cli {

// Keys come out sorted, as the contract of --json says.
using SortedJson = nlohmann::json;

enum class Colour : uint8_t { kBold, kRed, kYellow, kDim };

// A table row; the header is one too.
using TableRow = std::vector<std::string>;
enum class Align : uint8_t { kLeft, kRight };

class Terminal {
 public:
  // Looks at the standard descriptors and at NO_COLOR.
  Terminal();

  // Set by the options of the command line, before a command runs.
  bool json = false;
  bool quiet = false;
  // Of a program whose stderr reaches a person by way of another: progress is shown all the same.
  bool progress_in_log = false;

  bool stderr_is_terminal() const { return stderr_is_terminal_; }

  // stdout: the result of a command. Print is for people; a command prints nothing with it under
  // --json, where one object is the whole output ("schema": 1 is added here).
  void Print(std::string_view text);
  void PrintJson(SortedJson object);
  // Columns are as wide as their widest cell, two spaces apart; the header row is bold.
  void PrintTable(const TableRow& header, const std::vector<TableRow>& rows,
                  const std::vector<Align>& align);

  // stderr: a note beside the result, silent under -q.
  void Note(std::string_view text);
  // stderr: the help that goes with a usage error.
  void PrintUsage(std::string_view help);
  // stderr: "error: ..." in several lines; under --json its last line is the error as an object.
  void PrintError(const Error& error);

  // In colour where stdout is a terminal and NO_COLOR is unset.
  std::string Paint(Colour colour, std::string_view text) const;

  // Whether everything that was printed has arrived. A reader that went away (EPIPE) is no failure:
  // it has seen what it wanted.
  Result<void> Flush();

 private:
  void WriteStdout(std::string_view text);

  bool stderr_is_terminal_;
  bool stdout_colour_, stderr_colour_;
  int write_error_ = 0;
};

// "688.6 GB": decimal units, as disks and the hub count.
std::string HumanBytes(uint64_t bytes);
// "671.0 B", "684.5 M": counts of parameters.
std::string HumanCount(uint64_t count);
// "0.0178" for 4 digits
std::string Decimals(double value, int digits);
// "1 tensor", "46,183 tensors"
std::string Plural(uint64_t count, std::string_view noun);
// "vllm, sglang"
template <class Words>
std::string Joined(const Words& words, std::string_view separator) {
  std::string text;
  for (const std::string_view word : words) {
    if (!text.empty()) text += separator;
    text += word;
  }
  return text;
}
// "46,183"
std::string Grouped(uint64_t count);

}  // namespace tessera::cli
