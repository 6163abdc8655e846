/* Reads 16 kHz mono int16 audio from a file, on a host. */
#ifndef SWR_WAV_READER_H_
#define SWR_WAV_READER_H_

#include <cstddef>
#include <cstdint>
#include <cstdio>

namespace swr {

class WavReader {
 public:
  /* Opens a WAV file, or, if it is raw, one of little-endian samples alone. Returns what is wrong
   * with it, or nullptr. */
  const char* Open(const char* path, bool is_raw);

  ~WavReader();

  /* Reads up to so many samples; returns how many, 0 at the end. */
  size_t Read(int16_t* to, size_t count);

  /* What went wrong while samples were read, or nullptr. */
  const char* error() const { return error_; }

 private:
  const char* ReadHeader();
  bool ReadBytes(void* to, size_t bytes);
  bool Skip(uint32_t bytes);

  std::FILE* file_ = nullptr;
  bool is_raw_ = false;
  uint32_t left_ = 0; /* Bytes of samples, in a WAV file. */
  const char* error_ = nullptr;
};

}  // namespace swr

#endif
