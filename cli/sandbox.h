// What --sandbox means: the kernel lets this process open nothing but what it was told of, start no
// program and reach no network, whatever a file makes it do. Landlock and seccomp; needs no
// privileges.
#pragma once

#include <filesystem>
#include <vector>

#include "formats/result.h"

namespace tessera::cli {

struct SandboxPaths {
  // Files, or folders with all that is in them and what their links lead to. What is not there is
  // passed over.
  std::vector<std::filesystem::path> read;
  // Folders; made if they are not there.
  std::vector<std::filesystem::path> write;
};

// For this thread and all that it starts, for good: call it before there are others. kUnsupported
// if the kernel cannot do it (Landlock: Linux 5.13, and not switched off).
Result<void> EnterSandbox(const SandboxPaths& paths);

}  // namespace tessera::cli
