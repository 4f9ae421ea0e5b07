// Digests: XXH3-128 for everything journalled and listed in manifests, SHA-256 where asked for.
#pragma once

#include <array>
#include <compare>
#include <cstddef>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "formats/result.h"

namespace tessera {

// XXH3-128 in canonical (big-endian) form.
struct Digest {
  std::array<std::byte, 16> bytes{};

  friend auto operator<=>(const Digest&, const Digest&) = default;
};

Digest Xxh3(std::span<const std::byte> data);
Digest Xxh3(std::string_view data);

// Digest over digests in order, 16 canonical bytes each: how a tensor's digest follows from its
// tiles'.
Digest Combine(std::span<const Digest> parts);

std::string ToHex(std::span<const std::byte> bytes);
inline std::string ToHex(const Digest& digest) { return ToHex(std::span(digest.bytes)); }
// 32 lower-case hexadecimal digits, nothing else.
Result<Digest> ParseDigest(std::string_view hex);

// Streaming forms. Not thread-safe.
class Xxh3Stream {
 public:
  Xxh3Stream();
  ~Xxh3Stream();
  void Update(std::span<const std::byte> data);
  void Update(std::string_view data);
  void Update(uint64_t value);  // eight bytes, little-endian
  Digest Finish() const;

 private:
  struct Free {
    void operator()(void* state) const;
  };
  std::unique_ptr<void, Free> state_;
};

class Sha256Stream {
 public:
  Sha256Stream();
  ~Sha256Stream();
  void Update(std::span<const std::byte> data);
  std::string FinishHex();  // 64 lower-case hexadecimal digits

 private:
  struct Free {
    void operator()(void* context) const;
  };
  std::unique_ptr<void, Free> context_;
};

}  // namespace tessera
