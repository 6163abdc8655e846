#include "wav_reader.h"

#include <algorithm>
#include <cstring>

#include "swr_frontend.h"

namespace swr {

namespace {

constexpr size_t kBlockSamples = 512;
constexpr uint32_t kFormatBytes = 16;
constexpr uint32_t kExtensibleBytes = 40;
constexpr uint32_t kSubformatAt = 24;
constexpr uint32_t kPcm = 1;
constexpr uint32_t kExtensible = 0xfffe;
constexpr size_t kSampleBytes = sizeof(int16_t);

uint32_t U16(const uint8_t* at) { return at[0] | static_cast<uint32_t>(at[1]) << 8; }

uint32_t U32(const uint8_t* at) { return U16(at) | U16(at + 2) << 16; }

/* What is wrong with the contents of the chunk "fmt ", or nullptr. */
const char* CheckFormat(const uint8_t* format, uint32_t bytes) {
  uint32_t encoding = U16(format);
  if (encoding == kExtensible && bytes >= kExtensibleBytes) {
    encoding = U16(format + kSubformatAt);
  }
  if (encoding != kPcm || U16(format + 14) != 8 * kSampleBytes) {
    return "it isn't of 16-bit PCM samples";
  }
  if (U16(format + 2) != 1) {
    return "it has more than one channel";
  }
  return U32(format + 4) == SWR_FRONTEND_SAMPLE_RATE_HZ ? nullptr : "its rate isn't 16000 Hz";
}

}  // namespace

WavReader::~WavReader() {
  if (file_ != nullptr) {
    std::fclose(file_);
  }
}

const char* WavReader::Open(const char* path, bool is_raw) {
  is_raw_ = is_raw;
  file_ = std::fopen(path, "rb");
  if (file_ == nullptr) {
    return "it can't be opened";
  }
  return is_raw ? nullptr : ReadHeader();
}

const char* WavReader::ReadHeader() {
  uint8_t head[12];
  if (!ReadBytes(head, sizeof head) || std::memcmp(head, "RIFF", 4) != 0 ||
      std::memcmp(head + 8, "WAVE", 4) != 0) {
    return "it is no WAV file";
  }
  bool has_format = false;
  for (uint8_t chunk[8]; ReadBytes(chunk, sizeof chunk);) {
    const uint32_t bytes = U32(chunk + 4);
    if (std::memcmp(chunk, "data", 4) == 0) {
      left_ = bytes;
      return !has_format ? "its samples come before their format"
             : bytes % kSampleBytes != 0 ? "its last sample is cut short" : nullptr;
    }
    uint32_t rest = bytes;
    if (std::memcmp(chunk, "fmt ", 4) == 0) {
      uint8_t format[kExtensibleBytes];
      const uint32_t known = std::min(bytes, kExtensibleBytes);
      if (known < kFormatBytes || !ReadBytes(format, known)) {
        return "its format is cut short";
      }
      if (const char* problem = CheckFormat(format, known)) {
        return problem;
      }
      has_format = true;
      rest -= known;
    }
    if (!Skip(rest) || !Skip(bytes % 2)) {
      break;
    }
  }
  return "it has no samples";
}

bool WavReader::ReadBytes(void* to, size_t bytes) {
  return std::fread(to, 1, bytes, file_) == bytes;
}

/* Reads rather than seeks, for pipes. */
bool WavReader::Skip(uint32_t bytes) {
  uint8_t skipped[256];
  while (bytes > 0) {
    const uint32_t some = std::min<uint32_t>(bytes, sizeof skipped);
    if (!ReadBytes(skipped, some)) {
      return false;
    }
    bytes -= some;
  }
  return true;
}

size_t WavReader::Read(int16_t* to, size_t count) {
  uint8_t bytes[kBlockSamples * kSampleBytes];
  size_t wanted = std::min(count, kBlockSamples) * kSampleBytes;
  if (!is_raw_) {
    wanted = std::min<size_t>(wanted, left_);
  }
  const size_t got = std::fread(bytes, 1, wanted, file_);
  if (std::ferror(file_) || (!is_raw_ && got < wanted) || got % kSampleBytes != 0) {
    error_ = "it is cut short";
  }
  left_ -= is_raw_ ? 0 : static_cast<uint32_t>(got);
  for (size_t i = 0; i < got / kSampleBytes; ++i) {
    to[i] = static_cast<int16_t>(U16(bytes + kSampleBytes * i));
  }
  return error_ == nullptr ? got / kSampleBytes : 0;
}

}  // namespace swr
