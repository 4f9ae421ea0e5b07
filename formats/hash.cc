#include "formats/hash.h"

#include <openssl/evp.h>
#include <xxhash.h>

#include <bit>
#include <cstring>

namespace tessera {
namespace {

Digest Canonical(XXH128_hash_t hash) {
  XXH128_canonical_t canonical;
  XXH128_canonicalFromHash(&canonical, hash);
  Digest digest;
  std::memcpy(digest.bytes.data(), canonical.digest, sizeof canonical.digest);
  return digest;
}

XXH3_state_t* State(void* p) { return static_cast<XXH3_state_t*>(p); }
EVP_MD_CTX* Context(void* p) { return static_cast<EVP_MD_CTX*>(p); }

int HexValue(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  return -1;
}

}  // namespace

Digest Xxh3(std::span<const std::byte> data) {
  return Canonical(XXH3_128bits(data.data(), data.size()));
}

Digest Xxh3(std::string_view data) { return Xxh3(std::as_bytes(std::span(data))); }

Digest Combine(std::span<const Digest> parts) {
  static_assert(sizeof(Digest) == 16);
  return Xxh3(std::as_bytes(parts));
}

std::string ToHex(std::span<const std::byte> bytes) {
  constexpr std::string_view kDigits = "0123456789abcdef";
  std::string hex;
  hex.reserve(2 * bytes.size());
  for (const std::byte b : bytes) {
    hex += kDigits[std::to_integer<size_t>(b >> 4)];
    hex += kDigits[std::to_integer<size_t>(b & std::byte{15})];
  }
  return hex;
}

Result<Digest> ParseDigest(std::string_view hex) {
  Digest digest;
  bool ok = hex.size() == 2 * digest.bytes.size();
  for (size_t i = 0; ok && i < digest.bytes.size(); ++i) {
    const int high = HexValue(hex[2 * i]), low = HexValue(hex[2 * i + 1]);
    ok = high >= 0 && low >= 0;
    digest.bytes[i] = static_cast<std::byte>(high * 16 + low);
  }
  if (ok) return digest;
  return Fail(Error(ErrorCode::kJsonSyntax, "not an XXH3-128 digest")
                  .Expected("32 lower-case hexadecimal digits")
                  .Found('"' + std::string(hex.substr(0, 64)) + '"'));
}

void Xxh3Stream::Free::operator()(void* state) const { XXH3_freeState(State(state)); }
Xxh3Stream::Xxh3Stream() : state_(XXH3_createState()) {
  TESSERA_CHECK(state_ != nullptr && XXH3_128bits_reset(State(state_.get())) == XXH_OK);
}
Xxh3Stream::~Xxh3Stream() = default;
void Xxh3Stream::Update(std::span<const std::byte> data) {
  TESSERA_CHECK(XXH3_128bits_update(State(state_.get()), data.data(), data.size()) == XXH_OK);
}
void Xxh3Stream::Update(std::string_view data) { Update(std::as_bytes(std::span(data))); }
void Xxh3Stream::Update(uint64_t value) {
  std::array<std::byte, 8> le;
  for (size_t i = 0; i < le.size(); ++i) le[i] = static_cast<std::byte>(value >> (8 * i));
  Update(std::span<const std::byte>(le));
}
Digest Xxh3Stream::Finish() const { return Canonical(XXH3_128bits_digest(State(state_.get()))); }

void Sha256Stream::Free::operator()(void* context) const { EVP_MD_CTX_free(Context(context)); }
Sha256Stream::Sha256Stream() : context_(EVP_MD_CTX_new()) {
  TESSERA_CHECK(context_ != nullptr &&
                EVP_DigestInit_ex(Context(context_.get()), EVP_sha256(), nullptr) == 1);
}
Sha256Stream::~Sha256Stream() = default;
void Sha256Stream::Update(std::span<const std::byte> data) {
  TESSERA_CHECK(EVP_DigestUpdate(Context(context_.get()), data.data(), data.size()) == 1);
}
std::string Sha256Stream::FinishHex() {
  std::array<unsigned char, EVP_MAX_MD_SIZE> out;
  unsigned size = 0;
  TESSERA_CHECK(EVP_DigestFinal_ex(Context(context_.get()), out.data(), &size) == 1);
  return ToHex(std::as_bytes(std::span(out).first(size)));
}

}  // namespace tessera
