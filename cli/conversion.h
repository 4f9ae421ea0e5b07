// What all converting verbs share: their common options, and running the request they fill in.
#pragma once

#include <memory>
#include <string>

#include "cli/session.h"
#include "convert/request.h"

namespace tessera::cli {

struct ConversionOptions {
  std::string verb;
  Request request;
  RunOptions run;
  bool dry_run = false;
  bool sandbox = false;
  // As typed; turned into request and run by RunConversion.
  std::string mtp, names, shard_size, memory, part, compress;
  std::filesystem::path seal;  // what `finish` adds to a part's command: the folder it was given
  const Session* session = nullptr;
};

// Not for people: `finish` adds it.
inline constexpr const char* kSealOption = "--seal-parts";

// IN, a checkpoint, and a config.json for it.
void AddInput(CLI::App& verb, ConversionOptions& options);
// The options of docs/cli.md that every converting verb has, whatever it reads and writes.
void AddRunOptions(CLI::App& verb, Session& session, ConversionOptions& options);
// These, and those of verbs that write shards.
void AddShardOptions(CLI::App& verb, Session& session, ConversionOptions& options);
// These, IN, OUT, and what becomes of names and of the MTP module.
void AddConversionOptions(CLI::App& verb, Session& session, ConversionOptions& options);

// Plans, then prints the plan (--dry-run) or runs it and prints what was done.
Result<Outcome> RunConversion(const ConversionOptions& options, Terminal& terminal);

// "5GB", "256MiB", "1000": decimal and binary units; kUsage naming `option` otherwise.
Result<uint64_t> ParseBytes(const std::string& option, const std::string& text);

// The process's largest resident size so far, in bytes.
uint64_t PeakMemory();

}  // namespace tessera::cli
