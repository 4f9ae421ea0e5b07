#include "cli/sandbox.h"

#include <fcntl.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/landlock.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstddef>
#include <utility>

#include "formats/file.h"

namespace tessera::cli {
namespace {

namespace fs = std::filesystem;

constexpr uint64_t kReadFile = LANDLOCK_ACCESS_FS_READ_FILE;
constexpr uint64_t kReadTree = kReadFile | LANDLOCK_ACCESS_FS_READ_DIR;
constexpr uint64_t kWriteTree = kReadTree | LANDLOCK_ACCESS_FS_WRITE_FILE |
                                LANDLOCK_ACCESS_FS_REMOVE_DIR | LANDLOCK_ACCESS_FS_REMOVE_FILE |
                                LANDLOCK_ACCESS_FS_MAKE_DIR | LANDLOCK_ACCESS_FS_MAKE_REG;
// Everything that the first version of Landlock can forbid, and is not allowed somewhere.
constexpr uint64_t kHandled = kWriteTree | LANDLOCK_ACCESS_FS_EXECUTE |
                              LANDLOCK_ACCESS_FS_MAKE_CHAR | LANDLOCK_ACCESS_FS_MAKE_SOCK |
                              LANDLOCK_ACCESS_FS_MAKE_FIFO | LANDLOCK_ACCESS_FS_MAKE_BLOCK |
                              LANDLOCK_ACCESS_FS_MAKE_SYM;
// Version 2 forbids renames between folders unless they may refer to each other; version 3
// truncation by path. Not in every system's header.
constexpr uint64_t kRefer = uint64_t{1} << 13, kTruncate = uint64_t{1} << 14;

Error Unavailable(const std::string& what) {
  return Error(ErrorCode::kUnsupported, "--sandbox: " + what)
      .Expected("Linux 5.13 or newer, with Landlock and seccomp")
      .Next("leave out --sandbox, or run in a container that has only IN and OUT");
}

class Ruleset {
 public:
  static Result<Ruleset> Make() {
    const long version =
        ::syscall(SYS_landlock_create_ruleset, nullptr, 0, LANDLOCK_CREATE_RULESET_VERSION);
    if (version < 1) return Fail(Unavailable("this kernel has no Landlock"));
    const uint64_t later = (version >= 2 ? kRefer : 0) | (version >= 3 ? kTruncate : 0);
    struct landlock_ruleset_attr attributes = {};
    attributes.handled_access_fs = kHandled | later;
    const long fd =
        ::syscall(SYS_landlock_create_ruleset, &attributes, sizeof attributes.handled_access_fs, 0);
    if (fd < 0) return Fail(Unavailable("a Landlock ruleset cannot be made"));
    return Ruleset(static_cast<int>(fd), later);
  }
  Ruleset(Ruleset&& other) noexcept
      : fd_(std::exchange(other.fd_, -1)), write_tree_(other.write_tree_) {}
  ~Ruleset() {
    if (fd_ >= 0) ::close(fd_);
  }

  uint64_t write_tree() const { return write_tree_; }

  // Beneath `path`, or for that one file. What is not there needs no rule.
  Result<void> Allow(const fs::path& path, uint64_t access) {
    const int place = ::open(path.c_str(), O_PATH | O_CLOEXEC);
    if (place < 0) return {};
    struct landlock_path_beneath_attr rule = {};
    rule.allowed_access = access;
    rule.parent_fd = place;
    const long added = ::syscall(SYS_landlock_add_rule, fd_, LANDLOCK_RULE_PATH_BENEATH, &rule, 0);
    const int error = errno;
    ::close(place);
    if (added == 0) return {};
    return Fail(SystemError(ErrorCode::kUnsupported, "--sandbox: allowing", path, error));
  }

  Result<void> Enforce() {
    if (::syscall(SYS_landlock_restrict_self, fd_, 0) == 0) return {};
    return Fail(Unavailable("Landlock cannot be entered"));
  }

 private:
  Ruleset(int fd, uint64_t later) : fd_(fd), write_tree_(kWriteTree | later) {}

  int fd_;
  uint64_t write_tree_;
};

// A folder of links, as hub caches have them, gives read access to where each of them leads: to
// files one by one, never to the folders they are in.
Result<void> AllowReading(Ruleset& rules, const fs::path& path) {
  std::error_code error;
  if (!fs::is_directory(path, error)) return rules.Allow(path, kReadFile);
  TESSERA_TRY(rules.Allow(path, kReadTree));
  for (auto it = fs::recursive_directory_iterator(path, error); !error && it != fs::end(it);
       it.increment(error)) {
    if (!it->is_symlink(error)) continue;
    const fs::path target = fs::canonical(it->path(), error);
    if (!error && fs::is_regular_file(target, error)) TESSERA_TRY(rules.Allow(target, kReadFile));
    error.clear();
  }
  return {};
}

Result<void> AllowWriting(Ruleset& rules, const fs::path& path) {
  std::error_code error;
  fs::create_directories(path, error);
  if (error) return Fail(SystemError(ErrorCode::kWriteFailed, "making", path, error.value()));
  // Its entry in the folder above is synced, for which that must be opened.
  TESSERA_TRY(rules.Allow(fs::absolute(path).parent_path(), LANDLOCK_ACCESS_FS_READ_DIR));
  return rules.Allow(path, rules.write_tree());
}

#if defined(__x86_64__)
constexpr uint32_t kArchitecture = AUDIT_ARCH_X86_64;
#elif defined(__aarch64__)
constexpr uint32_t kArchitecture = AUDIT_ARCH_AARCH64;
#endif

// Programs, networks, other processes, and the ways around Landlock.
constexpr std::array kForbiddenCalls = {SYS_execve,
                                        SYS_execveat,
                                        SYS_socket,
                                        SYS_socketpair,
                                        SYS_connect,
                                        SYS_bind,
                                        SYS_listen,
                                        SYS_accept4,
                                        SYS_sendto,
                                        SYS_sendmsg,
                                        SYS_ptrace,
                                        SYS_process_vm_readv,
                                        SYS_process_vm_writev,
                                        SYS_pidfd_getfd,
                                        SYS_mount,
                                        SYS_umount2,
                                        SYS_pivot_root,
                                        SYS_chroot,
                                        SYS_setns,
                                        SYS_unshare,
                                        SYS_open_by_handle_at,
                                        SYS_bpf,
                                        SYS_perf_event_open,
                                        SYS_io_uring_setup,
                                        SYS_userfaultfd,
                                        SYS_keyctl,
                                        SYS_add_key,
                                        SYS_request_key,
                                        SYS_init_module,
                                        SYS_finit_module,
                                        SYS_kexec_load};

Result<void> ForbidCalls() {
  std::vector<struct sock_filter> program = {
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, arch)),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, kArchitecture, 1, 0),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS),
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr))};
#if defined(__x86_64__)
  // The x32 numbers mean the same calls again.
  program.push_back(BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, 0x40000000, 0, 1));
  program.push_back(BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS));
#endif
  for (const long call : kForbiddenCalls) {
    program.push_back(BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, static_cast<uint32_t>(call), 0, 1));
    program.push_back(BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM));
  }
  program.push_back(BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW));
  struct sock_fprog filter = {.len = static_cast<unsigned short>(program.size()),
                              .filter = program.data()};
  if (::prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter) == 0) return {};
  return Fail(Unavailable("seccomp filters cannot be set"));
}

}  // namespace

Result<void> EnterSandbox(const SandboxPaths& paths) {
  TESSERA_ASSIGN(Ruleset rules, Ruleset::Make());
  for (const fs::path& path : paths.read) TESSERA_TRY(AllowReading(rules, path));
  for (const fs::path& path : paths.write) TESSERA_TRY(AllowWriting(rules, path));
  if (::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) {
    return Fail(Unavailable("privileges cannot be given up"));
  }
  TESSERA_TRY(rules.Enforce());
  return ForbidCalls();
}

}  // namespace tessera::cli
