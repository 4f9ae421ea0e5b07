#include "cli/sandbox.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <fstream>
#include <functional>

#include "tests/support/temp_dir.h"

namespace tessera::cli {
namespace {

namespace fs = std::filesystem;

// Runs `inside` in a process of its own, within the sandbox; its result is the exit status, 99 if
// the sandbox could not be entered.
int Inside(const SandboxPaths& paths, const std::function<int()>& inside) {
  const pid_t child = ::fork();
  if (child == 0) ::_exit(EnterSandbox(paths) ? inside() : 99);
  int status = 0;
  ::waitpid(child, &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : 100;
}

int OpenError(const fs::path& path, int flags) {
  const int fd = ::open(path.c_str(), flags, 0600);
  if (fd < 0) return errno;
  ::close(fd);
  return 0;
}

class Sandbox : public testing::Test {
 protected:
  void SetUp() override {
    for (const char* folder : {"in", "out", "stray"}) {
      fs::create_directory(dir_.path() / folder);
      std::ofstream(dir_.path() / folder / "file") << folder;
    }
    if (Inside({}, [] { return 0; }) == 99) GTEST_SKIP() << "no Landlock in this kernel";
  }
  SandboxPaths Paths() const { return {.read = {At("in")}, .write = {At("out")}}; }
  fs::path At(const std::string& name) const { return dir_.path() / name; }

  TempDir dir_;
};

TEST_F(Sandbox, AStrayPathCannotBeOpened) {
  EXPECT_EQ(Inside(Paths(), [&] { return OpenError(At("stray/file"), O_RDONLY); }), EACCES);
  EXPECT_EQ(Inside(Paths(), [&] { return OpenError("/etc/passwd", O_RDONLY); }), EACCES);
  EXPECT_EQ(Inside(Paths(), [&] { return OpenError(At("new"), O_WRONLY | O_CREAT); }), EACCES);
}

TEST_F(Sandbox, TheInputIsReadAndNeverWritten) {
  EXPECT_EQ(Inside(Paths(), [&] { return OpenError(At("in/file"), O_RDONLY); }), 0);
  EXPECT_EQ(Inside(Paths(), [&] { return OpenError(At("in/file"), O_WRONLY); }), EACCES);
  EXPECT_EQ(Inside(Paths(), [&] { return OpenError(At("in/new"), O_WRONLY | O_CREAT); }), EACCES);
  EXPECT_EQ(Inside(Paths(), [&] { return ::unlink(At("in/file").c_str()) == 0 ? 0 : errno; }),
            EACCES);
}

TEST_F(Sandbox, TheOutputIsMadeAndWritten) {
  SandboxPaths paths = Paths();
  paths.write = {At("deep/out")};
  EXPECT_EQ(Inside(paths,
                   [&] {
                     const fs::path made = At("deep/out/.partial");
                     if (::mkdir(made.c_str(), 0700) != 0) return errno;
                     if (const int error = OpenError(made / "x", O_RDWR | O_CREAT | O_EXCL)) {
                       return error;
                     }
                     if (::rename((made / "x").c_str(), At("deep/out/x").c_str()) != 0)
                       return errno;
                     return ::rmdir(made.c_str()) == 0 ? 0 : errno;
                   }),
            0);
  EXPECT_TRUE(fs::exists(At("deep/out/x")));
}

TEST_F(Sandbox, LinksInTheInputLeadToTheirFilesOnly) {
  fs::create_symlink(At("stray/file"), At("in/link"));
  std::ofstream(At("stray/other")) << "x";
  EXPECT_EQ(Inside(Paths(), [&] { return OpenError(At("in/link"), O_RDONLY); }), 0);
  EXPECT_EQ(Inside(Paths(), [&] { return OpenError(At("stray/other"), O_RDONLY); }), EACCES);
}

TEST_F(Sandbox, NoProgramsAndNoNetwork) {
  EXPECT_EQ(Inside(Paths(),
                   [] {
                     ::execl("/bin/true", "true", nullptr);
                     return errno;
                   }),
            EPERM);
  EXPECT_EQ(Inside(Paths(), [] { return ::socket(AF_INET, SOCK_STREAM, 0) >= 0 ? 0 : errno; }),
            EPERM);
}

}  // namespace
}  // namespace tessera::cli
