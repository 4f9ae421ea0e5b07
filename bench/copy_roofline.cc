// What `tessera cast IN OUT` cannot beat: two threads that only read the same bytes and write as
// many. Prints the seconds it took.
//
//   tessera_bench_roofline IN MODEL OUT
//
// IN is the checkpoint, MODEL a finished output of it, whose shards say how many bytes to write,
// OUT a folder for them. Thread for thread the same system calls as a plain copy: pread a piece of
// a shard, pwrite the piece of the output that belongs to it. Nothing is computed, hashed or
// synced.
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <string>
#include <thread>
#include <vector>

namespace {

namespace fs = std::filesystem;

constexpr uint64_t kPiece = uint64_t{4} << 20;  // of input
constexpr int kThreads = 2;

[[noreturn]] void Die(const std::string& what) {
  std::perror(what.c_str());
  std::exit(1);
}

int Open(const fs::path& path, int flags) {
  const int fd = ::open(path.c_str(), flags | O_CLOEXEC, 0666);
  if (fd < 0) Die(path.string());
  return fd;
}

uint64_t SizeOf(int fd) {
  struct stat st;
  if (::fstat(fd, &st) != 0) Die("fstat");
  return static_cast<uint64_t>(st.st_size);
}

struct Range {
  int fd;
  uint64_t begin, bytes;
};
struct Piece {
  Range read, write;
};

// Piece i of `pieces` of a file of `bytes`: the cuts divide any size evenly.
Range Cut(int fd, uint64_t bytes, uint64_t i, uint64_t pieces) {
  const uint64_t begin = bytes * i / pieces;
  return {fd, begin, bytes * (i + 1) / pieces - begin};
}

std::vector<Piece> ListPieces(const fs::path& in, const fs::path& model, const fs::path& out) {
  std::vector<fs::path> names;
  for (const auto& entry : fs::directory_iterator(in)) {
    if (entry.path().extension() == ".safetensors") names.push_back(entry.path().filename());
  }
  std::ranges::sort(names);
  std::vector<Piece> pieces;
  for (const fs::path& name : names) {
    const int from = Open(in / name, O_RDONLY);
    const int to = Open(out / name, O_WRONLY | O_CREAT | O_TRUNC);
    const uint64_t read = SizeOf(from), write = fs::file_size(model / name);
    const uint64_t count = (read + kPiece - 1) / kPiece;
    for (uint64_t i = 0; i < count; ++i) {
      pieces.push_back({Cut(from, read, i, count), Cut(to, write, i, count)});
    }
  }
  return pieces;
}

// `transfer` is pread or pwrite.
void Move(auto transfer, const Range& range, std::byte* buffer) {
  for (uint64_t done = 0; done < range.bytes;) {
    const ssize_t n = transfer(range.fd, buffer + done, range.bytes - done,
                               static_cast<off_t>(range.begin + done));
    if (n <= 0) Die("transfer");
    done += static_cast<uint64_t>(n);
  }
}

void Copy(const std::vector<Piece>& pieces, std::atomic<size_t>& next) {
  uint64_t largest = 0;
  for (const Piece& p : pieces) largest = std::max({largest, p.read.bytes, p.write.bytes});
  std::vector<std::byte> buffer(largest);
  for (size_t i = next++; i < pieces.size(); i = next++) {
    Move(::pread, pieces[i].read, buffer.data());
    Move(::pwrite, pieces[i].write, buffer.data());
  }
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 4) {
    std::fprintf(stderr, "usage: %s IN MODEL OUT\n", argv[0]);
    return 2;
  }
  const auto begin = std::chrono::steady_clock::now();
  fs::create_directories(argv[3]);
  const std::vector<Piece> pieces = ListPieces(argv[1], argv[2], argv[3]);
  std::atomic<size_t> next = 0;
  std::vector<std::thread> threads;
  for (int i = 0; i < kThreads; ++i) {
    threads.emplace_back([&] { Copy(pieces, next); });
  }
  for (std::thread& thread : threads) thread.join();
  const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - begin;
  std::printf("%.3f\n", seconds.count());
}
